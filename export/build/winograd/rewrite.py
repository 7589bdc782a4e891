"""An int8 graph with operators of our own: the same signature, nearly the same logits, other nodes in between.

The rewrite looks at every QuantizeLinear and at the nodes in front of it. Where these form a pattern that one of our
operators computes, that operator takes their place; all other nodes stay as they are and ONNX Runtime computes them.
Our operators pass feature maps to each other as NHWC. Where a node of ONNX Runtime's reads what ours made, or makes
what ours reads, a Transpose of the uint8 map stands in between; the map keeps its name on ONNX Runtime's side.
"""

from __future__ import annotations

from collections.abc import Iterable

import onnx

from export.build.winograd.convolution import convolution
from export.build.winograd.operator import DOMAIN, VERSION, Operator
from export.build.winograd.pixel_table import pixel_table
from export.build.winograd.pooling import max_pool, mean
from export.build.winograd.quantised import QuantisedGraph
from zoo.errors import InputError
from zoo.graphs.index import reads
from zoo.graphs.work import products

LEAST = 0.5  # of the convolutions' multiplications: every other one is computed as before, behind two transpositions
TO_NHWC, TO_NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def rewritten(source: onnx.ModelProto) -> tuple[onnx.ModelProto, float]:
    """The graph with our operators, and the share of the convolutions' multiplications that they compute.

    The same bytes for the same graph. Raises `InputError` where that share is too small.
    """
    model = onnx.ModelProto()
    model.CopyFrom(source)
    _name_convolutions(model)
    graph = QuantisedGraph(model)
    operators = _operators(graph)
    nodes = _living(_nodes(graph, operators), graph.outputs)
    done = {node.name for node in nodes if node.domain == DOMAIN}
    share = _share(model, done)
    if share < LEAST:
        raise InputError(
            f"nothing to gain: {100 * share:.0f} % of the convolutions' multiplications could be replaced, and "
            f"{100 * LEAST:.0f} % have to be; those that are replaced are int8 behind uint8, dense or depthwise"
        )
    _fill(model, graph, nodes, operators.values())
    onnx.checker.check_model(model)
    return model, share


def _name_convolutions(model: onnx.ModelProto) -> None:
    """A name of its own for each, because work is counted by it."""
    seen: set[str] = set()
    for node in model.graph.node:
        if node.op_type == "Conv" and (not node.name or node.name in seen):
            node.name = node.output[0]
        seen.add(node.name)


def _operators(graph: QuantisedGraph) -> dict[str, Operator]:
    """All that fit, by the tensor that they make. A pool is one only behind another: alone it would not pay for the
    transpositions around it.
    """
    found: dict[str, Operator] = {}
    for node in graph.nodes:
        if node.op_type != "QuantizeLinear":
            continue
        operator = convolution(graph, node) or pixel_table(graph, node)
        if operator is None:
            operator = max_pool(graph, node) or mean(graph, node)
            if operator is not None and operator.source not in found:
                operator = None
        if operator is not None:
            found[operator.output] = operator
    return found


def _nodes(graph: QuantisedGraph, operators: dict[str, Operator]) -> list[onnx.NodeProto]:
    """Everything that could be needed, in an order in which it can run."""
    read = dict.fromkeys(name for operator in operators.values() for name in operator.maps)
    theirs = [name for name in read if name not in operators]
    nodes = [_transpose(name, _nhwc(name), TO_NHWC) for name in theirs if name in graph.inputs]
    for node in graph.nodes:
        operator = operators.get(node.output[0])
        if operator is None:
            nodes.append(node)
            nodes += [_transpose(name, _nhwc(name), TO_NHWC) for name in node.output if name in theirs]
            continue
        nodes.append(_node(operator))
        if not operator.flat:
            nodes.append(_transpose(_nhwc(operator.output), operator.output, TO_NCHW))
    return nodes


def _node(operator: Operator) -> onnx.NodeProto:
    inputs = [operator.source if operator.from_image else _nhwc(operator.source)]
    inputs += [_stored(operator, what) for what in operator.stored]
    inputs += [] if operator.residual is None else [_nhwc(operator.residual)]
    output = operator.output if operator.flat else _nhwc(operator.output)
    return onnx.helper.make_node(
        operator.kind, inputs, [output], operator.name, domain=DOMAIN, **dict(sorted(operator.settings.items()))
    )


def _transpose(name: str, other: str, order: list[int]) -> onnx.NodeProto:
    return onnx.helper.make_node("Transpose", [name], [other], f"{other}/transpose", perm=order)


def _nhwc(name: str) -> str:
    return f"{name}/nhwc"


def _stored(operator: Operator, what: str) -> str:
    return f"{operator.output}/{what}"


def _living(nodes: list[onnx.NodeProto], outputs: Iterable[str]) -> list[onnx.NodeProto]:
    """Those whose results reach an output."""
    needed = set(outputs)
    living = []
    for node in reversed(nodes):
        if needed & set(node.output):
            needed.update(reads(node))
            living.append(node)
    return living[::-1]


def _share(model: onnx.ModelProto, done: set[str]) -> float:
    macs = {product.name: product.macs for product in products(model) if product.kind == "Conv"}
    return sum(count for name, count in macs.items() if name in done) / max(1, sum(macs.values()))


def _fill(
    model: onnx.ModelProto, graph: QuantisedGraph, nodes: list[onnx.NodeProto], operators: Iterable[Operator]
) -> None:
    """Put the nodes, and what they need of the old file and the new one, in the place of the graph."""
    needed = {name for node in nodes for name in reads(node)} | graph.outputs
    kept = [tensor for tensor in model.graph.initializer if tensor.name in needed]
    kept += [
        onnx.numpy_helper.from_array(array, name)
        for operator in operators
        for what, array in operator.stored.items()
        if (name := _stored(operator, what)) in needed
    ]
    made = {name for node in nodes for name in node.output}
    known = [info for info in model.graph.value_info if info.name in made]
    for field, content in (("node", nodes), ("initializer", kept), ("value_info", known)):
        copies = [type(part)() for part in content]
        for copy, part in zip(copies, content, strict=True):
            copy.CopyFrom(part)
        del getattr(model.graph, field)[:]
        getattr(model.graph, field).extend(copies)
    model.opset_import.append(onnx.helper.make_opsetid(DOMAIN, VERSION))
