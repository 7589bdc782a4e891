"""A graph that was exported for one picture is freed for any number of them, where it can be shown to stay the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper, numpy_helper

from export.packing.parity import Floats
from zoo.engines.onnxruntime.session import library
from zoo.errors import InputError, first_line
from zoo.graphs.foreign import in_full_batches
from zoo.graphs.model import to_bytes
from zoo.machine import cores

STEP = 64  # pictures at a time where the graph takes any number
NEAR = 1e-3  # of the largest logit: sums may be taken in another order


def run(model: onnx.ModelProto, fed: npt.NDArray[np.generic], step: int | None) -> Floats:
    """The first output of a graph in ONNX Runtime, `step` rows of `fed` at a time, or up to `STEP`."""
    onnxruntime = library()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is said by the error
    options.intra_op_num_threads = cores()
    session = onnxruntime.InferenceSession(to_bytes(model), options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return in_full_batches(lambda part: session.run(None, {name: part})[0], fed, step or min(STEP, len(fed)))


Rows = npt.NDArray[np.generic]


def for_any_batch(model: onnx.ModelProto, reference: Callable[[Rows], Floats], fed: Rows, what: str) -> onnx.ModelProto:
    """`model`, or the same with the batch taken out of its Reshapes: the one that gives all rows of `fed` together what
    `reference`, the file itself at its own batch size, gives them. `InputError`, which names `what`, if neither does.
    """
    wanted, reason = reference(fed), ""
    for candidate in (model, *_freed(model)):
        try:
            found = run(candidate, fed, None)
        except Exception as error:  # the library raises a dozen types of its own
            reason = reason or first_line(error)
            continue
        if found.shape == wanted.shape and np.allclose(
            found, wanted, atol=NEAR * max(1.0, float(np.abs(wanted).max())), rtol=NEAR
        ):
            return candidate
        reason = reason or "a picture gets other logits alone than among others"
    raise InputError(
        f"{what} is made for one batch size: export it with a dynamic batch dimension (torch.onnx.export: "
        f"dynamic_shapes or dynamic_axes). {reason}"
    )


def _freed(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """The graph with 0, which means "as it comes in", for a first number of 1 in the shapes that Reshapes go by."""
    freed = onnx.ModelProto()
    freed.CopyFrom(model)
    graph = freed.graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = numpy_helper.to_array(node.attribute[0].t)
    changed = 0
    for number, node in enumerate(graph.node):
        shape = stored.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or not len(shape) or shape[0] != 1:
            continue
        name = f"{node.input[1]}.any_batch.{number}"
        graph.initializer.append(numpy_helper.from_array(np.array([0, *shape[1:]], np.int64), name))
        node.input[1] = name
        attributes = [attribute for attribute in node.attribute if attribute.name != "allowzero"]
        del node.attribute[:]
        node.attribute.extend(attributes)
        changed += 1
    if changed:
        del graph.value_info[:]
        for entry in graph.output:
            shape = entry.type.tensor_type.shape
            sides = [side.dim_param or side.dim_value for side in shape.dim]
            entry.CopyFrom(
                helper.make_tensor_value_info(entry.name, entry.type.tensor_type.elem_type, ["batch", *sides[1:]])
            )
        yield freed
