"""One case on a GPU, all of it but the GPU: a made-up backend, the real NVML module with its functions replaced, CUDA's
stand-in of the TensorRT tests.
"""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import zoo
from bench.cases import Case, Limits
from bench.measure.cold import ColdL2
from bench.measure.session import rows
from tests.support.fakes import fake_cuda
from tests.support.fakes.fake_gpu import NAME, FakeGpu
from tests.support.fakes.fake_nvml import UUIDS, Machine, pynvml
from tests.support.tiny import tiny_bundle
from zoo.engines.registry import BACKENDS
from zoo.errors import EnvironmentProblem, InputError


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    monkeypatch.setitem(BACKENDS, NAME, "tests.support.fakes.fake_gpu:FakeGpu")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", UUIDS[1])
    monkeypatch.setattr("bench.gpu.Nvml.seconds", 0.05)
    FakeGpu.made.clear()
    return Machine(monkeypatch)


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> fake_cuda.Gpu:
    """CUDA without a GPU, with what filling a cache takes."""
    gpu = fake_cuda.Gpu()
    module = fake_cuda.make(gpu)

    def fill(address, value, size, stream):
        def work() -> None:
            gpu.at(address, size)
            gpu.log.append(f"fill {size}")

        stream.add(work)
        return (0,)

    module.cudaMemsetAsync = fill
    module.cudaGetDeviceProperties = lambda device: (0, SimpleNamespace(l2CacheSize=1000))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", module)
    monkeypatch.setattr("zoo.engines.cuda.cuda_runtime", lambda: module)
    return gpu


def case(bundle: Path, **changes) -> Case:
    given = {"name": "tiny", "subject": bundle, "backend": NAME, "device": "cuda:1", "scope": "compute"}
    return Case(**given | {"batches": (1, 4), "limits": Limits(seconds=0.2, min_rounds=6)} | changes)


def last(found: list) -> list:
    """The fullest row of each batch size."""
    return list({row.batch: row for row in found}.values())


def test_compute_is_what_the_device_says_and_the_row_tells_its_state(bundle: Path, machine: Machine) -> None:
    machine.answers["nvmlDeviceGetTotalEnergyConsumption"] = lambda handle: machine.clock() // 20_000_000
    one, four = last(list(rows(case(bundle))))
    assert (one.timing.p50_ms, four.timing.p50_ms) == (0.5, 2.0)
    assert {len(calls) for calls in one.timing.rounds_ns} == {20}  # 10 ms of the device's time
    assert (one.scope, one.engine.device, one.variant) == ("compute", "cuda:1", None)
    assert one.gpu is not None
    assert (one.gpu.name, one.gpu.sm_mhz, one.gpu.power_state, one.gpu.busy) == ("NVIDIA Test", (1980, 1980), "P0", 0)
    assert one.energy is not None
    assert one.energy.source == "nvml"
    assert (one.start is not None, four.start) == (True, None)
    assert "--device cuda:1" in one.command
    assert "--scope compute" in one.command


def test_a_gpu_that_is_lost_while_it_is_measured_ends_the_case_with_the_reason(bundle: Path, machine: Machine) -> None:
    asked = iter(range(10_000))

    def clock(handle, kind):
        if next(asked) > 20:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
        return 1980

    machine.answers["nvmlDeviceGetClockInfo"] = clock
    endless = case(bundle, limits=Limits(seconds=60, interval_width=1e-9, min_rounds=10**9))
    with pytest.raises(EnvironmentProblem, match="the GPU does not answer any more: GPU is lost"):
        list(rows(endless))


def test_a_cuda_graph_is_asked_for_and_refused_where_there_is_none(bundle: Path, machine: Machine) -> None:
    list(rows(case(bundle, batches=(1,), scope="call", energy=False)))
    found = last(list(rows(case(bundle, batches=(1,), variant="cuda-graph", energy=False))))
    assert FakeGpu.made == [False, True]
    assert found[0].variant == "cuda-graph"
    with pytest.raises(InputError, match="openvino does not replay a CUDA graph"):
        zoo.load(bundle, backend="openvino", cuda_graph=True)


def test_a_cold_cache_is_filled_before_every_call_and_in_no_time(
    bundle: Path, machine: Machine, cuda: fake_cuda.Gpu
) -> None:
    (row,) = last(list(rows(case(bundle, batches=(1,), variant="cold-l2", energy=False))))
    calls = row.timing.warmup_calls + sum(map(len, row.timing.rounds_ns))
    assert cuda.log.count("fill 2000") == calls  # twice the size of the cache
    assert row.timing.p50_ms == 0.5


def test_a_cold_cache_needs_a_backend_that_lets_it_be_emptied_right_before_a_run(
    bundle: Path, machine: Machine, cuda: fake_cuda.Gpu, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = FakeGpu.compute_seconds

    def undisturbed(self, images, times, before=None):
        if before is not None:
            raise InputError(f"{NAME} lets nothing happen between its runs: measure cold-l2 in scope call")
        return plain(self, images, times)

    monkeypatch.setattr(FakeGpu, "compute_seconds", undisturbed)
    cold = case(bundle, batches=(1,), variant="cold-l2", energy=False)
    with pytest.raises(InputError, match="fakegpu lets nothing happen between its runs: measure cold-l2 in scope call"):
        list(rows(cold))
    list(rows(cold.model_copy(update={"scope": "call"})))
    assert "fill 2000" in cuda.log


def test_the_cold_cache_frees_what_it_took_and_uses_only_what_cuda_has(cuda: fake_cuda.Gpu) -> None:
    cold = ColdL2()
    cold()
    assert cuda.used() == 2000
    cold.free()
    assert (cuda.used(), cuda.streams) == (0, {})


def test_what_the_cold_cache_asks_of_cuda_is_there() -> None:
    real = pytest.importorskip("cuda.bindings.runtime")
    assert real.cudaMemsetAsync.__doc__.startswith("cudaMemsetAsync(devPtr, int value, size_t count, stream)")
    assert hasattr(real.cudaDeviceProp(), "l2CacheSize")


def test_a_backend_that_does_not_say_what_the_gpu_alone_takes_has_no_scope_compute(
    bundle: Path, machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(BACKENDS, NAME, "tests.support.fakes.fake_gpu:SilentGpu")
    with pytest.raises(InputError, match="fakegpu on cuda has no scope compute: it does not say what the GPU alone"):
        list(rows(case(bundle)))
