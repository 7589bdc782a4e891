"""What TensorRT's ONNX parser refuses when the network is strongly typed, found without TensorRT.

A strongly typed network computes every operator in the types that its graph states: nothing is cast on the way in.
TensorRT 11 knows nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from zoo.errors import first_line
from zoo.graphs.index import UNKNOWN, Index

# The parser's own list (onnx-tensorrt, docs/operators.md, 8.5), and what later versions added for image networks.
_LISTED = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast CastLike Ceil Celu
    Clip Concat Constant ConstantOfShape Conv ConvTranspose Cos Cosh CumSum DeformConv DepthToSpace DequantizeLinear Div
    Dropout Einsum Elu Equal Erf Exp Expand EyeLike Flatten Floor GRU Gather GatherElements GatherND Gelu Gemm
    GlobalAveragePool GlobalLpPool GlobalMaxPool Greater GreaterOrEqual GridSample GroupNormalization HardSigmoid
    HardSwish Identity If InstanceNormalization IsInf IsNaN LRN LSTM LayerNormalization LeakyRelu Less LessOrEqual Log
    LogSoftmax Loop LpNormalization LpPool MatMul Max MaxPool Mean MeanVarianceNormalization Min Mish Mod Mul Neg
    NonMaxSuppression NonZero Not OneHot Or PRelu Pad Pow QuantizeLinear RNN RandomNormal RandomNormalLike RandomUniform
    RandomUniformLike Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize ReverseSequence RoiAlign Round Scan ScatterElements
    ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softmax Softplus Softsign SpaceToDepth Split Sqrt
    Squeeze Sub Sum Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Upsample Where Xor
"""
SUPPORTED = frozenset(_LISTED.split())
STANDARD = frozenset({"", "ai.onnx"})
UNKNOWN_TYPES = frozenset({TensorProto.DOUBLE, TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128})


def problems(model: onnx.ModelProto) -> list[str]:
    """One line for each objection, with the node's name; empty when a strongly typed parser takes the graph.

    Types that shape inference cannot tell are an objection too: what is not known is not proven.
    """
    try:
        inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
    except onnx.shape_inference.InferenceError as error:
        return [f"types do not fit: {first_line(error)}"]
    graph = Index(inferred)
    versions = {entry.domain or "ai.onnx": entry.version for entry in inferred.opset_import}
    found = []
    for node in graph.nodes:
        title = f"{node.op_type} '{node.name}'"
        if node.domain not in STANDARD:
            found.append(f"{title}: operators of the domain {node.domain} are no part of ONNX")
        elif node.op_type not in SUPPORTED:
            found.append(f"{title}: the operator is not supported")
        else:
            found += [f"{title}: {line}" for line in _mixed(node, graph, versions["ai.onnx"])]
            found += [f"{title}: {line}" for line in _quantisation(node, graph)]
            found += [f"{title}: {line}" for line in _narrow(node, graph)]
    return found


def _word(kind: int) -> str:
    return TensorProto.DataType.Name(kind).lower() if kind else "of an unknown type"


def _mixed(node: onnx.NodeProto, graph: Index, version: int) -> Iterator[str]:
    """Operands that the operator's definition says are of one type, and that are not."""
    schema = onnx.defs.get_schema(node.op_type, version, "")
    together: dict[str, dict[str, int]] = {}
    for formals, actuals in ((schema.inputs, node.input), (schema.outputs, node.output)):
        for number, name in enumerate(actuals):
            formal = formals[min(number, len(formals) - 1)]
            if name and formal.is_homogeneous:
                together.setdefault(formal.type_str, {})[name] = graph.type_of(name)
    for operands in together.values():
        kinds = {_word(kind) for kind in operands.values()}
        if len(kinds) > 1:
            yield f"mixed operand types: {', '.join(f'{name} {_word(kind)}' for name, kind in operands.items())}"


def _quantisation(node: onnx.NodeProto, graph: Index) -> Iterator[str]:
    if node.op_type not in {"QuantizeLinear", "DequantizeLinear"}:
        return
    kind = graph.type_of(node.output[0] if node.op_type == "QuantizeLinear" else node.input[0])
    if kind != TensorProto.INT8:
        yield f"quantised numbers must be int8, not {_word(kind)}"
    if not graph.is_stored(node.input[1]):
        yield "the scale must be a constant"
    zero = graph.stored(node.input[2]) if len(node.input) > 2 else None
    if zero is not None and zero.any():
        yield "the zero point must be 0"


def _narrow(node: onnx.NodeProto, graph: Index) -> Iterator[str]:
    """Types that TensorRT does not compute in: uint8 is for inputs and outputs alone, cast at once."""
    for name in (*node.input, *node.output):
        kind = graph.type_of(name)
        if name and kind == UNKNOWN:
            yield f"the type of {name} is not known"
        if kind in UNKNOWN_TYPES:
            yield f"{name} is {_word(kind)}"
        if kind == TensorProto.UINT8 and node.op_type not in {"Cast", "QuantizeLinear", "DequantizeLinear"}:
            yield f"{name} is uint8, which can only be cast"
