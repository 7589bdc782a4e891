"""In which precision does a plan really compute? Read from TensorRT's engine inspector, never assumed.

A graph that says fp16 may have become an fp32 plan without a word (it did, for others). So each convolution and matrix
product is looked up in the inspector's JSON. TensorRT 10 and 11 write it differently:

| | 10.x | 11.x |
|---|---|---|
| a tensor's type | `Format/Datatype`: "Half", "Channel major FP16 format ..." | `Datatype` (or `DataType`): "FP16" |
| the network's edges | `Bindings`: names | `I/O Tensors`: objects with `Name` |
| a layer of a plan built without DETAILED | a bare string | a bare string |
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Set
from dataclasses import dataclass
from typing import Any

from zoo.errors import InputError

SHARE = 0.95  # of the convolutions and matrix products that must compute in the wanted precision
KINDS = {
    "half": re.compile(r"\b(half|fp16|float16)\b", re.IGNORECASE),
    "int8": re.compile(r"\bint8\b", re.IGNORECASE),
    "float": re.compile(r"\b(float|fp32|float32)\b", re.IGNORECASE),
}
WANTED = {"fp32": "float", "fp16": "half", "int8s": "int8"}  # what a graph of that precision computes in
_HEAVY = re.compile(r"conv(?!ert)|gemm|matmul|matrix_?multiply|fully_?connected", re.IGNORECASE)
_MOVES = frozenset({"reformat", "noop", "constant", "shuffle", "signal", "wait", "cast", "copy"})
_ONNX_LAYER = re.compile(r"\[ONNX Layer: ([^\]]+)\]")
SHOWN = 10  # unproven layers that are named


@dataclass(frozen=True)
class Proof:
    """Of `layers` convolutions and matrix products, `proven` compute in `kind`; `unproven` names the first others."""

    kind: str
    layers: int
    proven: int
    unproven: tuple[str, ...]

    @property
    def share(self) -> float:
        """Proven layers of all of them; 0 when the inspector shows none."""
        return self.proven / self.layers if self.layers else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For the sidecar."""
        return {
            "kind": self.kind,
            "layers": self.layers,
            "proven": self.proven,
            "share": self.share,
            "unproven": list(self.unproven),
        }

    def objections(self, wanted: float = SHARE) -> list[str]:
        """What is wrong, in words with the numbers; empty when at least the share `wanted` is proven."""
        if not self.layers:
            return ["the inspector shows no convolution and no matrix product, so that nothing is proven"]
        if self.share >= wanted:
            return []
        names = ", ".join(self.unproven)
        return [
            f"only {self.proven} of {self.layers} convolutions and matrix products are proven to compute in "
            f"{self.kind}, {100 * wanted:.1f} % must; not proven: {names}"
        ]


def prove(information: str, precision: str, heavy: Set[str]) -> Proof:
    """Read `get_engine_information(JSON)` of a plan. `heavy`: the graph's own convolutions and matrix products by name.

    A layer that is a bare string says nothing: it counts as one that is not proven, whatever it is called.
    """
    try:
        about = json.loads(information)
        layers = about["Layers"]
    except (json.JSONDecodeError, KeyError, TypeError):
        raise InputError("TensorRT's engine inspector gave no list of layers") from None
    edges = {str(entry["Name"] if isinstance(entry, dict) else entry) for entry in _edges(about)}
    kind = WANTED[precision]
    counted = [layer for layer in layers if isinstance(layer, str) or _is_heavy(layer, heavy)]
    unproven = [layer for layer in counted if isinstance(layer, str) or not _computes_in(layer, kind, edges)]
    names = [layer if isinstance(layer, str) else str(layer.get("Name", "?")) for layer in unproven]
    return Proof(kind, len(counted), len(counted) - len(unproven), tuple(names[:SHOWN]))


def _edges(about: dict[str, Any]) -> list[Any]:
    return list(about.get("Bindings") or []) + list(about.get("I/O Tensors") or [])


def _is_heavy(layer: dict[str, Any], heavy: Set[str]) -> bool:
    kind, name = str(layer.get("LayerType", "")), str(layer.get("Name", ""))
    if kind.lower() in _MOVES or name.startswith("Reformatting"):
        return False
    said = [kind, str(layer.get("ParameterType", "")), str(layer.get("TacticName", ""))]
    if name.startswith("__myl"):  # Myelin names its kernels after what they compute, other layers after ONNX tensors
        said.append(name)
    inside = _ONNX_LAYER.findall(str(layer.get("Metadata", "")))
    return any(_HEAVY.search(text) for text in said) or not heavy.isdisjoint(inside)


def _computes_in(layer: dict[str, Any], kind: str, edges: Collection[str]) -> bool:
    """The weights' type decides where it is given, otherwise the tensors'.

    The network's own edges are uint8 and fp32 by contract, whatever happens between them, and do not count.
    """
    weights = layer.get("Weights")
    if isinstance(weights, dict) and "Type" in weights:
        return kind_of(str(weights["Type"])) == kind
    inputs = [_tensor_kind(tensor) for tensor in layer.get("Inputs", ()) if tensor.get("Name") not in edges]
    outputs = [_tensor_kind(tensor) for tensor in layer.get("Outputs", ()) if tensor.get("Name") not in edges]
    if kind == "int8":  # its result may be anything: the dequantisation is part of the layer
        return kind in inputs
    return bool(inputs + outputs) and set(inputs + outputs) == {kind}


def _tensor_kind(tensor: dict[str, Any]) -> str | None:
    return kind_of(str(tensor.get("Format/Datatype") or tensor.get("Datatype") or tensor.get("DataType") or ""))


def kind_of(text: str) -> str | None:
    """The kind that a type's description names, or None ("N/A due to dynamic shapes", "Int32")."""
    return next((kind for kind, pattern in KINDS.items() if pattern.search(text)), None)
