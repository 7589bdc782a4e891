"""A foreign ONNX file as a source of bundles: given a bundle's signature, converted, compared with itself."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from export.packing.half import LARGEST, MARGIN, reaches
from export.packing.macs import cost
from export.packing.onnx import MAX_BATCH, OPSET
from export.packing.parity import Floats
from export.packing.pipeline import Packing
from export.packing.quantise.calibrate import measure
from export.packing.request import PRECISIONS, Evidence, Options, Request
from export.packing.sources.batch import for_any_batch, run
from export.packing.sources.module import check_channels, preprocessing_of, task_of
from zoo.bundle.manifest import Cost, Manifest, Precision
from zoo.errors import InputError, ZooError, first_line
from zoo.files import sha256
from zoo.graphs.ending import are_probabilities, last_operator
from zoo.graphs.index import Index, drop_unread
from zoo.graphs.model import layer_names, opset, strip
from zoo.graphs.onnx_file import OLDEST, output_of, picture_signature, read_graph
from zoo.graphs.signature import Signature
from zoo.models.library import MEAN, STD
from zoo.preprocess import Pixels
from zoo.tasks.task import Task

PREFIX = "network."  # of everything that was in the file, so that no name meets another
NUMBERS = {"uint8": TensorProto.UINT8, "float32": TensorProto.FLOAT}  # formats of an input that can be converted
SMALLEST = 5.96e-8  # of fp16: the converter would lift what is smaller, and clip what is larger, much earlier


def pack_onnx(
    path: str | Path,
    out: str | Path,
    *,
    labels: Sequence[str],
    evidence: Evidence,
    size: int | None = None,
    task: str = "classification",
    mean: Sequence[float] = MEAN,
    std: Sequence[float] = STD,
    resize: int | None = None,
    output: str = "",
    name: str | None = None,
    precisions: Sequence[Precision] = PRECISIONS,
    provenance: Mapping[str, Any] | None = None,
    options: Options | None = None,
) -> Manifest:
    """Pack an ONNX file that takes float32 or uint8 [N, 3, side, side] or [N, side, side, 3] and answers [N, outputs].

    Float graphs get the scaling to 0..1, `mean` and `std` put in front (0 and 1/255 for one that takes 0 to 255); uint8
    ones have theirs inside. `size`: the side, where the graph leaves it open. `output` names one of several, or a
    tensor inside. A last Softmax (Sigmoid for tags) is taken off: engines apply it. Everything else as for
    `export.pack`; graphs are compared with the logits of the file itself in ONNX Runtime.
    """
    path, out, options = Path(path), Path(out), options or Options()
    check_channels(mean, std)
    side = side_of(path, size)
    preprocessing, problem = preprocessing_of(side, resize), task_of(task, labels, side)
    source = OnnxSource.open(path, side, problem, output, mean, std, options)
    request = Request(
        source,
        name or path.stem,
        problem,
        preprocessing,
        evidence,
        {"onnx_sha256": sha256(path)} | dict(provenance or {}),
        precisions,
        options,
        leave_out=True,
    )
    return Packing(request, out).run()


def side_of(path: Path, size: int | None) -> int:
    """The side of the pictures that the graph takes, in pixels. `InputError` when it is open or another than `size`."""
    return picture_signature(read_graph(path), path).side(size, "--size")


@dataclass(frozen=True)
class OnnxSource:
    """`original` as it was read, cut at its logits; `core` the same for any batch, optimised. Both have `signature`."""

    title: str
    original: onnx.ModelProto
    core: onnx.ModelProto
    signature: Signature
    side: int
    output: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    max_batch: int

    @classmethod
    def open(
        cls,
        path: Path,
        side: int,
        task: Task,
        output: str,
        mean: Sequence[float],
        std: Sequence[float],
        options: Options,
    ) -> OnnxSource:
        """Read the file and cut out what is between its images and its logits. `InputError` for what does not fit."""
        model = read_graph(path)
        signature = picture_signature(model, path)
        if options.opset is not None and options.opset < OLDEST:
            raise InputError(f"opset {options.opset} has no scale for each channel: ask for {OLDEST} or more")
        version = options.opset if options.opset is not None else (OPSET if opset(model) < OLDEST else opset(model))
        place = output_of(model, output, path)
        original = _cut(_copy(model), signature, place, task, side, batch=signature.batch)
        core = _cut(_converted(_copy(model), version, path), signature, place, task, side)
        source = cls(
            path.name,
            original,
            core,
            signature,
            side,
            task.output,
            tuple(mean),
            tuple(std),
            options.max_batch or MAX_BATCH,
        )
        return replace(source, core=_optimised(source.for_any_batch(path)))

    def for_any_batch(self, path: Path) -> onnx.ModelProto:
        """The converted graph for any batch. Three pictures of noise show whether it is right, and gives logits."""
        noise = np.random.default_rng(0).integers(256, size=(3, self.side, self.side, 3), dtype=np.uint8)
        try:
            logits = self.logits(noise)
            alone = self.logits(noise[:1])
        except Exception as error:  # the library raises a dozen types of its own
            reason = first_line(error)
            raise InputError(f"{path} cannot answer 3 pictures of {self.side} pixels: {reason}") from None
        if logits.ndim != 2 or len(logits) != 3 or logits.dtype != np.float32:
            raise InputError(
                f"{path} answers with {logits.dtype} {list(logits.shape)}, and float32 [3, outputs] is needed"
            )
        if not np.allclose(alone, logits[:1], atol=1e-3 * max(1.0, float(np.abs(logits).max()))):
            raise InputError(
                f"{path} answers a picture otherwise alone than among others: it is made for one batch size"
            )
        if are_probabilities(logits):
            raise InputError(
                f"{path} answers with probabilities: name the tensor in front of its softmax with --output"
            )

        def itself(fed: npt.NDArray[Any]) -> Floats:
            return run(self.original, fed, self.signature.batch)

        return for_any_batch(self.core, itself, self.signature.fed(noise, self.mean, self.std), str(path))

    def logits(self, images: Pixels) -> Floats:
        """The logits of the file itself at its own batch size, images normalised outside: float32 [N, outputs]."""
        return run(self.original, self.signature.fed(images, self.mean, self.std), self.signature.batch)

    def fp32(self) -> onnx.ModelProto:
        """The optimised graph with a bundle's signature."""
        return self._with_signature(self.core)

    def fp16(self, images: Pixels) -> tuple[onnx.ModelProto, dict[str, str]]:
        """Converted by onnxconverter-common, what `images` show to overflow left in fp32."""
        from onnxconverter_common import float16

        wide = self._overflowing(images)
        inner = onnx.ModelProto()
        inner.CopyFrom(self.core)
        del inner.graph.value_info[:]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of weights that fp16 rounds: the parity check measures what that costs
            narrow = float16.convert_float_to_float16(
                inner,
                min_positive_val=SMALLEST,
                max_finite_val=LARGEST,
                keep_io_types=True,
                node_block_list=list(wide),
            )
        _join_casts(narrow)
        names = layer_names(self.core)
        return self._with_signature(narrow), {names.get(node, node): reason for node, reason in wide.items()}

    def cost(self) -> Cost:
        """Counted from the graph's shapes."""
        return cost(self.core)

    def _overflowing(self, images: Pixels) -> dict[str, str]:
        """Nodes that read or write more than fp16 holds, with a margin, and why."""
        model = self.fp32()
        made = {name for node in self.core.graph.node for name in node.output}
        floats = [
            info.name
            for info in (*onnx.shape_inference.infer_shapes(model).graph.value_info, *model.graph.output)
            if info.type.tensor_type.elem_type == TensorProto.FLOAT and info.name in made
        ]
        ranges = measure(model, floats, images, histograms=False).ranges
        reach = {name: max(-low, high) for name, (low, high) in ranges.items()}
        found = {}
        for node in self.core.graph.node:
            most = max((reach.get(name, 0.0) for name in (*node.input, *node.output)), default=0.0)
            if most > LARGEST / MARGIN:
                written = max((reach.get(name, 0.0) for name in node.output), default=0.0)
                found[node.name] = ("" if written == most else "its input ") + reaches(most)
        return found

    def _with_signature(self, core: onnx.ModelProto) -> onnx.ModelProto:
        """uint8 [N, side, side, 3] in front of a graph: the nodes that `Normalised` is exported to."""
        model = onnx.ModelProto()
        model.CopyFrom(core)
        graph, side = model.graph, self.side
        inner = graph.input[0].name
        steps: list[tuple[str, list[npt.NDArray[np.float32]], dict[str, Any]]] = []
        if self.signature.input.dtype != "uint8":
            shape = (1, 3, 1, 1) if self.signature.channels_first else (1, 1, 1, 3)
            channels = [np.array(values, np.float32).reshape(shape) * 255 for values in (self.mean, self.std)]
            steps = [("Cast", [], {"to": TensorProto.FLOAT}), ("Sub", channels[:1], {}), ("Div", channels[1:], {})]
        if self.signature.channels_first:
            steps.insert(1, ("Transpose", [], {"perm": [0, 3, 1, 2]}))  # behind the cast: TensorRT only casts uint8
        if not steps:
            rename(model, inner, "image")
        nodes, last = [], "image"
        for number, (kind, constants, attributes) in enumerate(steps):
            following = inner if number == len(steps) - 1 else f"image.{kind.lower()}"
            names = [f"image.{kind.lower()}.constant" for _ in constants]
            graph.initializer.extend(numpy_helper.from_array(v, n) for v, n in zip(constants, names, strict=True))
            nodes.append(helper.make_node(kind, [last, *names], [following], name=f"image/{kind}", **attributes))
            last = following
        rest = list(graph.node)
        del graph.node[:], graph.input[:], graph.value_info[:]
        graph.node.extend([*nodes, *rest])
        graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, ["batch", side, side, 3]))
        model = onnx.shape_inference.infer_shapes(model)
        strip(model)
        onnx.checker.check_model(model, full_check=True)
        return model


