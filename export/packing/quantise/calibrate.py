"""The range of every activation of a graph on real images, and where to cut it.

ONNX Runtime's own calibrators keep all activations of all images in memory and are asked once for each method. Here the
images pass batch by batch, twice at most, and every method reads the same statistics.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import onnx

from zoo.engines.onnxruntime.session import library
from zoo.graphs.model import to_bytes
from zoo.preprocess import Pixels

Method = Literal["minmax", "entropy", "percentile"]
METHODS: tuple[Method, ...] = get_args(Method)
Range = tuple[float, float]

BINS = 2048  # of |value|, as TensorRT's calibrator has them
LEVELS = 128  # what a sign and 7 bits tell apart
STEP = 16  # thresholds that are tried lie so many bins apart: finer ones change nothing that int8 shows
PERCENTILE = 99.99
PIXELS = 250_000  # of one batch: all activations of it are in memory at once, half a gigabyte for a VGG16 at 224


@dataclass(frozen=True)
class Statistics:
    """By tensor: lowest and highest value, and how often |value| fell into each of `BINS` bins up to the largest."""

    ranges: dict[str, Range]
    histograms: dict[str, npt.NDArray[np.int64]]

    def cut(self, method: Method) -> dict[str, Range]:
        """The range that a method leaves to each tensor."""
        if method == "minmax":
            return self.ranges
        found = {}
        for name, (low, high) in self.ranges.items():
            largest, counts = max(-low, high), self.histograms[name]
            share = _entropy(counts) if method == "entropy" else _percentile(counts)
            found[name] = max(low, -largest * share), min(high, largest * share)
        return found


def measure(model: onnx.ModelProto, tensors: Sequence[str], images: Pixels, *, histograms: bool) -> Statistics:
    """Run `images`, uint8 [N, H, W, 3], through a graph with the input `image`, and look at some of its tensors."""
    ranges: dict[str, Range] = {}
    for name, values in _activations(model, tensors, images):
        low, high = ranges.get(name, (0.0, 0.0))  # zero is always inside: padding has to be exact
        ranges[name] = min(low, float(values.min())), max(high, float(values.max()))
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in ranges} if histograms else {}
    if histograms:
        for name, values in _activations(model, tensors, images):
            largest = max(-ranges[name][0], ranges[name][1])
            counts[name] += np.histogram(np.abs(values), bins=BINS, range=(0, largest or 1.0))[0]
    return Statistics(ranges, counts)


def _activations(
    model: onnx.ModelProto, tensors: Sequence[str], images: Pixels
) -> Iterator[tuple[str, npt.NDArray[Any]]]:
    onnxruntime = library()

    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    own = {output.name for output in shown.graph.output}
    known = {info.name: info for info in onnx.shape_inference.infer_shapes(model).graph.value_info}
    shown.graph.output.extend(known[name] for name in tensors if name not in own)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(to_bytes(shown), options, providers=["CPUExecutionProvider"])
    batch = min(32, max(1, PIXELS // (images.shape[1] * images.shape[2])))
    for start in range(0, len(images), batch):
        found = session.run(list(tensors), {"image": images[start : start + batch]})
        yield from zip(tensors, found, strict=True)


def _percentile(counts: npt.NDArray[np.int64]) -> float:
    """The share of the range below which `PERCENTILE` per cent of the values lie."""
    below = np.cumsum(counts) >= counts.sum() * (PERCENTILE / 100)
    return float(np.argmax(below) + 1) / BINS


def _entropy(counts: npt.NDArray[np.int64]) -> float:
    """The share of the range that, told in `LEVELS` levels, loses least information.

    S. Migacz, 8-bit inference with TensorRT, GTC 2017: the KL divergence of the values clipped at a threshold from the
    same values quantised.
    """
    values = counts.astype(np.float64)
    values[0] = values[1]  # zeros are exact at any scale, and after a ReLU they would outweigh everything else
    if not values.any():
        return 1.0
    divergences = {}
    for end in range(LEVELS, BINS + 1, STEP):
        kept = values[:end].copy()
        starts = np.arange(LEVELS) * end // LEVELS
        filled = kept > 0
        amount, places = np.add.reduceat(kept, starts), np.add.reduceat(filled.astype(np.float64), starts)
        level = np.divide(amount, places, out=np.zeros(LEVELS), where=places > 0)
        told = np.repeat(level, np.diff(np.append(starts, end))) * filled
        kept[-1] += values[end:].sum()
        if not told.any():
            continue
        wanted, given = kept / kept.sum(), told / told.sum()
        there = wanted > 0
        floor = np.maximum(given[there], 1e-12)  # what was cut off may lie where nothing was
        divergences[end] = float((wanted[there] * np.log(wanted[there] / floor)).sum())
    return min(divergences, key=divergences.__getitem__, default=BINS) / BINS
