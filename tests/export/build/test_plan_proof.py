"""The proof of precision, on inspector JSON in the shapes of TensorRT 10 and 11.

The two files follow the documented shape and what others have published; they were not written by a GPU here.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from export.build.tensorrt.proof import kind_of, prove
from zoo.errors import InputError

HERE = Path(__file__).parent
HEAVY = frozenset({"node_conv2d", "node_conv2d_1", "node_linear"})


def recorded(generation: int) -> dict:
    return json.loads((HERE / f"inspector_{generation}.json").read_text())


def change(about: dict, **layers: dict) -> str:
    for layer in about["Layers"]:
        layer.update(next((new for part, new in layers.items() if part in layer["Name"]), {}))
    return json.dumps(about)


@pytest.mark.parametrize("generation", [10, 11])
def test_both_shapes_are_read(generation):
    """Three of the layers compute; the uint8 image and the fp32 logits at the edges are no objection."""
    proof = prove(json.dumps(recorded(generation)), "fp16", HEAVY)
    assert (proof.layers, proof.proven, proof.share, proof.unproven) == (3, 3, 1.0, ())
    assert proof.objections() == []


@pytest.mark.parametrize("generation", [10, 11])
def test_a_silent_fp32_build_is_found(generation):
    text = json.dumps(recorded(generation))
    for half in ('"Half"', '"FP16"', "FP16 format"):
        text = text.replace(half, half.replace("Half", "Float").replace("FP16", "FP32"))
    proof = prove(text, "fp16", HEAVY)
    assert proof.proven == 0
    assert "only 0 of 3" in proof.objections()[0]
    assert prove(text, "fp32", HEAVY).share == 1.0


def test_one_layer_in_fp32_is_named():
    about = change(recorded(10), conv2d_1={"Weights": {"Type": "Float", "Count": 288}})
    proof = prove(about, "fp16", HEAVY)
    assert (proof.proven, proof.unproven) == (2, ("features.1.weight + node_conv2d_1",))
    assert "node_conv2d_1" in proof.objections()[0]


def test_without_weights_every_tensor_inside_has_to_be_half():
    about = recorded(11)
    about["Layers"][2]["Inputs"].append({"Name": "residual", "Datatype": "Float", "Format": "Linear"})
    assert prove(json.dumps(about), "fp16", HEAVY).unproven == ("__myl_ConvAddClip_myl0_2",)


def test_bare_strings_and_unknown_shapes_prove_nothing():
    """A plan that was built without DETAILED, or inspected without shapes."""
    names = {"Layers": ["node_conv2d", "whatever"], "Bindings": ["image", "logits"]}
    proof = prove(json.dumps(names), "fp16", HEAVY)
    assert (proof.layers, proof.proven) == (2, 0)
    about = recorded(11)
    about["Layers"][2]["Outputs"][0]["DataType"] = "N/A due to dynamic shapes"
    assert prove(json.dumps(about), "fp16", HEAVY).proven == 2


def test_an_engine_that_shows_nothing_is_not_proven():
    assert "nothing is proven" in prove('{"Layers": []}', "fp16", HEAVY).objections()[0]
    for broken in ("", "[]", "{}", "null"):
        with pytest.raises(InputError, match="no list of layers"):
            prove(broken, "fp16", HEAVY)


def test_int8_is_proven_by_what_goes_into_a_layer():
    about = recorded(10)
    inputs = [{"Name": "q", "Format/Datatype": "Thirty-two wide channel vectorized row major Int8 format"}]
    text = change(about, conv2d={"Weights": {"Type": "Int8", "Count": 864}}, Gemm={"Inputs": inputs})
    assert prove(text, "int8s", HEAVY).share == 1.0
    assert prove(json.dumps(recorded(10)), "int8s", HEAVY).share == 0.0


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Half", "half"),
        ("Row major linear FP16 format", "half"),
        ("Half(64,1:8,...)", "half"),
        ("BFloat16", None),
        ("Row major linear BF16 format", None),
        ("UInt8", None),
        ("Int8", "int8"),
        ("Row major linear FP32", "float"),
        ("N/A due to dynamic shapes", None),
        ("", None),
    ],
)
def test_words_for_types(text, kind):
    assert kind_of(text) == kind
