"""Which GPU is meant, and what state it is in: NVIDIA's management library (NVML), asked between the rounds.

It ran on an H100, all but the energy counter; tests replace the functions of the real Python module.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bench.clock import Clock
from bench.evidence import Gpu
from zoo.errors import EnvironmentProblem, InputError, missing_package

CUDA = "cuda"
VISIBLE, ORDER = "CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER"
# NVML averages and latches over some tens of milliseconds: to ask more often says nothing new and costs host time.
LOOK_NS = 50_000_000
# Clocks move in steps of 15 MHz, and a step up and down is no change.
STEADY_LOOKS, STEADY_MHZ = 3, 15.0
BUSY = 10  # percent from which a row's reader should know: other work of that size shows in the times
REASONS = {
    "ApplicationsClocksSetting": "clocks set by hand",
    "SwPowerCap": "power cap",
    "HwSlowdown": "hardware slowdown",
    "SyncBoost": "sync boost",
    "SwThermalSlowdown": "temperature (driver)",
    "HwThermalSlowdown": "temperature (hardware)",
    "HwPowerBrakeSlowdown": "power brake",
    "DisplayClockSetting": "display clocks",
}


def is_gpu(device: str) -> bool:
    """Whether a device's name is of a GPU: `cuda`, `cuda:1`, `cuda:GPU-...`."""
    return device == CUDA or device.startswith(f"{CUDA}:")


@dataclass(frozen=True)
class Device:
    """A GPU as NVML knows it. `place`: where CUDA counts it, of those that this process may see."""

    place: int
    name: str
    uuid: str
    handle: Any

    @property
    def environment(self) -> dict[str, str]:
        """Makes it the only GPU, and the first, of a process that is started with these variables."""
        return {VISIBLE: self.uuid, ORDER: "PCI_BUS_ID"}


def find(asked: str, environment: Mapping[str, str] = os.environ) -> Device:
    """The GPU that `cuda` (the first), `cuda:INDEX` or `cuda:UUID` (or its beginning) names.

    `InputError` lists what is there; `EnvironmentProblem` when there is nothing, or no driver, or no way to ask it.
    """
    there = devices(environment)
    if not there:
        raise EnvironmentProblem("there is no GPU here that this process may see: measure on cpu")
    which = asked.partition(":")[2] or "0"
    found = [one for one in there if str(one.place) == which or (not which.isdecimal() and one.uuid.startswith(which))]
    if len(found) != 1 or not is_gpu(asked):
        known = ", ".join(f"{CUDA}:{one.place} ({one.name}, {one.uuid})" for one in there)
        raise InputError(f"no device '{asked}'; there are: cpu, {known}")
    return found[0]


def devices(environment: Mapping[str, str] = os.environ) -> list[Device]:
    """The GPUs that this process may see, in CUDA's order. Numbers in CUDA_VISIBLE_DEVICES count by PCI bus here."""
    nvml = _nvml()
    handles = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    every = [(nvml.nvmlDeviceGetName(handle), nvml.nvmlDeviceGetUUID(handle), handle) for handle in handles]
    if VISIBLE not in environment:
        return [Device(place, *one) for place, one in enumerate(every)]
    seen: list[Device] = []
    for word in (word.strip() for word in environment[VISIBLE].split(",")):
        named = [one for place, one in enumerate(every) if word and (str(place) == word or one[1].startswith(word))]
        if len(named) != 1 and word.startswith("MIG-"):  # a part of a GPU is not counted, but it has a name
            handle = _asked(nvml.nvmlDeviceGetHandleByUUID, word)
            named = [] if handle is None else [(nvml.nvmlDeviceGetName(handle), word, handle)]
        if len(named) != 1:
            break  # as CUDA does: what comes after a name that is not known is not seen
        seen.append(Device(len(seen), *named[0]))
    return seen


