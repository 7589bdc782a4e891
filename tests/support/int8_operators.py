"""The operators of the domain `zoo.int8` in NumPy, and small Q/DQ graphs to rewrite, made node by node."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]


def _windows(x: Array, kernel: list[int], strides: list[int], pads: list[int], fill: int) -> Array:
    """[N, OH, OW, C, KH, KW]."""
    padded = np.pad(x, ((0, 0), (pads[0], pads[2]), (pads[1], pads[3]), (0, 0)), constant_values=fill)
    seen = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis=(1, 2))
    return seen[:, :: strides[0], :: strides[1]]


def _level(value: Array, low: int = 0, high: int = 255) -> Array:
    return np.clip(np.rint(value), low, high).astype(np.uint8)


class QConv(OpRun):
    op_domain = "zoo.int8"

    def _run(
        self, x, w, multiplier, offset, residual=None, strides=None, pads=None, group=None, x_zero=None,
        residual_multiplier=None, low=None, high=None,
    ):  # fmt: skip
        assert (x.dtype, w.dtype, multiplier.dtype, offset.dtype) == (np.uint8, np.int8, np.float32, np.float32)
        seen = _windows(x, w.shape[1:3], strides, pads, x_zero).astype(np.int64) - x_zero
        kernel = w.astype(np.int64)
        rule = "nyxchw,ohwc->nyxo" if group == 1 else "nyxchw,chwi->nyxc"
        answer = multiplier * np.einsum(rule, seen, kernel) + offset
        if residual is not None:
            assert residual.dtype == np.uint8
            assert residual.shape == answer.shape
            answer = answer + residual_multiplier * residual.astype(np.float64)
        return (_level(answer, low, high),)


class QMaxPool(OpRun):
    op_domain = "zoo.int8"

    def _run(self, x, kernel_shape=None, strides=None, pads=None):
        return (_windows(x, kernel_shape, strides, pads, 0).max(axis=(-2, -1)),)


class QMean(OpRun):
    op_domain = "zoo.int8"

    def _run(self, x, multiplier=None, offset=None):
        return (_level(multiplier * x.astype(np.int64).sum(axis=(1, 2)) + offset),)


class QLevels(OpRun):
    op_domain = "zoo.int8"

    def _run(self, x, table):
        return (table[np.arange(x.shape[3]), x],)


def answer(model: onnx.ModelProto, images: Array) -> Array:
    """What a rewritten graph answers, without any library of ours."""
    evaluator = ReferenceEvaluator(model, new_ops=[QConv, QMaxPool, QMean, QLevels])
    found: Array = evaluator.run(None, {"image": images})[0]
    return found


class Qdq:
    """A graph of uint8 [N, 32, 32, 3], grown layer by layer; what each method returns is a dequantised tensor, and
    `ranges` are the scale and zero point of each.
    """

    def __init__(self, opset: int = 20, seed: int = 0) -> None:
        self._random = np.random.default_rng(seed)
        self._opset = opset
        self.nodes: list[onnx.NodeProto] = []
        self._stored: list[onnx.TensorProto] = []
        self.ranges: dict[str, tuple[float, int]] = {}
        self._channels: dict[str, int] = {}
        floats = self.node("Cast", ["image"], to=TensorProto.FLOAT)
        maps = self.node("Transpose", [floats], perm=[0, 3, 1, 2])
        mean = self.stored(np.array([120, 110, 100], np.float32).reshape(1, 3, 1, 1))
        centred = self.node("Sub", [maps, mean])
        self.image = self.quantised(self.node("Div", [centred, self.stored(np.float32(60))]), 0.0172, 117, 3)

    def node(self, kind: str, inputs: list[str], **settings: Any) -> str:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], f"node_{name}", **settings))
        return name

    def stored(self, array: Array) -> str:
        name = f"stored_{len(self._stored)}"
        self._stored.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def quantised(self, name: str, scale: float, zero: int, channels: int) -> str:
        given = [self.stored(np.float32(scale)), self.stored(np.uint8(zero))]
        levels = self.node("QuantizeLinear", [name, *given])
        found = self.node("DequantizeLinear", [levels, *given])
        self.ranges[found], self._channels[found] = (scale, zero), channels
        return found

    def conv(
        self, x: str, channels: int, kernel: int = 3, *, stride: int = 1, group: int = 1, dilation: int = 1,
        bias: str = "int32", per_channel: bool = True, zero: int = 121, clip: tuple[float, float] | None = None,
        relu: bool = False, pads: list[int] | None = None, spread: int = 40, heaviest: int = 63,
    ) -> str:  # fmt: skip
        """`clip` in levels above and below the zero point; `spread`: deviation of the answers, in levels."""
        inner = self._channels[x] // group
        scale = self.ranges[x][0]
        count = channels if per_channel else 1
        steps = self._random.uniform(0.5, 2, count).astype(np.float32) * np.float32(1e-3)
        levels = self._random.integers(-heaviest, heaviest + 1, (channels, inner, kernel, kernel), dtype=np.int8)
        zeros = self.stored(np.zeros(count if per_channel else (), np.int8))
        scales = self.stored(steps if per_channel else steps[0])
        weights = self.node("DequantizeLinear", [self.stored(levels), scales, zeros], axis=0)
        inputs = [x, weights]
        out = scale * 1e-3 * math.sqrt(inner * kernel * kernel) * 36 * 60 / spread
        if bias == "float":
            inputs.append(self.stored(self._random.normal(0, 20 * out, channels).astype(np.float32)))
        elif bias == "int32":
            wide = np.full(channels, 20 * out / (scale * 1e-3))
            whole = self._random.normal(0, wide).astype(np.int32)
            each = np.broadcast_to(np.float32(scale) * steps, (channels,)).astype(np.float32)
            given = [self.stored(whole), self.stored(each), self.stored(np.zeros(channels, np.int32))]
            inputs.append(self.node("DequantizeLinear", given, axis=0))
        pad = dilation * (kernel // 2)
        name = self.node(
            "Conv", inputs, kernel_shape=[kernel] * 2, strides=[stride] * 2, group=group, dilations=[dilation] * 2,
            pads=pads or [pad] * 4,
        )  # fmt: skip
        if relu:
            name = self.node("Relu", [name])
        if clip is not None:
            name = self.node("Clip", [name, *(self.stored(np.float32(bound * out)) for bound in clip)])
        return self.quantised(name, out, zero, channels)

    def add(self, one: str, other: str, zero: int = 0) -> str:
        scale = math.hypot(self.ranges[one][0], self.ranges[other][0])
        return self.quantised(self.node("Add", [one, other]), scale, zero, self._channels[one])

    def like(self, kind: str, x: str, **settings: Any) -> str:
        """A layer that changes neither the range nor the channels."""
        return self.quantised(self.node(kind, [x], **settings), *self.ranges[x], self._channels[x])

    def model(self, output: str, shape: list[Any]) -> onnx.ModelProto:
        graph = helper.make_graph(
            self.nodes,
            "qdq",
            [helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 32, 32, 3])],
            [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", *shape])],
            self._stored,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self._opset)], ir_version=10)
        onnx.checker.check_model(model, full_check=True)
        return model
