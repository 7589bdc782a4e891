"""The operators of libzoo_ops, run by ONNX Runtime, against whole numbers in NumPy."""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.support.libzoo import checked, python

U8, RNG = TensorProto.UINT8, np.random.default_rng(11)


def run(
    ops: Path, kind: str, inputs: list[npt.NDArray[Any]], stored: list[npt.NDArray[Any]], threads: int = 2, **how: Any
) -> npt.NDArray[np.uint8]:
    """One operator on `inputs`, its first and its last ones; `stored` are those between."""
    from zoo.engines.onnxruntime.session import library

    names = [f"x{at}" for at in range(len(inputs))]
    constants = [numpy_helper.from_array(array, f"w{at}") for at, array in enumerate(stored)]
    node = helper.make_node(
        kind, [names[0], *(constant.name for constant in constants), *names[1:]], ["y"], domain="zoo.int8", **how
    )
    graph = helper.make_graph(
        [node],
        "one",
        [helper.make_tensor_value_info(name, U8, [None] * x.ndim) for name, x in zip(names, inputs, strict=True)],
        [helper.make_tensor_value_info("y", U8, None)],
        constants,
    )
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("zoo.int8", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = library().SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = threads, 4
    options.register_custom_ops_library(str(ops))
    session = library().InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    answer: npt.NDArray[np.uint8] = session.run(None, dict(zip(names, inputs, strict=True)))[0]
    return answer


def windows(x: npt.NDArray[Any], size: tuple[int, int], strides: tuple[int, int], pads: list[int], fill: int) -> Any:
    """What lies under each window: [N, OH, OW, KH, KW, C]."""
    top, left, bottom, right = pads
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=fill)
    seen = np.lib.stride_tricks.sliding_window_view(padded, size, axis=(1, 2))
    return seen[:, :: strides[0], :: strides[1]].transpose(0, 1, 2, 4, 5, 3)


# name: images, height, width, channels in and out, window, stride, pads, depthwise
LAYERS: dict[str, tuple[int, int, int, int, int, tuple[int, int], int, list[int], bool]] = {
    "winograd": (1, 8, 8, 16, 16, (3, 3), 1, [1, 1, 1, 1], False),
    "winograd, no whole tiles": (3, 7, 13, 32, 24, (3, 3), 1, [1, 1, 1, 1], False),
    "winograd, one pixel": (2, 1, 1, 16, 5, (3, 3), 1, [1, 1, 1, 1], False),
    "winograd, blocks of one thread": (2, 30, 29, 32, 40, (3, 3), 1, [1, 1, 1, 1], False),
    "winograd, shared tiles": (7, 16, 15, 144, 48, (3, 3), 1, [1, 1, 1, 1], False),
    "too many channels for winograd": (1, 5, 6, 1536, 16, (3, 3), 1, [1, 1, 1, 1], False),
    "winograd, a small map": (1, 7, 7, 64, 48, (3, 3), 1, [1, 1, 1, 1], False),
    "3x3 of few channels": (2, 9, 8, 3, 18, (3, 3), 1, [1, 1, 1, 1], False),
    "3x3, stride 2": (1, 15, 14, 20, 32, (3, 3), 2, [1, 1, 1, 1], False),
    "3x3, no pads": (1, 6, 6, 16, 16, (3, 3), 1, [0, 0, 0, 0], False),
    "stem 7x7": (2, 33, 30, 3, 64, (7, 7), 2, [3, 3, 3, 3], False),
    "1x1": (2, 13, 9, 24, 96, (1, 1), 1, [0, 0, 0, 0], False),
    "1x1, odd channels": (1, 6, 7, 5, 7, (1, 1), 1, [0, 0, 0, 0], False),
    "1x1, stride 2": (1, 8, 9, 16, 20, (1, 1), 2, [0, 0, 0, 0], False),
    "1x7": (1, 9, 11, 6, 8, (1, 7), 1, [0, 3, 0, 3], False),
    "pads of one side": (1, 9, 11, 4, 8, (3, 3), 2, [0, 0, 1, 1], False),
    "depthwise": (2, 12, 10, 32, 32, (3, 3), 1, [1, 1, 1, 1], True),
    "depthwise, stride 2": (1, 11, 13, 24, 24, (3, 3), 2, [0, 0, 1, 1], True),
    "depthwise 5x5": (1, 9, 9, 19, 19, (5, 5), 1, [2, 2, 2, 2], True),
    "depthwise, few channels": (2, 7, 9, 6, 6, (3, 3), 2, [1, 1, 1, 1], True),
    "depthwise, no whole panels": (1, 7, 9, 75, 75, (3, 3), 1, [1, 1, 1, 1], True),
    "depthwise, no pads": (1, 7, 9, 40, 40, (3, 5), 2, [0, 0, 0, 0], True),
    "depthwise, larger than the picture": (1, 2, 1, 16, 16, (5, 5), 1, [2, 2, 2, 2], True),
}