class State:
    """What a GPU was seen to do while something was measured: a `bench.measure.rounds.Watch`."""

    def __init__(self, device: Device, *, clock: Clock = time.perf_counter_ns) -> None:
        """To be made before this process uses the GPU: what it is busy with now is the work of others."""
        self._nvml, self._device, self._clock = _nvml(), device, clock
        self._looked = clock() - LOOK_NS
        self._mhz: list[float] = []
        self._power: int | None = None
        self._reasons = 0
        self._before = {one.pid for one in self._processes() or []}
        self._busy = self._others()

    def _others(self) -> int | None:
        """Percent of the last second. Nobody's processes there: what is still counted has ended."""
        running = self._processes()
        if running == []:
            return 0
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates)
        return None if rates is None else min(100, int(rates.gpu))

    def steady(self) -> bool:
        """Whether the last looks saw one clock."""
        self._looked = self._clock() - LOOK_NS
        self.look()
        latest = self._mhz[-STEADY_LOOKS:]
        return not self._mhz or (len(latest) == STEADY_LOOKS and max(latest) - min(latest) <= STEADY_MHZ)

    def start(self) -> None:
        """Forget the clocks of the warm-up: the row's range is that of the measurement."""
        self._mhz, self._reasons = self._mhz[-1:], 0

    def look(self) -> None:
        """Note clock, power state and reasons to run slower, if the last look was long enough ago."""
        now = self._clock()
        if now - self._looked < LOOK_NS:
            return
        self._looked = now
        mhz = self._ask(self._nvml.nvmlDeviceGetClockInfo, self._nvml.NVML_CLOCK_SM)
        if mhz is not None:
            self._mhz.append(float(mhz))
        self._reasons |= self._ask(self._nvml.nvmlDeviceGetCurrentClocksEventReasons) or 0
        power = self._ask(self._nvml.nvmlDeviceGetPerformanceState)
        self._power = power if self._power is None else max(self._power, power or 0)

    def seen(self) -> Gpu:
        """All of it, for a row."""
        nvml = self._nvml
        bits = {getattr(nvml, f"nvmlClocksEventReason{name}"): words for name, words in REASONS.items()}
        reasons = [words for bit, words in bits.items() if self._reasons & bit]
        if others := self._reasons & ~(sum(bits) | nvml.nvmlClocksEventReasonGpuIdle):
            reasons.append(f"other ({others:#x})")
        unknown = nvml.NVML_PSTATE_UNKNOWN
        return Gpu(
            name=self._device.name,
            memory=self._memory(),
            power_state=None if self._power in (None, unknown) else f"P{self._power}",
            sm_mhz=(min(self._mhz), max(self._mhz)) if self._mhz else None,
            throttle=sorted(reasons),
            busy=self._busy,
        )

    def _memory(self) -> int | None:
        """Of this process. In a container NVML numbers processes as the host does: the only new one is this."""
        new = [one for one in self._processes() or [] if one.pid not in self._before]
        mine = [one for one in new if one.pid == os.getpid()] or (new if len(new) == 1 else [])
        return mine[0].usedGpuMemory if mine else None

    def _processes(self) -> list[Any] | None:
        found: list[Any] | None = self._ask(self._nvml.nvmlDeviceGetComputeRunningProcesses)
        return found

    def _ask(self, function: Callable[..., Any], *more: Any) -> Any:
        return _asked(function, self._device.handle, *more)


class Nvml:
    """The energy counter of a GPU's board, which Volta and later have. A `bench.measure.energy.Meter`."""

    source: Literal["nvml"] = "nvml"
    seconds = 2.0  # it ticks every 20 to 100 ms: at least 20 ticks, so that the unsteadiness of the two ends is small

    def __init__(self, device: Device) -> None:
        self._read, self._device = _nvml().nvmlDeviceGetTotalEnergyConsumption, device

    def joules(self) -> float:
        """Since the driver was loaded."""
        return float(_asked(self._read, self._device.handle) or 0) / 1e3


def meter(device: Device) -> Nvml | str:
    """The GPU's energy counter, or in one line why there is none."""
    if _asked(_nvml().nvmlDeviceGetTotalEnergyConsumption, device.handle) is None:
        return f"the {device.name} does not count its energy, or not for this process"
    return Nvml(device)


def _nvml() -> Any:
    """The module `pynvml`, ready to be asked."""
    try:
        import pynvml
    except ImportError:
        raise missing_package("nvidia-ml-py", "bench", "measuring on a GPU") from None
    try:
        pynvml.nvmlInit()  # counted by the library: a second time costs nothing
    except pynvml.NVMLError as error:
        raise EnvironmentProblem(f"there is no GPU here, or no driver for it: {error}") from None
    return pynvml


def _asked(function: Callable[..., Any], *arguments: Any) -> Any:
    """What NVML answers; None for what this GPU, or its owner, does not tell. A GPU that is gone is an error."""
    import pynvml

    try:
        return function(*arguments)
    except pynvml.NVMLError as error:
        silent = {
            pynvml.NVML_ERROR_NOT_SUPPORTED,
            pynvml.NVML_ERROR_NO_PERMISSION,
            pynvml.NVML_ERROR_FUNCTION_NOT_FOUND,
            pynvml.NVML_ERROR_NOT_FOUND,
        }
        if error.value in silent:
            return None
        raise EnvironmentProblem(f"the GPU does not answer any more: {error}") from None
