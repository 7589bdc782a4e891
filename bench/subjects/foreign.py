"""Networks that are not ours as subjects: a library's model with its weights, an ONNX file from elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cases import Case
from bench.results import EngineFacts
from bench.subjects.subject import Subject, predictor, preprocess_many
from zoo.data.class_folders import class_names, layout
from zoo.errors import InputError
from zoo.graphs.foreign import ForeignGraph, file_and_output
from zoo.graphs.structure import files_of
from zoo.models.library import MEAN, STD
from zoo.preprocess import Preprocessing
from zoo.tasks.class_order import names_of_outputs
from zoo.tasks.classification import Classification

if TYPE_CHECKING:
    from zoo.models.eager import EagerNetwork


def network_of(case: Case) -> EagerNetwork:
    """The torch network of a case: a checkpoint of ours, or timm:NAME or torchvision:NAME with its weights."""
    if case.foreign is None:
        from zoo.models.eager import from_checkpoint

        return from_checkpoint(case.subject)
    from zoo.learn.teachers.library import from_library

    return from_library(case.foreign, str(case.subject), labels_of(case))


def open_graph(case: Case) -> Subject:
    """A classifier in an ONNX file on ONNX Runtime. One that takes floats is fed ImageNet's normalisation: a graph
    that learned with another one is packed as a bundle, which knows its own.
    """
    path, output = file_and_output(str(case.subject))
    graph = ForeignGraph(
        path,
        output=output,
        mean=MEAN,
        std=STD,
        device=case.device,
        threads=case.threads,
        option="zoo export --size",
    )
    side = graph.signature.side(None, "zoo export --size")
    preprocessing = Preprocessing.square(side)
    labels = labels_of(case)
    if labels and len(labels) != graph.outputs:
        names = case.labels or case.evaluation
        raise InputError(f"{path} has {graph.outputs} outputs, {names} has {len(labels)} names: --labels FILE has all")
    task = Classification(labels or [str(number) for number in range(graph.outputs)], side)
    return Subject(
        logits=graph,
        predict=predictor(graph, task, preprocessing),
        decide=lambda pictures: graph(preprocess_many(pictures, preprocessing)[0]),
        task=task,
        preprocessing=preprocessing,
        engine=EngineFacts(
            backend=graph.name,
            precision="fp32",
            device=graph.device,
            threads=graph.threads,
            versions=graph.versions(),
        ),
        parameters=None,
        macs=None,
        bytes_on_disk=sum(file.stat().st_size for file in files_of(path)),
    )


def labels_of(case: Case) -> list[str]:
    """The names of the outputs in their order: as `--labels` has them, or the folders of the images in `--class-order`;
    empty where nothing is evaluated. `InputError` where the order of the folders cannot be told.
    """
    evaluation = case.evaluation
    if evaluation is None or not evaluation.is_dir():
        return []
    splits = layout(evaluation)
    folders = class_names(splits.held_out or splits.train or evaluation)
    return names_of_outputs(folders, case.labels, case.class_order, evaluation)
