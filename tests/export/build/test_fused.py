"""Fused layers: the kernels in Triton's interpreter, the rewrite, and a built package's way to an engine.

A GPU is needed for the kernels themselves: what waits for one is skipped without it. Where the way to an engine is
tested on a CPU, torch's compiler has a stand-in that keeps the exported program, and the operators answer by plain
arithmetic.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import zoo
from tests.support.places import ROOT
from zoo.bundle import sidecar
from zoo.engines import Bundle
from zoo.engines.torch.aotinductor import AotInductorFused
from zoo.errors import InputError, VerdictError

torch = pytest.importorskip("torch")
if importlib.util.find_spec("triton") is None:
    pytest.skip("triton is not installed", allow_module_level=True)

from torch import nn  # noqa: E402

from export.build import aotinductor  # noqa: E402
from export.build.fused import fingerprint, modules, tiles  # noqa: E402
from export.build.fused.rewrite import rewritten  # noqa: E402
from export.packing.fold import folded  # noqa: E402
from export.packing.half import half  # noqa: E402
from zoo import models  # noqa: E402
from zoo.models.normalisation import Normalised  # noqa: E402

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")


def interpreted(dtype: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    words = [sys.executable, ROOT / "tests/support/interpreted.py", dtype]
    return subprocess.run(words, capture_output=True, text=True, env=environment, timeout=600, check=False)


def test_every_kernel_is_right_in_the_interpreter():
    done = interpreted("float16")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "tried 20, wrong 0" in done.stdout


@pytest.mark.slow
def test_every_kernel_is_right_in_fp32():
    done = interpreted("float32")
    assert done.returncode == 0, done.stdout + done.stderr


def trained(network: nn.Module) -> nn.Module:
    """As after training: statistics that are not zero and one, so that answers differ from image to image."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return network.eval()


def made(family: str) -> nn.Module:
    if family == "torchvision":
        return pytest.importorskip("torchvision").models.mobilenet_v2(num_classes=5)
    return models.build(family, classes=5, size=32, width=0.25)


@pytest.mark.parametrize(
    ("family", "blocks"),
    [("mobilenet_v1", 13), ("mobilenet_v2", 17), ("torchvision", 17)],
    ids=lambda value: str(value),
)
def test_a_rewritten_network_gives_the_networks_answers(family, blocks):
    """In fp32 and fp16, and exported for any number of images."""
    network = Normalised(trained(made(family)), MEAN, STD).eval()
    images = torch.randint(0, 256, (3, 32, 32, 3), dtype=torch.uint8)
    inner = network.around(folded(network.network))
    with torch.no_grad():
        truth = network(images)
        fused = rewritten(inner.network, inner.mean, inner.std)
        found = [type(module) for module in fused.modules()]
        assert found.count(modules.Block) == blocks
        dense = (
            0 if family == "mobilenet_v1" else 1
        )  # the mean behind a block is torch's, and the classifier behind that
        assert (found.count(modules.Stem), found.count(modules.PooledPointwise)) == (1, dense)
        assert found.count(modules.Linear) == dense
        assert nn.Conv2d not in found
        np.testing.assert_allclose(fused(images), truth, atol=1e-4 * float(truth.abs().max()))
        form = half(inner, images.numpy())
        assert not form.kept
        narrow = rewritten(form.network.network, inner.mean, inner.std)
        answers = narrow(images)
        assert answers.dtype == torch.float32
        np.testing.assert_allclose(answers, truth, atol=2e-2 * float(truth.abs().max()))
        program = torch.export.export(
            narrow, (images[:2],), dynamic_shapes=({0: torch.export.Dim("n", min=1, max=256)},)
        )
        for count in (1, 3):
            assert torch.equal(program.module()(images[:count]), narrow(images[:count]))


def test_the_network_itself_stays_as_it_is():
    inner = folded(trained(made("mobilenet_v2")))
    before = {name: tensor.clone() for name, tensor in inner.state_dict().items()}
    rewritten(inner, torch.zeros(3), torch.ones(3))
    assert all(torch.equal(tensor, before[name]) for name, tensor in inner.state_dict().items())


