"""Where a training runs: the machine and its versions, and which of several processes this one is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

PACKAGES = ("distilzoo", "torch", "torchvision", "timm", "lightning", "numpy", "pillow")


def environment() -> dict[str, Any]:
    """What a run's `environment.json` says."""
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return {
        "machine": platform.machine(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "versions": versions,
    }


def first_process() -> bool:
    """Whether this process is the one that writes. Lightning, torchrun and SLURM number them in the environment."""
    return all(int(os.environ.get(name, 0)) == 0 for name in ("LOCAL_RANK", "RANK", "SLURM_PROCID"))


def wait_for_all() -> None:
    """Let every process of this training reach this line; nothing when there is one."""
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        torch.distributed.barrier()
