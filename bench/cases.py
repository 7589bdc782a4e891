"""A case: one model on one engine, at one or more batch sizes. What a child process is asked to measure."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Literal, Self, get_args

from pydantic import Field, ValidationInfo, field_validator, model_validator

from zoo.bundle.manifest import Executed
from zoo.schemas import Strict
from zoo.tasks.class_order import ClassOrder

Role = Literal["teacher", "control", "student"]
# compute: what the device itself takes, input and output in its own memory. call: pixels in host memory in, numbers in
# host memory out. image: the bytes of JPEG files in, predictions out.
Scope = Literal["compute", "call", "image"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
# cuda-graph: the launches captured once and replayed. cold-l2: the GPU's cache is overwritten before every call.
Variant = Literal["cuda-graph", "cold-l2"]
EAGER = "torch"  # the backend of a checkpoint as its owner runs it today: torch, eager mode
EAGER_PEER, COMPILED, PIPELINE = "torch-eager", "torch-compile", "torchvision-pipeline"
TORCH = (EAGER, EAGER_PEER, COMPILED)  # run a network by torch
# What others do with the same network, measured beside our engines: libraries with nothing set, on the bundle's own
# fp32 graph; and what torch's users do with a checkpoint.
GRAPH_PEERS = ("onnxruntime-default", "openvino-default")
CHECKPOINT_PEERS = (EAGER_PEER, COMPILED, PIPELINE)
ONNX, HUB = "onnx", "hub"  # `foreign` of an ONNX file from elsewhere; `subject` of a library's own weights
PEERS = (*GRAPH_PEERS, *CHECKPOINT_PEERS)


def is_engine(backend: str) -> bool:
    """Whether a backend is one of ours: neither a teacher in eager mode nor a peer."""
    return backend != EAGER and backend not in PEERS


class Limits(Strict):
    """When a measurement may stop."""

    # A difference of 5 % between two engines is worth acting on, one of 3 % is not.
    interval_width: float = Field(0.03, gt=0, description="of the 95 % interval of p50, as a share of p50")
    seconds: float = Field(2.0, gt=0, description="time limit for one batch size, warm-up apart")
    # 6 rounds are the fewest that have a 95 % interval, and then it is [min, max]; with 12, two outliers on each side
    # do not matter.
    min_rounds: int = Field(12, ge=1)


class Case(Strict):
    """One model on one engine."""

    name: str = Field(min_length=1, description="the model, as the table calls it")
    subject: Path = Field(description="a bundle, or for torch's backends a run's checkpoint")
    foreign: str | None = Field(
        None,
        description="timm:NAME or torchvision:NAME: subject is its weights, or hub; onnx: subject is FILE[#OUTPUT]",
    )
    backend: str = Field(description="of an engine, or one of the peers")
    precision: Executed = "fp32"
    device: str = Field("cpu", description="cpu, cuda (the first GPU), cuda:INDEX or cuda:GPU-UUID")
    threads: int | None = Field(None, ge=1, description="null: every core that the process may use")
    batches: tuple[int, ...] = Field((1, 32), min_length=1)
    scope: Scope = "call"
    variant: Variant | None = Field(None, description="a way of calling that differs from the plain one; GPUs only")
    streams: tuple[int, ...] = Field((), description="numbers of callers at once, to saturate it; empty: not done")
    layers: bool = Field(False, description="after the timing, take the time of every layer where the backend says it")
    energy: bool = Field(True, description="after the timing, take the energy of an image where the machine counts it")
    role: Role | None = None
    group: str | None = Field(None, description="what a control and its student have in common: the student's name")
    evaluation: Path | None = Field(None, description="folder DIR/CLASS/image, or a test set file; null: not measured")
    labels: Path | None = Field(None, description="foreign: a JSON list of the outputs' names, to evaluate it")
    class_order: ClassOrder | None = Field(
        None, description="foreign, without labels: how its outputs follow the names of the evaluation's folders"
    )
    photos: Path | None = Field(None, description="scope image: the folder of the pictures")
    selftest: bool = Field(False, description="refuse an engine whose logits for the bundle's self-test are off")
    limits: Limits = Limits()

    @field_validator("batches", "streams")
    @classmethod
    def _sensible(cls, counts: tuple[int, ...], about: ValidationInfo) -> tuple[int, ...]:
        if min(counts, default=1) < 1 or len(set(counts)) != len(counts):
            what = {"batches": "batch sizes", "streams": "numbers of callers"}[about.field_name or ""]
            raise ValueError(f"{what} must be positive and different from each other")
        return counts

    @model_validator(mode="after")
    def _pictures(self) -> Self:
        if (self.scope == "image") != (self.photos is not None):
            raise ValueError("scope image needs photos, and no other scope takes them")
        return self

    @model_validator(mode="after")
    def _fitting(self) -> Self:
        if self.variant is not None and (self.device == "cpu" or self.scope == "image"):
            raise ValueError(f"variant {self.variant} is of a GPU, in the scopes compute and call")
        if self.streams and self.scope == "compute":
            raise ValueError(
                "several callers at once are of the scopes call and image: the device itself has one queue"
            )
        return self

    @property
    def title(self) -> str:
        """The case in a few words, for progress and messages."""
        what = f"{self.name} · {self.backend} {self.precision}"
        device = None if self.device == "cpu" else self.device
        scope = None if self.scope == "call" else self.scope
        return " · ".join(word for word in (what, device, scope, self.variant) if word)

    @property
    def network(self) -> str:
        """A checkpoint, or a network that is not ours, as `--teacher` names it."""
        if self.foreign is None or self.foreign == ONNX:
            return f"{self.foreign or 'run'}:{self.subject}"
        return self.foreign if str(self.subject) == HUB else f"{self.foreign}={self.subject}"

    def command(self) -> str:
        """The shell command that measures this case again."""
        words = ["zoo", "bench", "run"]
        if self.backend == EAGER or self.foreign == ONNX:
            words += ["--teacher", self.network]
        elif self.foreign is not None:
            words += ["--peer", f"{self.backend}={self.network}"]
        elif self.backend in PEERS:
            words += ["--peer", f"{self.backend}={self.subject}"]
        else:
            words += [str(self.subject), "--backend", self.backend, "--precision", self.precision]
        words += ["--batch", ",".join(str(batch) for batch in self.batches)]
        if self.device != "cpu":
            words += ["--device", self.device]
        if self.scope != "call":
            words += ["--scope", self.scope]
        if self.photos is not None:
            words += ["--photos", str(self.photos)]
        if self.variant is not None:
            words += ["--variant", self.variant]
        if self.streams:
            words += ["--streams", ",".join(str(count) for count in self.streams)]
        if self.layers:
            words += ["--layers"]
        if self.threads is not None:
            words += ["--threads", str(self.threads)]
        if self.evaluation is not None:
            words += ["--evaluate", str(self.evaluation)]
        if self.labels is not None:
            words += ["--labels", str(self.labels)]
        if self.class_order is not None:
            words += ["--class-order", self.class_order]
        words += ["--time-limit", f"{self.limits.seconds:g}"]
        return shlex.join(words)