def _converted(model: onnx.ModelProto, version: int, path: Path) -> onnx.ModelProto:
    if opset(model) == version:
        return model
    try:
        converted = onnx.version_converter.convert_version(model, version)
    except (RuntimeError, ValueError, onnx.version_converter.ConvertError) as error:
        reason = first_line(error)
        raise ZooError(f"{path} is of opset {opset(model)} and cannot become {version}: {reason}") from error
    if opset(converted) != version:
        raise InputError(f"{path}: asked for opset {version}, the converter wrote {opset(converted)}")
    return converted


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    return copied


def _cut(
    model: onnx.ModelProto, signature: Signature, output: str, task: Task, side: int, batch: int | None = None
) -> onnx.ModelProto:
    """What lies between images and logits, with names of its own, for pictures of `side` pixels and for `batch` of
    them at a time, or any number. `model` is changed.
    """
    output = _without_scores(model, output, task)
    path, image = signature.path, signature.input
    count: Any = batch or "batch"
    shape: list[Any] = [count, 3, side, side] if signature.channels_first else [count, side, side, 3]
    graph = model.graph
    stored = {tensor.name for tensor in graph.initializer}
    del graph.value_info[:], graph.output[:]  # shapes for another batch, for one
    for entry in list(graph.input):
        graph.input.remove(entry)
        if entry.name not in stored:
            graph.input.append(helper.make_tensor_value_info(image.name, NUMBERS[image.dtype], shape))
    graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, [count, task.outputs]))
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type}_{number}" if not node.name else node.name
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        cut = onnx.utils.Extractor(inferred).extract_model([image.name], [output])
        cut = onnx.compose.add_prefix(cut, PREFIX)
    except (ValueError, onnx.shape_inference.InferenceError) as error:
        reason = first_line(error)
        raise InputError(
            f"{path} does not answer {task.outputs} numbers for any number of pictures: {reason}"
        ) from None
    rename(cut, PREFIX + output, task.output)
    return cut


