"""A bundle as a Triton model repository: one graph or plan, its labels, and a config.pbtxt that says how it is served.

    repository/NAME/config.pbtxt      signature, batching, instances, warm-up
    repository/NAME/labels.txt        a line for each output: Triton's classification extension answers with them
    repository/NAME/1/model.onnx      or model.plan

Fields are those of Triton's model_config.proto; `max_batch_size` counts the first dimension, so `dims` leave it out.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from zoo.bundle.built import Built, engines
from zoo.bundle.bundle import Bundle
from zoo.bundle.manifest import Manifest, Precision
from zoo.errors import InputError, nearest
from zoo.files import atomic_folder
from zoo.tasks.registry import TASKS

VERSION = "1"
CONFIG, LABELS = "config.pbtxt", "labels.txt"
MAX_BATCH = 32  # enough to fill a GPU with small pictures; a longer queue only adds waiting
Device = Literal["cpu", "cuda"]
KIND: dict[str, str] = {"cpu": "KIND_CPU", "cuda": "KIND_GPU"}


@dataclass(frozen=True)
class Serving:
    """How a bundle is served. `max_batch`: None takes 32, or less where graph or plan takes less; `queue_delay`:
    microseconds that a request may wait for others to share its batch; `engine`: which folder of `engines/`, where
    several plans would do.
    """

    precision: str = "fp32"
    device: str = "cpu"
    max_batch: int | None = None
    instances: int = 1
    queue_delay: int = 100
    engine: str = ""


@dataclass(frozen=True)
class Served:
    """What was written: the model's folder, its file and how many images a batch may hold; `plan` is None for ONNX."""

    folder: Path
    file: Path
    max_batch: int
    plan: Built | None


def write(bundle: Bundle, repository: Path, serving: Serving) -> Served:
    """Write the model into `repository`, replacing one that was written before; other models stay as they are.

    With device cuda a TensorRT plan that was built of this very graph is taken, otherwise the ONNX graph. Raises
    `InputError` for what the bundle cannot serve, and before a folder that this did not write would be lost.
    """
    precision = _precision(bundle, serving)
    plan = _plan(bundle, precision, serving)
    if precision == "int8s" and plan is None:
        raise InputError(f"int8s is for TensorRT: zoo build {bundle.path} --backend tensorrt --precision int8s first")
    name = _name(bundle.manifest.name)
    max_batch = _max_batch(bundle.manifest, plan, serving.max_batch)
    target = repository / name
    _check_replaceable(target)
    graph = bundle.manifest.graphs[precision].file
    source, file = (bundle.file(graph), "model.onnx") if plan is None else (plan.artefact(), "model.plan")
    text = config(bundle, precision, serving, max_batch, plan)
    with atomic_folder(target) as folder:
        (folder / VERSION).mkdir()
        shutil.copyfile(source, folder / VERSION / file)
        (folder / LABELS).write_text("".join(f"{line}\n" for line in _lines(bundle)), encoding="utf-8")
        (folder / CONFIG).write_text(text, encoding="utf-8")
    return Served(target, target / VERSION / file, max_batch, plan)


def config(bundle: Bundle, precision: Precision, serving: Serving, max_batch: int, plan: Built | None) -> str:
    """The text of config.pbtxt."""
    manifest = bundle.manifest
    image, graph = manifest.input, manifest.graphs[precision].file
    dims = f"[ {image.height}, {image.width}, 3 ]"
    origin = f"{graph}, sha256 {manifest.files[graph].sha256}"
    if plan is not None and plan.about is not None:
        origin = f"TensorRT {plan.about.library} on {_plain(plan.about.processor.name)}, of {origin}"
    # Both ends of the batch sizes: libraries choose and allocate for each shape when they first see it.
    warm = ",\n".join(_warm_up(batch, image.name, dims) for batch in sorted({1, max_batch}))
    return f"""# Written by `zoo triton` from {_plain(manifest.name)}, {manifest.task}, {precision}.
# {origin}
name: {_quoted(manifest.name)}
platform: "{"onnxruntime_onnx" if plan is None else "tensorrt_plan"}"
max_batch_size: {max_batch}
input [
  {{
    name: "{image.name}"
    data_type: TYPE_UINT8
    dims: {dims}
  }}
]
output [
  {{
    name: {_quoted(manifest.output.name)}
    data_type: TYPE_FP32
    dims: [ {manifest.output.size} ]
    label_filename: "{LABELS}"
  }}
]
instance_group [
  {{
    count: {serving.instances}
    kind: {KIND[serving.device]}
  }}
]
dynamic_batching {{
  max_queue_delay_microseconds: {serving.queue_delay}
}}
model_warmup [
{warm}
]
"""


