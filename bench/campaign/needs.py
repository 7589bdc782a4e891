"""What a step needs and this machine may lack. Asked without importing anything heavy."""

from __future__ import annotations

import importlib.util
from pathlib import Path

GPU = Path("/proc/driver/nvidia/gpus")  # a folder for each GPU that the driver knows


def lacking(needs: tuple[str, ...]) -> str | None:
    """Why a step cannot run here, or None."""
    for need in needs:
        if need == "cuda":
            if not GPU.is_dir():
                return "there is no CUDA GPU here"
        elif "/" in need:
            if not Path(need).exists():
                return f"there is no {need}"
        elif importlib.util.find_spec(need) is None:
            return f"{need} is not installed"
    return None
