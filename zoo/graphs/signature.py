"""The signature of a foreign graph: name, number format and shape of what goes in and out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import InputError, nearest
from zoo.preprocess import Pixels

FORMATS = {"float": "float32", "double": "float64"}  # ONNX's words, where they are not numpy's
PICTURES = ("uint8", "float32", "float16")
RGB = 3


@dataclass(frozen=True)
class TensorInfo:
    """An input or an output. `dtype` in numpy's words; `shape`: None for a free side, or for an unknown rank."""

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None

    def __str__(self) -> str:
        """As messages show it: `float32 [?, 3, 224, 224]`."""
        sides = "..." if self.shape is None else ", ".join("?" if side is None else str(side) for side in self.shape)
        return f"{self.dtype} [{sides}]"

    @property
    def rank(self) -> int | None:
        """How many sides it has."""
        return None if self.shape is None else len(self.shape)


@dataclass(frozen=True)
class Signature:
    """One input and the outputs."""

    path: Path
    input: TensorInfo
    outputs: tuple[TensorInfo, ...]

    @classmethod
    def of_session(cls, session: Any, path: Path) -> Signature:
        """Of an `onnxruntime.InferenceSession`. `InputError` when it does not have exactly one input."""

        def info(each: Any) -> TensorInfo:
            kind = each.type.removeprefix("tensor(").removesuffix(")")
            shape = tuple(side if isinstance(side, int) else None for side in each.shape)
            return TensorInfo(each.name, FORMATS.get(kind, kind), shape)

        outputs = tuple(info(each) for each in session.get_outputs())
        return cls(path, _only([info(each) for each in session.get_inputs()], path), outputs)

    @classmethod
    def of_model(cls, model: Any, path: Path) -> Signature:
        """Of an `onnx.ModelProto`. `InputError` when it does not have exactly one input besides stored tensors."""
        from onnx import TensorProto

        def info(each: Any) -> TensorInfo:
            about = each.type.tensor_type
            kind = TensorProto.DataType.Name(about.elem_type).lower()
            sides = tuple(side.dim_value if side.HasField("dim_value") else None for side in about.shape.dim)
            return TensorInfo(each.name, FORMATS.get(kind, kind), sides if about.HasField("shape") else None)

        stored = {tensor.name for tensor in model.graph.initializer}
        inputs = [info(each) for each in model.graph.input if each.name not in stored]
        return cls(path, _only(inputs, path), tuple(info(each) for each in model.graph.output))

    @property
    def batch(self) -> int | None:
        """The one batch size that the input takes; None where it is free."""
        return self.input.shape[0] if self.input.shape else None

    @property
    def channels_first(self) -> bool:
        """Whether the input is [N, 3, height, width], and not [N, height, width, 3]."""
        return self.input.shape is not None and self.input.shape[1:2] == (RGB,)

    @property
    def sides(self) -> tuple[int | None, int | None]:
        """Height and width of the pictures; None where a side is free."""
        assert self.input.shape is not None
        height, width = self.input.shape[2:] if self.channels_first else self.input.shape[1:3]
        return height, width

    def check_picture(self, formats: Sequence[str] = PICTURES) -> None:
        """`InputError` unless the input is a batch of RGB pictures in one of these number formats."""
        shape = self.input.shape
        if self.input.dtype not in formats or shape is None or len(shape) != 4 or RGB not in (shape[1], shape[3]):
            needed = f"{' or '.join(formats)} [N, 3, height, width] or [N, height, width, 3]"
            raise InputError(f"{self.path} takes {self.input}, and {needed} is needed")

    def height_and_width(self, wanted: int | None, option: str) -> tuple[int, int]:
        """Of the pictures that the graph is to see: its own, or `wanted` for both where it leaves them free.

        `option`: where a person can say `wanted`. `InputError` when nobody says it, or when the graph says otherwise.
        """
        height, width = self.sides
        fixed = {side for side in (height, width) if side is not None}
        if wanted is not None and fixed - {wanted}:
            sides = " x ".join(map(str, dict.fromkeys(side for side in (height, width) if side is not None)))
            raise InputError(f"{self.path} takes pictures of {sides} pixels, not {wanted}: leave {option} out")
        free = wanted if wanted is not None else (fixed.pop() if len(fixed) == 1 else None)
        height, width = height or free, width or free
        if height is None or width is None:
            raise InputError(
                f"{self.path} takes {self.input}, pictures of any size: say with {option} which side it is to see"
            )
        return height, width

    def side(self, wanted: int | None, option: str) -> int:
        """The same of a graph that has to see squares."""
        height, width = self.height_and_width(wanted, option)
        if height != width:
            raise InputError(f"{self.path} takes {self.input}, and squares are needed")
        return height

    def output(self, wanted: str, option: str) -> TensorInfo:
        """The output of that name, or the only one. `option`: how a person names one, with `OUTPUT` in it."""
        names = [each.name for each in self.outputs]
        if wanted and wanted not in names:
            raise InputError(
                f"{self.path} has no output '{wanted}'; it has: {', '.join(names)}{nearest(wanted, names)}"
            )
        if not wanted and len(names) != 1:
            said = option.replace("OUTPUT", names[0])
            raise InputError(f"{self.path} has {len(names)} outputs; name one, as in {said}: {', '.join(names)}")
        return next(each for each in self.outputs if each.name == (wanted or names[0]))

    def fed(self, images: Pixels, mean: Sequence[float], std: Sequence[float]) -> npt.NDArray[Any]:
        """uint8 [N, height, width, 3] as the graph takes them.

        In its layout; for a graph of floats scaled to 0..1, less `mean`, divided by `std`, of each channel.
        """
        planes: npt.NDArray[Any] = images
        if self.input.dtype != "uint8":
            planes = (images / np.float32(255) - np.asarray(mean, np.float32)) / np.asarray(std, np.float32)
        planes = planes.transpose(0, 3, 1, 2) if self.channels_first else planes
        return np.ascontiguousarray(planes, dtype=self.input.dtype)


def _only(inputs: list[TensorInfo], path: Path) -> TensorInfo:
    if len(inputs) != 1:
        names = ", ".join(each.name for each in inputs)
        raise InputError(f"{path} has {len(inputs)} inputs ({names}), not one picture")
    return inputs[0]