def _warm_up(batch: int, name: str, dims: str) -> str:
    return f"""  {{
    name: "batch {batch}"
    batch_size: {batch}
    inputs {{
      key: "{name}"
      value: {{
        data_type: TYPE_UINT8
        dims: {dims}
        random_data: true
      }}
    }}
  }}"""


def _precision(bundle: Bundle, serving: Serving) -> Precision:
    graphs = bundle.manifest.graphs
    if serving.device not in KIND:
        raise InputError(f"no device '{serving.device}'; there are: {', '.join(KIND)}{nearest(serving.device, KIND)}")
    if serving.precision not in graphs:
        raise InputError(f"{bundle.path} has no {serving.precision} graph; there are: {', '.join(graphs)}")
    if serving.precision == "int8" and serving.device == "cuda":
        raise InputError("int8 is for CPUs; on a GPU take fp16, or int8s with a TensorRT plan")
    if min(serving.instances, serving.max_batch or 1) < 1 or serving.queue_delay < 0:
        raise InputError("instances and the batch are at least 1, the queue's delay at least 0")
    return serving.precision


def _plan(bundle: Bundle, precision: Precision, serving: Serving) -> Built | None:
    """The plan to serve; None when the ONNX graph is."""
    fitting = [
        built
        for built in engines(bundle)
        if built.about is not None
        and (built.about.backend, built.about.precision) == ("tensorrt", precision)
        and not built.stale(bundle)
    ]
    keys = [built.key for built in fitting]
    if serving.engine:
        if serving.device != "cuda":
            raise InputError("--engine names a TensorRT plan, which runs with --device cuda")
        if serving.engine not in keys:
            there = f"; there are: {', '.join(keys)}" if keys else ": none is built of it as it is now"
            raise InputError(f"{bundle.path}: no TensorRT plan '{serving.engine}' of the {precision} graph{there}")
        return fitting[keys.index(serving.engine)]
    if serving.device != "cuda" or not fitting:
        return None
    if len(fitting) > 1:
        raise InputError(f"{bundle.path} has several plans of its {precision} graph: --engine {' or '.join(keys)}")
    return fitting[0]


def _max_batch(manifest: Manifest, plan: Built | None, wanted: int | None) -> int:
    most, what = manifest.input.max_batch, "the graph"
    if plan is not None and plan.about is not None:
        least, _, most = plan.about.batch
        what = f"the plan {plan.key}"
        if least > 1:
            raise InputError(f"{what} takes {least} images or more at once, and Triton asks for single ones as well")
    if wanted is not None and wanted > most:
        raise InputError(f"{what} takes at most {most} images at once, not {wanted}")
    return min(MAX_BATCH, most) if wanted is None else wanted


def _name(name: str) -> str:
    """The model's name as a folder."""
    if name != Path(name).name or name in {"", ".", ".."} or "\\" in name:
        raise InputError(f"'{name}' cannot be the name of a model in a Triton repository: it is no folder's name")
    return name


def _check_replaceable(target: Path) -> None:
    """`InputError` unless `target` is free, or holds what was written here before."""
    if not target.exists():
        return
    if not (target / CONFIG).is_file():
        raise InputError(f"{target} is there already and is no Triton model: it is not replaced")
    others = {path.name for path in target.iterdir()} - {CONFIG, LABELS, VERSION}
    if others:
        raise InputError(f"{target} holds {', '.join(sorted(others))} as well, which would be lost: not replaced")


def _lines(bundle: Bundle) -> list[str]:
    labels = bundle.labels()
    names = TASKS[bundle.manifest.task](labels, bundle.manifest.input.height).names
    return [_plain(name) for name in names]


def _plain(text: str) -> str:
    """Without line breaks: a label is a line, and a comment ends with one."""
    return " ".join(text.split())


def _quoted(text: str) -> str:
    # Text format reads JSON's escapes of quotes, backslashes and control characters; all else stays UTF-8.
    return json.dumps(text, ensure_ascii=False)
