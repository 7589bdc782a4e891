import os
from types import SimpleNamespace

import pytest

from bench.gpu import Nvml, State, devices, find, is_gpu, meter
from tests.support.fakes.fake_nvml import UUIDS, Machine, pynvml
from zoo.errors import EnvironmentProblem, InputError


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def test_a_gpu_is_named_by_place_or_uuid_among_those_that_may_be_seen(machine: Machine) -> None:
    assert [find(name, {}).uuid for name in ("cuda", "cuda:2", "cuda:GPU-2222b")] == [UUIDS[0], UUIDS[2], UUIDS[1]]
    seen = {"CUDA_VISIBLE_DEVICES": "2, GPU-1111,7,0"}
    assert [one.uuid for one in devices(seen)] == [UUIDS[2], UUIDS[0]]  # after what is not known, CUDA sees nothing
    assert find("cuda", seen).uuid == UUIDS[2]
    assert find("cuda:1", seen).environment == {"CUDA_VISIBLE_DEVICES": UUIDS[0], "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert find("cuda", find("cuda:1", seen).environment).uuid == UUIDS[0]  # as the child process asks
    part = find("cuda", {"CUDA_VISIBLE_DEVICES": "MIG-77"})
    assert (part.uuid, part.handle) == ("MIG-77", "MIG-77")
    assert [is_gpu(name) for name in ("cpu", "cuda", "cuda:0", "cudax")] == [False, True, True, False]


@pytest.mark.parametrize("name", ["cuda:3", "cuda:GPU-2222", "cuda:GPU-9", "cuda:-1", "gpu"])
def test_a_gpu_that_is_not_there_is_one_line_that_lists_those_that_are(machine: Machine, name: str) -> None:
    with pytest.raises(InputError) as caught:
        find(name, {})
    assert str(caught.value) == (
        f"no device '{name}'; there are: cpu, cuda:0 (NVIDIA Test, {UUIDS[0]}), cuda:1 (NVIDIA Test, {UUIDS[1]}), "
        f"cuda:2 (NVIDIA Test, {UUIDS[2]})"
    )


def test_no_driver_or_nothing_to_see_is_a_problem_of_the_machine(machine: Machine) -> None:
    with pytest.raises(EnvironmentProblem, match="no GPU here that this process may see"):
        find("cuda", {"CUDA_VISIBLE_DEVICES": ""})
    machine.answers["nvmlInit"] = pynvml.NVMLError(pynvml.NVML_ERROR_DRIVER_NOT_LOADED)
    with pytest.raises(EnvironmentProblem, match="there is no GPU here, or no driver for it: Driver Not Loaded"):
        find("cuda", {})


def test_what_was_seen_of_a_gpu_while_it_was_measured(machine: Machine) -> None:
    state = State(find("cuda:1", {}), clock=machine.clock)
    for mhz in (210, 900, 1980):  # the warm-up
        machine.answers["nvmlDeviceGetClockInfo"] = mhz
        assert not state.steady()
    assert [state.steady(), state.steady()] == [False, True]
    state.start()
    machine.answers |= {
        "nvmlDeviceGetClockInfo": 1755,
        "nvmlDeviceGetPerformanceState": 2,
        "nvmlDeviceGetCurrentClocksEventReasons": pynvml.nvmlClocksEventReasonSwPowerCap | 1 | 0x200,
    }
    state.look()
    mine = SimpleNamespace(pid=os.getpid(), usedGpuMemory=3 * 2**28)
    machine.answers["nvmlDeviceGetComputeRunningProcesses"] = [SimpleNamespace(pid=1, usedGpuMemory=1), mine]
    seen = state.seen()
    assert (seen.name, seen.power_state, seen.sm_mhz) == ("NVIDIA Test", "P2", (1755, 1980))
    assert (seen.throttle, seen.memory, seen.busy) == (["other (0x200)", "power cap"], 3 * 2**28, 0)


def test_it_is_not_asked_more_often_than_it_has_something_to_say(machine: Machine) -> None:
    asked = []
    machine.answers["nvmlDeviceGetClockInfo"] = lambda handle, kind: asked.append(kind) or 1000
    now = [0]
    state = State(find("cuda", {}), clock=lambda: now[0])
    for now[0] in range(0, 200_000_000, 10_000_000):
        state.look()
    assert asked == [pynvml.NVML_CLOCK_SM] * 4


def test_a_busy_gpu_is_busy_with_the_processes_of_others(machine: Machine) -> None:
    other = SimpleNamespace(pid=os.getpid() + 1, usedGpuMemory=7)
    machine.answers["nvmlDeviceGetComputeRunningProcesses"] = [other]
    state = State(find("cuda", {}))
    assert (state.seen().busy, state.seen().memory) == (37, None)
    contained = SimpleNamespace(pid=os.getpid() + 2, usedGpuMemory=9)  # this process, as the host numbers it
    machine.answers["nvmlDeviceGetComputeRunningProcesses"] = [other, contained]
    assert state.seen().memory == 9


def test_what_a_gpu_does_not_tell_is_null_and_one_that_is_gone_is_an_error(machine: Machine) -> None:
    quiet = pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
    told = [name for name in machine.answers if name.startswith("nvmlDeviceGet")][5:]
    machine.answers |= dict.fromkeys(told, quiet)
    device = find("cuda", {})
    state = State(device, clock=machine.clock)
    assert state.steady()  # what cannot be seen is not waited for
    seen = state.seen()
    assert (seen.memory, seen.power_state, seen.sm_mhz, seen.throttle, seen.busy) == (None, None, None, [], None)
    assert meter(device) == "the NVIDIA Test does not count its energy, or not for this process"

    machine.answers["nvmlDeviceGetClockInfo"] = pynvml.NVMLError(pynvml.NVML_ERROR_GPU_IS_LOST)
    with pytest.raises(EnvironmentProblem, match="the GPU does not answer any more: GPU is lost"):
        state.look()


def test_the_energy_counter_is_read_in_joules(machine: Machine) -> None:
    counter = meter(find("cuda", {}))
    assert isinstance(counter, Nvml)
    assert counter.joules() == 123.456
