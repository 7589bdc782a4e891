"""ONNX Runtime's own CUDA provider, on libraries that compute nothing, takes every node of what export writes.

Which node is whose is decided before anything runs. How fast and how right a GPU computes them is not shown here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

from export.packing.sources.torch_network import TorchSource
from tests.support.fakes import cuda_nowhere
from tests.support.places import ROOT
from zoo.graphs.model import count, to_bytes
from zoo.models.library import MEAN, STD
from zoo.models.normalisation import Normalised

SIDE = 32
reason = cuda_nowhere.missing()
needs_provider = pytest.mark.skipif(bool(reason), reason=reason)


class Pools(nn.Module):
    """Every kind of pool and what ResNet, DenseNet and VGG put around it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Sequential(nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 5))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        answer: Tensor = self.head(torch.relu(self.norm(torch.cat([x, x + self.branch(x)], 1))))
        return answer


def vit() -> nn.Module:
    from torchvision.models import VisionTransformer

    return VisionTransformer(SIDE, 16, num_layers=1, num_heads=2, hidden_dim=16, mlp_dim=16, num_classes=5)


def squeeze_and_excite() -> nn.Module:
    from zoo.models import build

    return build("mobilenet_v3", classes=5, size=SIDE)


NETWORKS = {"pools": Pools, "vit": vit, "mobilenet_v3": squeeze_and_excite}


@pytest.fixture(scope="module")
def graphs(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("graphs")
    images = np.random.default_rng(0).integers(256, size=(2, SIDE, SIDE, 3), dtype=np.uint8)
    for name, make in NETWORKS.items():
        torch.manual_seed(0)
        source = TorchSource(Normalised(make(), MEAN, STD).eval(), name, SIDE, SIDE, "logits")
        for precision, graph in (("fp32", source.fp32()), ("fp16", source.fp16(images)[0])):
            (folder / f"{name}.{precision}.onnx").write_bytes(to_bytes(graph))
    return sorted(folder.iterdir())


def place(graphs: list[Path], folder: Path) -> list[dict]:
    """What the engine finds for each, with a CUDA graph ("True") and without."""
    folder.mkdir()
    cuda_nowhere.build(folder)
    environment = {**os.environ, "LD_LIBRARY_PATH": str(folder), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, ROOT / "tests/support/place.py", *graphs]
    ran = subprocess.run(command, env=environment, check=True, capture_output=True, text=True, timeout=120)
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_pools_leave_no_index_in_a_graph(graphs):
    """A pool to 1 x 1 of a channels_last tensor would be exported as a Gather by indices made from the batch size."""
    for path in graphs:
        if not path.name.startswith("vit"):
            assert count(onnx.load(path), "Shape", "Range", "Gather") == 0, path.name


@needs_provider
def test_every_node_is_taken_with_a_cuda_graph(graphs, tmp_path):
    found = place(graphs, tmp_path / "cuda")
    assert [line["graph"] for line in found] == [path.name for path in graphs]
    for line in found:
        with_graph, without = line["True"], line["False"]
        assert (without["nhwc"], without["cpu"]) == ("1", []), line
        if not line["graph"].startswith("vit"):
            assert with_graph == without, line
        else:  # a class token for each image, and keys that are transposed: from shapes
            assert with_graph["nhwc"] == "0", line
            assert {node.split()[0] for node in with_graph["cpu"]} <= {"Concat", "Slice", "Squeeze"}, line
        assert with_graph["nodes"] > 10, line


@needs_provider
def test_what_is_not_taken_is_named(graphs, tmp_path):
    model = onnx.load(next(path for path in graphs if path.name == "pools.fp32.onnx"))
    first = model.graph.node[0]
    assert list(first.input) == ["image"]
    first.input[0] = "moved"
    shift = onnx.helper.make_node("BitShift", ["image", "by"], ["moved"], name="node_shift", direction="RIGHT")
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array(1, np.uint8), "by"))
    model.graph.node.insert(0, shift)
    path = tmp_path / "shifted.onnx"
    path.write_bytes(to_bytes(model))
    (line,) = place([path], tmp_path / "cuda")
    for flag in ("True", "False"):
        assert "does not take BitShift node_shift; export it without" in line[flag]["problem"], line
