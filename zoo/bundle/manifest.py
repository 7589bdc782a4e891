"""`manifest.json` of a bundle: what is inside, what it computes, what it was proven to keep. Schema `zoo.bundle/1`.

Unknown keys are refused: a manifest that says more than this reader understands must not be half understood.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from zoo.preprocess import Preprocessing
from zoo.schemas import Strict, read_json
from zoo.tasks.registry import TaskName

SCHEMA: Literal["zoo.bundle/1"] = "zoo.bundle/1"
# int8: unsigned asymmetric activations, for CPUs; int8s: signed symmetric ones with zero point 0, for TensorRT.
Precision = Literal["fp32", "fp16", "int8", "int8s"]
Executed = Literal[Precision, "bf16"]  # how an engine may run a graph: zoo/engines/precision.py


class FileEntry(Strict):
    """One file of the bundle, by its path relative to the bundle."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Input(Strict):
    """The signature that every graph has: uint8 [N, height, width, 3], RGB, named `image`.

    Decoding, resizing and cropping stay outside the graph and are those of `zoo.preprocess`.
    """

    name: Literal["image"] = "image"
    dtype: Literal["uint8"] = "uint8"
    layout: Literal["NHWC"] = "NHWC"
    color: Literal["RGB"] = "RGB"
    height: int = Field(gt=0)
    width: int = Field(gt=0)
    resize: int = Field(gt=0, description="the short side is resized to this many pixels before the centre crop")
    filter: Literal["pillow-bilinear-antialias"] = "pillow-bilinear-antialias"
    crop: Literal["center"] = "center"
    max_batch: int = Field(1024, gt=0, description="graphs were exported for 1 to this many images at once")

    @property
    def preprocessing(self) -> Preprocessing:
        """The same as `zoo.preprocess.preprocess` takes it."""
        return Preprocessing(self.resize, self.height, self.width)


class Output(Strict):
    """The float32 output of every graph: [N, size]."""

    name: str
    dtype: Literal["float32"] = "float32"
    size: int = Field(gt=0)


class Calibration(Strict):
    """How the ranges of an int8 graph were found."""

    images: int = Field(gt=0)
    method: Literal["minmax", "entropy", "percentile"]
    tried: dict[str, float] = Field({}, description="the metric of each method on the calibration images, if compared")


class Graph(Strict):
    """One ONNX file at one precision."""

    file: str
    opset: int
    nodes: int
    casts: int = Field(description="Cast nodes, the input's own included")
    weighted: int = Field(0, ge=0, description="Conv, Gemm and MatMul nodes with a stored weight")
    low_precision_share: float = Field(
        ge=0, le=1, description="share of the weighted nodes whose weight is stored in this graph's precision"
    )
    kept: dict[str, str] = Field({}, description="layers that stay in fp32, each with the reason")
    refused: list[str] = Field([], description="what a strongly typed TensorRT parser would object to, where it counts")
    calibration: Calibration | None = Field(None, description="int8: where the ranges of activations come from")


class Parity(Strict):
    """How far a graph's logits are from those of the fp32 torch module, on real images."""

    images: int
    max_abs: float
    mean_abs: float
    cosine: float
    agreement: float = Field(ge=0, le=1, description="share of decisions that are the same, as the task counts them")
    kl: float | None = Field(None, description="mean KL divergence from the module's scores in nats; null for points")
    largest: float = Field(
        1.0, ge=0, description="the largest |output| of the module: what a difference is seen against"
    )


class Gate(Strict):
    """What a graph was held to; null leaves a measure free."""

    max_abs: float | None = Field(None, description="times the largest |output| of the module where that is above 1")
    cosine: float | None = None
    agreement: float | None = None
    kl: float | None = None
    max_drop: float = Field(description="how much of the metric may be lost, in the task's unit: points or pixels")


class Accuracy(Strict):
    """The task's metric on a split that was never trained on; `torch` is the source before export: the torch module, or
    the ONNX file that was given.
    """

    metric: str
    split: str
    images: int
    torch: float
    graphs: dict[Precision, float]


class SelfTest(Strict):
    """Inputs and the logits that each graph gave where it was made; `zoo verify` runs them again."""

    file: str
    images: int
    tolerance: dict[Precision, float] = Field(description="largest accepted |difference| of any output")


class Cost(Strict):
    """What the network is made of. MACs: multiply-accumulates for one image."""

    parameters: int
    buffers: int = Field(description="BatchNorm statistics and other state that is not trained")
    macs: int


class Manifest(Strict):
    """The whole of `manifest.json`."""

    schema_: Literal["zoo.bundle/1"] = Field(SCHEMA, alias="schema")
    name: str
    task: TaskName
    input: Input
    output: Output
    labels: str = Field(description="file with the names of the classes, tags or points, in output order")
    graphs: dict[Precision, Graph]
    parity: dict[Precision, Parity]
    gates: dict[Precision, Gate] = Field({}, description="the thresholds that each graph passed")
    accuracy: Accuracy
    selftest: SelfTest
    cost: Cost
    provenance: dict[str, Any]
    files: dict[str, FileEntry]

    def to_json(self) -> str:
        """The text of `manifest.json`, the same for the same content."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read and validate a manifest file; `InputError` says what is wrong with it."""
    return read_json(path, Manifest, SCHEMA, missing=f"{path.parent} is not a bundle: it has no {path.name}")