@pytest.mark.parametrize("family", ["vgg", "branching"])
def test_a_network_in_which_nothing_matches_is_refused(family):
    class Branching(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    network = Branching() if family == "branching" else folded(models.build("vgg", classes=5, size=32, depth=8))
    with pytest.raises(InputError, match="--backend aotinductor builds it"):
        rewritten(network, torch.zeros(3), torch.ones(3))


def test_tiles_are_what_triton_takes():
    """Powers of two that tensor cores take, and no more threads than a block may have."""
    found = [tiles.EXPAND_DEPTHWISE, tiles.INVERTED_RESIDUAL, tiles.STEM]
    for pixels in (1, 49, 196, 784, 12544):
        for inner in (3, 24, 96, 320, 1280):
            found += [tiles.pooled_pointwise(pixels, inner), tiles.linear(inner)]
            for outputs in (5, 24, 1280):
                found += [tiles.pointwise(pixels, inner, outputs), tiles.depthwise_pointwise(pixels, inner, outputs)]
    for tile in found:
        blocks = [size for name, size in tile.items() if name.startswith("BLOCK")]
        assert all(size >= 16 for size in blocks), tile
        assert all(size & (size - 1) == 0 for size in (*blocks, tile["num_warps"])), tile
        assert 1 <= tile["num_warps"] <= 32
        assert 1 <= tile["num_stages"] <= 4


@pytest.fixture
def stand_in(monkeypatch):
    """Torch's compiler keeps the program and its loader runs that, on a CPU that passes for a GPU."""

    def keep(program, *, package_path, inductor_configs):
        assert inductor_configs == {}  # the tiles are chosen: nothing is left to be timed
        torch.export.save(program, package_path)

    def load(path, *, run_single_threaded, device_index):
        return torch.export.load(path).module()

    inductor = SimpleNamespace(aoti_compile_and_package=keep, aoti_load_package=load)
    fake = SimpleNamespace(**{name: getattr(torch, name) for name in ("__version__", "from_numpy", "inference_mode")})
    fake._inductor, fake.get_num_threads, fake.set_num_threads = inductor, lambda: 1, lambda count: None
    monkeypatch.setattr("zoo.engines.torch.aotinductor.library", lambda: fake)
    monkeypatch.setattr("export.build.aotinductor.library", lambda: fake)
    on_a_cpu = replace(AotInductorFused.builder, precisions={"cpu": ("fp32", "fp16")})
    monkeypatch.setattr(AotInductorFused, "builder", on_a_cpu)
    monkeypatch.setattr(AotInductorFused, "devices", ("cpu",))


@pytest.mark.usefixtures("stand_in")
def test_a_fused_package_is_built_beside_and_is_a_backend_of_its_own(bundle_path, run, tmp_path, monkeypatch):
    copy = shutil.copytree(bundle_path, tmp_path / "copy.zoo")
    source = run.folder / "mobilenet_v2"
    for backend in ("aotinductor-fused", "aotinductor"):
        monkeypatch.setitem(aotinductor.SETTINGS, "cpu", {})
        about, new = aotinductor.build(Bundle.open(copy), source, backend=backend, batch=(1, 2, 8))
        assert new
        assert about.backend == backend
        assert about.selftest.difference <= about.selftest.tolerance
    assert sorted(path.name.partition("-fp32")[0] for path in sidecar.folders(copy)) == [
        "aotinductor",
        "aotinductor-fused",
    ]
    images = run.splits.test.images[:9]
    engine = zoo.load(copy, backend="aotinductor-fused", device="cpu")
    assert engine.describe()["backend"] == "aotinductor-fused"
    assert engine.backend.about.settings == {"kernels": fingerprint()}
    np.testing.assert_allclose(engine(images), zoo.load(copy)(images), atol=1e-4)
    again = aotinductor.build(Bundle.open(copy), source, backend="aotinductor-fused", batch=(1, 2, 8))
    assert again[1] is False
    monkeypatch.setattr("export.build.fused.fingerprint", lambda: "another")
    again = aotinductor.build(Bundle.open(copy), source, backend="aotinductor-fused", batch=(1, 2, 8))
    assert again[1] is True


@pytest.mark.usefixtures("stand_in")
def test_a_fused_package_that_answers_otherwise_is_not_kept(bundle_path, run, tmp_path, monkeypatch):
    copy = shutil.copytree(bundle_path, tmp_path / "copy.zoo")
    monkeypatch.setattr("export.build.fused.modules.Linear.forward", lambda self, x: x @ self.weight.t() * 2)
    with pytest.raises(VerdictError, match="the new aotinductor-fused fp32 engine gives other logits in the self-test"):
        aotinductor.build(Bundle.open(copy), run.folder / "mobilenet_v2", backend="aotinductor-fused")
    assert not sidecar.folders(copy)


def test_without_a_package_one_line_says_so(bundle_path):
    with pytest.raises(sidecar.NotBuilt, match="no aotinductor-fused engine"):
        zoo.load(bundle_path, backend="aotinductor-fused", device="cpu")


@gpu
def test_on_a_gpu_kernels_and_package_are_right(bundle_path, run, tmp_path):
    """The fp16 package, replayed, for one image and many."""
    copy = shutil.copytree(bundle_path, tmp_path / "copy.zoo")
    about, _ = aotinductor.build(
        Bundle.open(copy), run.folder / "mobilenet_v2", "fp16", device="cuda", backend="aotinductor-fused"
    )
    assert about.selftest.difference <= about.selftest.tolerance
    engine = zoo.load(copy, backend="aotinductor-fused", precision="fp16", cuda_graph=True)
    images = run.splits.test.images
    exact = zoo.load(copy)
    for count in (1, 2, 32):
        truth = exact(images[:count])
        np.testing.assert_allclose(engine(images[:count]), truth, atol=2e-2 * np.abs(truth).max())