def _without_scores(model: onnx.ModelProto, output: str, task: Task) -> str:
    """The output without the softmax (of classes) or the sigmoid (of tags) at its end: engines apply it themselves.

    What follows the softmax, a Reshape for example, then reads what the softmax had read, which has the same shape.
    """
    graph = Index(model)
    last = last_operator(graph, output)
    node = graph.maker(last.tensor)
    if node is None or last.ending == "none" or node.op_type != task.activation:
        return output
    if last.tensor == output:
        return str(node.input[0])
    for reader in model.graph.node:
        reader.input[:] = [node.input[0] if name == last.tensor else name for name in reader.input]
    return output


def rename(model: onnx.ModelProto, old: str, new: str) -> None:
    """Call a tensor otherwise, wherever it is read or written."""
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
        node.output[:] = [new if name == old else name for name in node.output]
    for info in (*model.graph.output, *model.graph.value_info):
        info.name = new if info.name == old else info.name


def _optimised(model: onnx.ModelProto) -> onnx.ModelProto:
    """Constants folded, BatchNorm folded into the convolution in front of it, both in fp32."""
    from onnxscript import optimizer, rewriter

    source = onnx.ModelProto()
    source.CopyFrom(model)
    optimised: onnx.ModelProto = rewriter.rewrite(optimizer.optimize(source))
    strip(optimised)
    for number, node in enumerate(optimised.graph.node):
        node.name = node.name or f"{PREFIX}{node.op_type}_{number}"
    return optimised


def _join_casts(model: onnx.ModelProto) -> None:
    """A value that passes from one fp32 node to another must not pass through fp16 in between."""
    graph = Index(model)
    for node in graph.nodes:
        for number, name in enumerate(node.input):
            wide = graph.maker(name, "Cast")
            widened = wide is not None and _to(wide) == TensorProto.FLOAT
            narrow = graph.maker(wide.input[0], "Cast") if wide is not None and widened else None
            if narrow is not None and _to(narrow) == TensorProto.FLOAT16:
                node.input[number] = narrow.input[0]
    drop_unread(model, "Cast")


def _to(cast: onnx.NodeProto) -> int:
    return next(attribute.i for attribute in cast.attribute if attribute.name == "to")
