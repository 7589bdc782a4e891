"""What decides how fast an engine is here: the processor, the cores that may be used, the libraries."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

CPU_INFO = Path("/proc/cpuinfo")
# Packages that may provide a library that engines run on, and what the library is called when it is imported.
LIBRARIES = {
    "onnxruntime-gpu": "onnxruntime",
    "onnxruntime": "onnxruntime",
    "openvino": "openvino",
    "tensorrt": "tensorrt",
    "torch": "torch",
}


def cores() -> int:
    """How many cores this process may use; all that there are where the system keeps no process to some of them."""
    if hasattr(os, "sched_getaffinity"):  # Linux alone
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name."""
    try:
        lines = CPU_INFO.read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            return value.strip()
    return platform.processor() or platform.machine()  # Arm's cpuinfo has no model name


def instructions() -> list[str]:
    """What the processor says that it can do, sorted: `avx2`, `fma` and so on; nothing where it does not say."""
    for line in CPU_INFO.read_text(encoding="utf-8").splitlines() if CPU_INFO.is_file() else ():
        key, _, value = line.partition(":")
        if key.strip() in {"flags", "Features"}:  # as x86 and Arm call them
            return sorted(value.split())
    return []


def libraries() -> dict[str, str]:
    """Name and version of each installed package that an engine may run on."""
    found = {}
    for package in LIBRARIES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