@pytest.mark.parametrize("zero", [0, 117, 255])
@pytest.mark.parametrize("name", LAYERS)
def test_convolution(ops: Path, name: str, zero: int) -> None:
    images, height, width, channels, out, size, stride, pads, depthwise = LAYERS[name]
    x = RNG.integers(0, 256, (images, height, width, channels), dtype=np.uint8)
    w = RNG.integers(-64, 64, (out, *size, 1 if depthwise else channels), dtype=np.int8)
    seen = windows(x, size, (stride, stride), pads, zero).astype(np.int64) - zero
    sums = np.einsum("nyxhwc,chw->nyxc" if depthwise else "nyxhwc,ohwc->nyxo", seen, w[..., 0] if depthwise else w)
    residual = RNG.integers(0, 256, sums.shape, dtype=np.uint8)
    multiplier = (RNG.uniform(40, 90, out) / sums.std()).astype(np.float32)
    offset = RNG.uniform(60, 160, out).astype(np.float32)
    for add, threads, (low, high) in [(None, 2, (0, 255)), (residual, 1, (zero // 2, 200))]:
        real = sums * multiplier.astype(np.float64) + offset + (0 if add is None else 0.37 * add.astype(np.float64))
        answer = run(
            ops,
            "QConv",
            [x] if add is None else [x, add],
            [w, multiplier, offset],
            threads,
            strides=[stride, stride],
            pads=pads,
            group=channels if depthwise else 1,
            x_zero=zero,
            residual_multiplier=0.0 if add is None else 0.37,
            low=low,
            high=high,
        )
        assert answer.shape == sums.shape
        # Half a level of rounding, and floats.
        assert np.abs(answer - np.clip(real, low, high)).max() < 0.51


def test_the_largest_sums_stay_in_32_bits(ops: Path) -> None:
    """The picture that makes each sum as large as it can be: the levels follow the signs of the weights."""
    channels = 512
    w = RNG.choice(np.array([-40, 40], np.int8), (16, 3, 3, channels))
    x = np.where(np.tile(w[0], (4, 4, 1))[None] > 0, 255, 0).astype(np.uint8)
    sums = np.einsum("nyxhwc,ohwc->nyxo", windows(x, (3, 3), (1, 1), [1] * 4, 0).astype(np.int64), w)
    scale = np.full(16, 250 / np.abs(sums).max(), np.float32)
    answer = run(
        ops,
        "QConv",
        [x],
        [w, scale, np.zeros(16, np.float32)],
        strides=[1, 1],
        pads=[1] * 4,
        group=1,
        x_zero=0,
        residual_multiplier=0.0,
        low=0,
        high=255,
    )
    assert np.abs(answer - np.clip(sums * scale.astype(np.float64), 0, 255)).max() < 0.51


@pytest.mark.parametrize("heaviest", [16, 32, 33, 64])
@pytest.mark.parametrize("one_sign", [True, False])
def test_no_sum_leaves_16_bits(ops: Path, heaviest: int, one_sign: bool) -> None:
    """Four weights are added up in 16 bits where they fit. Levels that follow the signs give the largest sums."""
    w = np.full((20, 1, 1, 36), heaviest, np.int8) * RNG.choice(
        np.array([-1, 1], np.int8), (20, 1, 1, 1 if one_sign else 36)
    )
    x = np.where(w[:, 0, 0] > 0, 255, 0).astype(np.uint8)[None, None]  # a pixel for each output channel
    sums = np.einsum("nyxc,oc->nyxo", x.astype(np.int64), w[:, 0, 0])
    scale = np.full(20, 120 / np.abs(sums).max(), np.float32)
    how: dict[str, Any] = {"strides": [1, 1], "pads": [0] * 4, "group": 1, "x_zero": 0, "low": 0, "high": 255}
    how["residual_multiplier"] = 0.0
    answer = run(ops, "QConv", [x], [w, scale, np.full(20, 125, np.float32)], **how)
    assert np.abs(answer - (sums * scale.astype(np.float64) + 125)).max() < 0.51


@pytest.mark.parametrize(
    ("size", "stride", "pads"), [((2, 2), 2, [0] * 4), ((3, 3), 2, [1] * 4), ((3, 2), 1, [0, 1, 2, 0])]
)
def test_max_pool(ops: Path, size: tuple[int, int], stride: int, pads: list[int]) -> None:
    x = RNG.integers(0, 256, (2, 11, 12, 37), dtype=np.uint8)
    answer = run(ops, "QMaxPool", [x], [], kernel_shape=size, strides=[stride, stride], pads=pads)
    assert np.array_equal(answer, windows(x, size, (stride, stride), pads, 0).max((3, 4)))


def test_mean_and_levels(ops: Path) -> None:
    x = RNG.integers(0, 256, (3, 7, 7, 21), dtype=np.uint8)
    means = run(ops, "QMean", [x], [], multiplier=1.7 / 49, offset=-60.25)
    assert np.abs(means - np.clip(x.mean((1, 2)) * 1.7 - 60.25, 0, 255)).max() <= 0.501
    table = RNG.integers(0, 256, (21, 256), dtype=np.uint8)
    assert np.array_equal(run(ops, "QLevels", [x], [table]), table[np.arange(21), x])


def digest(ops: Path) -> str:
    """A hash of what each kind of kernel computes, for the instructions that this process may use."""
    random = np.random.default_rng(3)
    found = hashlib.sha256()
    for images, height, width, channels, out, size, stride, pads, depthwise in LAYERS.values():
        x = random.integers(0, 256, (images, height, width, channels), dtype=np.uint8)
        w = random.integers(-64, 65, (out, *size, 1 if depthwise else channels), dtype=np.int8)
        how: dict[str, Any] = {"strides": [stride, stride], "pads": pads, "x_zero": 119, "low": 3, "high": 250}
        how |= {"group": channels if depthwise else 1, "residual_multiplier": 0.0}
        scale = np.full(out, 1 / (64 * np.sqrt(w[0].size)), np.float32)
        found.update(run(ops, "QConv", [x], [w, scale, np.full(out, 128.5, np.float32)], **how))
        found.update(run(ops, "QMean", [x], [], multiplier=0.5 / (height * width), offset=0.5))
        found.update(run(ops, "QMaxPool", [x], [], kernel_shape=[1, 1], strides=[2, 1], pads=[0] * 4))
        table = random.integers(0, 256, (channels, 256), dtype=np.uint8)
        found.update(run(ops, "QLevels", [x], [table]))
    return found.hexdigest()


def test_scalar_kernels_give_the_same_bits(ops: Path) -> None:
    """Where AVX2 is missing, or ZOO_CPU=plain leaves it out, the library runs its scalar kernels."""
    code = f"import runpy; print(runpy.run_path({__file__!r})['digest']({str(ops)!r}))"
    shown = python("-c", code, ZOO_CPU="plain", PYTHONPATH=os.pathsep.join(sys.path))
    assert shown.strip() == digest(ops)


def test_avx2_instructions_are_in_the_avx2_kernels_only(ops: Path) -> None:
    """A function that an AVX2 file shares with others is taken from the others: it has to run on every processor."""
    if platform.machine() != "x86_64" or shutil.which("objdump") is None:
        pytest.skip("not x86-64, or no objdump")
    name, found = "", set()
    for line in checked("objdump", "-d", "--demangle", "--no-show-raw-insn", ops).stdout.splitlines():
        if line.endswith(">:"):
            name = line.partition("<")[2].removesuffix(">:")
        elif "%ymm" in line:
            found.add(name)
    # The classes and functions of native/ops/avx2 are local to their files, or have these names.
    ours = ("_avx2", "(anonymous namespace)", "PackedWeights", "winograd_f43::")
    assert found
    assert [name for name in found if not any(part in name for part in ours)] == []


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"group": 2}, "group has to be 1"),
    ({"x_zero": 256}, "x_zero is no level"),
    ({"strides": [0, 1]}, "a bad stride"),
    ({"pads": [3, 0, 0, 0]}, "a pad as wide as the window"),
    ({"pads": [0, 0]}, "pads has to be four numbers"),
]


