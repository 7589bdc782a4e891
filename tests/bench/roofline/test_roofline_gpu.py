"""A GPU's ceilings, on a stand-in whose clock is known: torch's own tensors on the CPU, and a device that keeps time.

Every name that is used must be there in the real torch, so that a call that it does not have fails here.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

from bench.roofline import gpu
from bench.roofline.gpu import gpu_ceilings, steps

torch = pytest.importorskip("torch")

SECONDS = 1e-3  # of every kernel
L2 = 2**20


class Device:
    """The clock of the stand-in: each kernel takes a millisecond of it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.products: list[tuple[str, str, bool]] = []
        self.launched = 0

    def kernel(self) -> None:
        self.now += SECONDS
        self.launched += 1


class Stand:
    """Passes on what the real module has, and nothing else, but for what is overridden."""

    def __init__(self, real: Any, **own: Any) -> None:
        self._real, self._own = real, own
        for name in own:
            assert hasattr(real, name), f"the real {real!r} has no {name}"

    def __getattr__(self, name: str) -> Any:
        return self._own[name] if name in self._own else getattr(self._real, name)


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    """torch as `bench.roofline.gpu` imports it, with a GPU that has no int8 products."""
    device = Device()

    class Event:
        def __init__(self, enable_timing: bool) -> None:
            assert enable_timing

        def record(self) -> None:
            self.at = device.now

        def synchronize(self) -> None: ...

        def elapsed_time(self, end: Event) -> float:
            return (end.at - self.at) * 1e3

    class Graph:
        def replay(self) -> None:
            device.kernel()

    def product(a: Any, b: Any, *, out: Any) -> Any:
        device.kernel()
        precision, half = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_fp16_accumulation
        device.products.append((str(a.dtype), precision, half))
        return out

    def no_integers(a: Any, b: Any) -> Any:
        raise RuntimeError("_int_mm is not implemented here")

    def on_the_cpu(make: Any) -> Any:
        def made(*sizes: Any, device: str, **options: Any) -> Any:
            assert device == "cuda"
            return Counted(make(*sizes, **options))

        return made

    class Counted:
        """A tensor; what is done in place is a kernel."""

        def __init__(self, tensor: Any) -> None:
            self.tensor, self.nbytes, self.dtype = tensor, tensor.nbytes, tensor.dtype

        def copy_(self, source: Counted) -> None:
            device.kernel()

        def add_(self, number: int) -> None:
            device.kernel()

        def t(self) -> Counted:
            return self

    for name in ("Event", "CUDAGraph", "graph", "synchronize", "get_device_name", "get_device_properties"):
        assert hasattr(torch.cuda, name)
    assert "L2_cache_size" in dir(torch._C._CudaDeviceProperties)
    cuda = Stand(
        torch.cuda,
        is_available=lambda: True,
        synchronize=lambda: None,
        get_device_name=lambda index: "Test GPU",
        get_device_properties=lambda index: SimpleNamespace(L2_cache_size=L2),
        Event=Event,
        CUDAGraph=Graph,
        graph=lambda recorded: contextlib.nullcontext(),
    )
    stand = Stand(
        torch,
        cuda=cuda,
        mm=product,
        _int_mm=no_integers,
        empty_like=lambda like: like,
        **{name: on_the_cpu(getattr(torch, name)) for name in ("randn", "randint", "ones", "empty", "zeros")},
    )
    monkeypatch.setitem(__import__("sys").modules, "torch", stand)
    monkeypatch.setattr(gpu, "MAIN_MEMORY", 2**22)
    return device


def test_rates_are_operations_by_the_devices_own_clock(device: Device) -> None:
    called: list[int] = []
    found = gpu_ceilings(lambda: called.append(1), sides=(16, 64))
    assert found.name == "Test GPU"
    assert {one.precision: one.flops_per_second for one in found.rates} == {
        precision: pytest.approx(2 * 64**3 / SECONDS) for precision in ("fp32", "tf32", "fp16", "bf16")
    }
    assert found.rates[0].by == "torch, matrix product 64 x 64 x 64"
    assert len(called) == steps((16, 64))


def test_each_precision_is_asked_for_and_nothing_stays_set(device: Device) -> None:
    before = torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_fp16_accumulation
    gpu_ceilings(lambda: None, sides=(16,))
    assert list(dict.fromkeys(device.products)) == [
        ("torch.float32", "highest", False),
        ("torch.float32", "high", False),
        ("torch.float16", "highest", True),
        ("torch.bfloat16", "highest", False),
    ]
    assert (torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_fp16_accumulation) == before


def test_copies_count_both_ways_and_leave_the_cache_out(device: Device) -> None:
    found = gpu_ceilings(lambda: None, sides=(16,))
    assert [(one.working_set, one.bytes_per_second) for one in found.bandwidths] == [
        (2 * L2, pytest.approx(2 * L2 / SECONDS)),
        (None, pytest.approx(8 * L2 / SECONDS)),
    ]


def test_a_launch_is_the_time_from_one_kernel_to_the_next(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: device.now)
    assert gpu_ceilings(lambda: None, sides=(16,)).launch_us == pytest.approx(SECONDS * 1e6)
