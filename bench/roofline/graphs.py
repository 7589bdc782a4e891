"""Graphs of nothing but arithmetic, with a bundle's signature: what engines reach on them is a ceiling for engines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

LAYERS = 5  # enough that what stands at both ends of the graph costs next to nothing beside them
OPSET, IR = 20, 10  # as `zoo export` writes them
WIDTH = 64  # of the input picture in pixels; its height is what it takes
Numbers = npt.NDArray[Any]


@dataclass(frozen=True)
class Shape:
    """One kind of layer, `LAYERS` times with the same weights. `kernel` 0: a matrix product of `rows` rows."""

    kernel: int
    channels: int
    rows: int

    @property
    def title(self) -> str:
        """The layer in a few words."""
        if self.kernel == 0:
            return f"matrix product {self.rows} x {self.channels} x {self.channels}"
        side = f"{self.kernel}x{self.kernel}"
        return f"{side} convolution, {self.channels} channels, {self.rows} x {self.rows} pixels"

    @property
    def size(self) -> list[int]:
        """Of what goes from layer to layer, for one image."""
        return [self.channels, self.rows, self.rows] if self.kernel else [self.rows, self.channels]


# Kernels differ in what suits them: the rows and the depth of a product, maps that fit in a cache or do not. Each of
# these is the best one for some library in some arithmetic; the best of all is the ceiling.
SHAPES: Final = (Shape(0, 1024, 512), Shape(1, 512, 28), Shape(3, 128, 56), Shape(3, 256, 28), Shape(3, 512, 14))


def probe(shape: Shape, precision: str) -> Any:
    """An `onnx.ModelProto` of these layers, uint8 [N, H, 64, 3] in, float32 [1, 1] out; precision fp32, fp16 or int8.

    int8 is the flavour for CPUs: unsigned activations, weights of 7 bits for each channel, as `zoo export` packs it.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    kind = np.float16 if precision == "fp16" else np.float32
    nodes: list[Any] = []
    stored: list[Any] = []

    def add(operator: str, inputs: list[str], **attributes: Any) -> str:
        nodes.append(helper.make_node(operator, inputs, [f"{operator}_{len(nodes)}"], f"n{len(nodes)}", **attributes))
        return str(nodes[-1].output[0])

    def keep(name: str, value: npt.ArrayLike) -> str:
        stored.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def quantised(tensor: str) -> str:
        inner = add("QuantizeLinear", [tensor, "scale", "zero"])
        return add("DequantizeLinear", [inner, "scale", "zero"])

    needed = int(np.prod(shape.size))
    height = -(-needed // (3 * WIDTH))
    ends = [keep("start", np.array([0])), keep("end", np.array([needed])), keep("axis", np.array([1]))]
    bytes_ = add(
        "Slice", [add("Flatten", ["image"]), *ends]
    )  # bytes are cheap to move; floats would be four times that
    tensor = add("Reshape", [bytes_, keep("size", np.array([-1, *shape.size]))])
    if precision == "int8":
        keep("scale", np.float32(1 / 32))
        keep("zero", np.uint8(128))
        tensor = add("DequantizeLinear", [tensor, "scale", "zero"])
        codes, steps = _codes(shape)
        keep("weight.steps", steps)
        keep("weight.zeros", np.zeros(shape.channels, np.int8))
        axis = 0 if shape.kernel else 1
        weight = add("DequantizeLinear", [keep("weight", codes), "weight.steps", "weight.zeros"], axis=axis)
    else:
        floats = add("Cast", [tensor], to=TensorProto.FLOAT16 if precision == "fp16" else TensorProto.FLOAT)
        tensor = add("Mul", [floats, keep("narrow", kind(1 / 128))])
        weight = keep("weight", _weight(shape).astype(kind))
    for _ in range(LAYERS):
        if shape.kernel:
            tensor = add("Conv", [tensor, weight], pads=[shape.kernel // 2] * 4)
        else:
            tensor = add("MatMul", [tensor, weight])
        tensor = quantised(tensor) if precision == "int8" else tensor
    mean = add("Cast", [add("ReduceMean", [tensor], keepdims=0)], to=TensorProto.FLOAT)
    nodes.append(helper.make_node("Reshape", [mean, keep("one", np.array([1, 1]))], ["output"], "output"))
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", height, WIDTH, 3])
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, [1, 1])
    graph = helper.make_graph(nodes, "probe", [image], [output], stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR)
    onnx.checker.check_model(model, full_check=True)
    return model


def _weight(shape: Shape) -> Numbers:
    """Random weights that leave the size of the numbers as it is, layer after layer: nothing overflows or dies out."""
    form = (shape.channels, shape.channels, *[shape.kernel] * 2) if shape.kernel else (shape.channels,) * 2
    terms = shape.channels * max(shape.kernel, 1) ** 2
    return np.random.default_rng(0).normal(0, terms**-0.5, form)


def _codes(shape: Shape) -> tuple[Numbers, Numbers]:
    """The weights in 7 bits, and the step of each channel."""
    weight = _weight(shape)
    step = float(np.abs(weight).max()) / 63
    return np.round(weight / step).astype(np.int8), np.full(shape.channels, step, np.float32)
