"""Compiling a trained network: graphs at each precision, proven against torch, packed as a bundle.

    import export

    export.pack(module, "name.zoo", labels=names, size=224, evidence=export.Evidence(calibration, test, targets))

`pack` takes any torch.nn.Module, `pack_onnx` an ONNX file, `pack_checkpoint` what a training of ours wrote. What they
need is imported when one of them is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from export.packing.request import Evidence, Options
    from export.packing.sources.checkpoint import pack_checkpoint
    from export.packing.sources.foreign import pack_onnx
    from export.packing.sources.module import pack

__all__ = ["Evidence", "Options", "pack", "pack_checkpoint", "pack_onnx"]

_HOME = {
    "Evidence": "packing.request",
    "Options": "packing.request",
    "pack": "packing.sources.module",
    "pack_checkpoint": "packing.sources.checkpoint",
    "pack_onnx": "packing.sources.foreign",
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'export' has no attribute '{name}'")
    return getattr(import_module(f"export.{_HOME[name]}"), name)
