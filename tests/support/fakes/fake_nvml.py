"""NVIDIA's management library with three GPUs behind it, which are not there.

The real Python module is asked: a function that it lacks cannot be replaced, and arguments that it does not take fail.
"""

from __future__ import annotations

import inspect
from types import SimpleNamespace

import pytest

pynvml = pytest.importorskip("pynvml")
UUIDS = ["GPU-1111aaaa-0000", "GPU-2222bbbb-0000", "GPU-2222cccc-0000"]


class Machine:
    """Three GPUs. `answers`: what a function of NVML says, or the NVML error code that it raises."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 0
        self.answers = {
            "nvmlInit": None,
            "nvmlDeviceGetCount": 3,
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetHandleByUUID": lambda uuid: uuid,
            "nvmlDeviceGetName": "NVIDIA Test",
            "nvmlDeviceGetUUID": lambda index: UUIDS[index],
            "nvmlDeviceGetClockInfo": 1980,
            "nvmlDeviceGetPerformanceState": 0,
            "nvmlDeviceGetCurrentClocksEventReasons": pynvml.nvmlClocksEventReasonGpuIdle,
            "nvmlDeviceGetComputeRunningProcesses": [],
            "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=37, memory=0),
            "nvmlDeviceGetTotalEnergyConsumption": 123_456,
        }
        for name in self.answers:
            monkeypatch.setattr(pynvml, name, self._function(name, inspect.signature(getattr(pynvml, name))))

    def _function(self, name: str, signature: inspect.Signature):
        def function(*arguments):
            signature.bind(*arguments)
            answer = self.answers[name]
            if isinstance(answer, pynvml.NVMLError):
                raise answer
            return answer(*arguments) if callable(answer) else answer

        return function

    def clock(self) -> int:
        self.now += 60_000_000
        return self.now
