"""What others do with the same network, opened like any other subject.

A peer is used as its own documentation shows it, with nothing tuned, so that a ratio to it says what a user gains by
switching. Libraries run the bundle's own fp32 graph; torch's users have a checkpoint.
"""

from __future__ import annotations

import io
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from bench.cases import PIPELINE, Case
from bench.results import EngineFacts
from bench.subjects.foreign import network_of
from bench.subjects.subject import Logits, Subject, predictor, preprocess_many, torch_for, weight_bytes
from zoo.bundle.manifest import Executed
from zoo.engines import Bundle
from zoo.errors import missing_package
from zoo.tasks.registry import TASKS


def open_peer(case: Case) -> Subject:
    """The subject of a case whose backend is a peer. Errors are those of `zoo.load` and of the checkpoint's reader."""
    if case.backend == PIPELINE:
        return _pipeline(case)
    bundle = Bundle.open(case.subject)
    manifest = bundle.manifest
    graph = bundle.file(manifest.graphs["fp32"].file)
    logits, facts = (_onnxruntime if case.backend == "onnxruntime-default" else _openvino)(graph, case)
    preprocessing = manifest.input.preprocessing
    task = TASKS[manifest.task](bundle.labels(), manifest.input.height)
    return Subject(
        logits=logits,
        predict=predictor(logits, task, preprocessing),
        decide=lambda pictures: logits(preprocess_many(pictures, preprocessing)[0]),
        task=task,
        preprocessing=preprocessing,
        engine=facts,
        parameters=manifest.cost.parameters,
        macs=manifest.cost.macs,
        bytes_on_disk=graph.stat().st_size,
        shareable=case.backend != "openvino-default",  # a model that is called directly has one request
    )


def _onnxruntime(graph: Path, case: Case) -> tuple[Logits, EngineFacts]:
    import onnxruntime

    session = _session(graph, case.threads)
    source = session.get_inputs()[0].name

    def logits(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run(None, {source: images})[0]
        return found

    return logits, _facts(case, "fp32", case.threads, {"onnxruntime": onnxruntime.__version__})


def _session(graph: Path, threads: int | None) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only; it is the one setting beside the threads that were asked for
    if threads is not None:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def _openvino(graph: Path, case: Case) -> tuple[Logits, EngineFacts]:
    try:
        import openvino
    except ImportError:
        raise missing_package("openvino", "export", "the peer openvino-default") from None
    settings = {} if case.threads is None else {"INFERENCE_NUM_THREADS": case.threads}
    model = openvino.Core().compile_model(str(graph), "CPU", settings)
    # On a CPU with bf16 arithmetic OpenVINO takes it unasked: what it computes in is part of the row.
    hint = model.get_property("INFERENCE_PRECISION_HINT").get_type_name()
    executed: dict[str, Executed] = {"f32": "fp32", "bf16": "bf16", "f16": "fp16"}

    def logits(images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = model(images)[0]
        return found

    threads = int(model.get_property("INFERENCE_NUM_THREADS"))
    return logits, _facts(case, executed[hint], threads, {"openvino": openvino.get_version()})


def _pipeline(case: Case) -> Subject:
    """Pillow, torchvision's transforms and ONNX Runtime on the exported network: what most deployments look like."""
    torch = torch_for(case)
    import onnxruntime
    from PIL import Image
    from torchvision import transforms

    network = network_of(case)
    about, preprocessing = network.about, network.preprocessing
    steps = transforms.Compose(
        [
            transforms.Resize(preprocessing.resize),
            transforms.CenterCrop((preprocessing.height, preprocessing.width)),
            transforms.ToTensor(),
            transforms.Normalize(about.data.mean, about.data.std),
        ]
    )
    normalise = transforms.Normalize(about.data.mean, about.data.std)
    session = _session_of(network.network.network, preprocessing.height, preprocessing.width, case.threads)

    def run(planes: Any) -> npt.NDArray[np.float32]:
        found: npt.NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: planes.numpy()})[0]
        return found

    def decide(pictures: Sequence[bytes]) -> npt.NDArray[np.float32]:
        return run(torch.stack([steps(Image.open(io.BytesIO(one)).convert("RGB")) for one in pictures]))

    return Subject(
        logits=lambda images: run(normalise(torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255)),
        predict=lambda pictures: decide(pictures).argmax(axis=1),
        decide=decide,
        task=network.task,
        preprocessing=preprocessing,
        engine=_facts(case, "fp32", case.threads, {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}),
        parameters=network.cost.parameters,
        macs=network.cost.macs,
        bytes_on_disk=weight_bytes(case.subject),
    )


def _session_of(network: Any, height: int, width: int, threads: int | None) -> Any:
    """ONNX Runtime on the network as torch exports it: float [N, 3, H, W] in."""
    import torch

    with tempfile.TemporaryDirectory(prefix="zoo-peer-") as folder:
        graph = Path(folder, "network.onnx")
        example = (torch.zeros(2, 3, height, width),)
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(network, example, dynamo=True, dynamic_shapes=shapes, verbose=False)
        assert program is not None  # dynamo's exporter raises rather than to return nothing
        program.save(str(graph), external_data=False)
        return _session(graph, threads)


def _facts(case: Case, precision: Executed, threads: int | None, versions: dict[str, str]) -> EngineFacts:
    return EngineFacts(
        backend=case.backend, precision=precision, device=case.device, threads=threads, versions=versions
    )
