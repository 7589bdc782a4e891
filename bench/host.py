"""The machine that a number belongs to.

Times of different machines are never compared: `fingerprint` says whether two results come from the same one. It
holds no host name, address or serial number, so that a results file can be published.
"""

from __future__ import annotations

import hashlib
import json
import platform
from pathlib import Path

from pydantic import Field

from zoo.errors import missing_package
from zoo.machine import cores, cpu_model
from zoo.schemas import Strict

GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
CPU_QUOTA = Path("/sys/fs/cgroup/cpu.max")
SPEED_FACTS = {"architecture", "cpu", "cores", "cpu_quota", "memory_gib", "governor"}


class Host(Strict):
    """What is known about the machine when a suite starts."""

    architecture: str
    cpu: str
    cores: int = Field(gt=0, description="cores that this process may use")
    cpu_quota: float | None = Field(description="cores' worth of time that the control group allows; null: no limit")
    memory_gib: float
    governor: str | None = Field(description="frequency governor; null: not readable, as on virtual machines")
    system: str
    kernel: str
    python: str
    load_average: float = Field(description="of the last minute before the suite: > 0.5 means that others were at work")

    @property
    def fingerprint(self) -> str:
        """Hex SHA-256 of the facts that decide speed; updates of the system or of Python do not change it."""
        facts = self.model_dump(include=SPEED_FACTS)
        return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()

    @property
    def summary(self) -> str:
        """One line for people."""
        cores = f"{self.cores} core{'s' if self.cores != 1 else ''}"
        return f"{self.cpu}, {cores}, {self.memory_gib:g} GiB, {self.system}"


def this_host() -> Host:
    """The facts of this machine, now. `EnvironmentProblem` when psutil is missing."""
    try:
        import psutil
    except ImportError:
        raise missing_package("psutil", "bench", "measuring") from None
    return Host(
        architecture=platform.machine(),
        cpu=cpu_model(),
        cores=cores(),
        cpu_quota=_cpu_quota(),
        memory_gib=round(psutil.virtual_memory().total / 2**30, 1),
        governor=_text(GOVERNOR),
        system=_system_name(),
        kernel=platform.release(),
        python=platform.python_version(),
        load_average=round(psutil.getloadavg()[0], 2),
    )


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError:
        return None


def _cpu_quota() -> float | None:
    quota, _, period = (_text(CPU_QUOTA) or "max").partition(" ")
    return None if quota == "max" else round(int(quota) / int(period), 2)


def _system_name() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return platform.platform(terse=True)


def peak_memory() -> int | None:
    """Largest resident memory of this process so far, in bytes; None where the system does not say.

    Not `ru_maxrss`: Linux hands that of the parent on to the program that a child executes.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(words[1]) * 1024 for words in lines if words[0] == "VmHWM:"), None)