@pytest.mark.parametrize(("how", "why"), WRONG)
def test_a_graph_that_makes_no_sense(ops: Path, how: dict[str, Any], why: str) -> None:
    usual = {"strides": [1, 1], "pads": [0] * 4, "group": 1, "x_zero": 0, "residual_multiplier": 0.0}
    usual |= {"low": 0, "high": 255} | how
    x, w, ones = np.zeros((1, 4, 4, 4), np.uint8), np.zeros((8, 3, 3, 4), np.int8), np.ones(8, np.float32)
    with pytest.raises(Exception, match=why):
        run(ops, "QConv", [x], [w, ones, ones], **usual)


def test_pictures_that_do_not_fit(ops: Path) -> None:
    usual: dict[str, Any] = {"strides": [1, 1], "pads": [0] * 4, "group": 1, "x_zero": 0, "low": 0, "high": 255}
    w, ones = np.zeros((8, 3, 3, 4), np.int8), np.ones(8, np.float32)
    wrong = {
        (1, 4, 4, 5): "another number of channels",
        (1, 2, 4, 4): "larger than the picture",
        (4, 4, 4): r"\[N, H, W, C\]",
        (0, 4, 4, 4): "empty",
    }
    for shape, why in wrong.items():
        with pytest.raises(Exception, match=why):
            run(ops, "QConv", [np.zeros(shape, np.uint8)], [w, ones, ones], residual_multiplier=0.0, **usual)
    with pytest.raises(Exception, match="7 bits"):
        run(ops, "QConv", [np.zeros((1, 4, 4, 4), np.uint8)], [w - 65, ones, ones], residual_multiplier=0.0, **usual)
    with pytest.raises(Exception, match="a multiplier or an offset is too large"):
        run(ops, "QConv", [np.zeros((1, 4, 4, 4), np.uint8)], [w, 1e9 * ones, ones], residual_multiplier=0.0, **usual)
    x, add = np.zeros((1, 4, 4, 4), np.uint8), np.zeros((1, 3, 2, 8), np.uint8)
    with pytest.raises(Exception, match="another shape than the output"):
        run(ops, "QConv", [x, add], [w, ones, ones], residual_multiplier=1.0, **usual)
