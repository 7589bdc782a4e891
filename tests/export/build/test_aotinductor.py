"""AOTInductor's packages, compiled for real; that takes most of a minute. `make test-slow`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.support.command import one_line
from zoo.bundle import sidecar
from zoo.engines import selftest
from zoo.errors import InputError

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(run, tmp_path_factory) -> Path:
    """A small VGG with its package."""
    from export.build.aotinductor import build
    from export.packing.sources.checkpoint import pack_checkpoint
    from zoo.engines import Bundle

    path = tmp_path_factory.mktemp("aoti") / "vgg.zoo"
    pack_checkpoint(run.folder / "vgg", path, splits=run.splits, precisions=["fp32"])
    about, made = build(Bundle.open(path), run.folder / "vgg", batch=(1, 4, 8))
    assert made
    assert about.selftest.difference <= about.selftest.tolerance
    assert build(Bundle.open(path), run.folder / "vgg", batch=(1, 4, 8)) == (about, False)
    return path


def test_a_package_gives_the_graphs_answers(built, run):
    images = run.splits.test.images[:21]
    engine = zoo.load(built, backend="aotinductor", threads=1)
    expected = zoo.load(built)(images)
    np.testing.assert_allclose(engine(images), expected, atol=1e-4)
    np.testing.assert_allclose(engine(images[:1]), expected[:1], atol=1e-4)
    assert (engine.describe()["threads"], engine.describe()["backend"]) == (1, "aotinductor")


def test_bf16_is_built_beside_it_and_is_a_precision_of_its_own(built, run, tmp_path):
    from export.build.aotinductor import build
    from zoo.engines import Bundle

    copy = shutil.copytree(built, tmp_path / "copy.zoo")
    about, made = build(Bundle.open(copy), run.folder / "vgg", "bf16", batch=(1, 4, 8))
    assert made
    assert (about.precision, about.graph.name) == ("bf16", "model.fp32.onnx")
    images = run.splits.test.images
    engine, exact = zoo.load(copy, backend="aotinductor", precision="bf16"), zoo.load(copy)
    assert (engine.describe()["precision"], engine.describe()["graph"]) == ("bf16", "fp32")
    difference = np.abs(engine(images) - exact(images)).max()
    assert 0 < difference <= 8e-2 * np.abs(exact(images)).max()
    assert selftest.check(engine).tolerance > selftest.check(exact).tolerance


def test_verify_and_predict_know_it(built, zoo_command, pictures):
    shown = zoo_command("verify", built, "--backend", "aotinductor")
    assert shown.returncode == 0, shown.stderr
    assert "the file that was built" in shown.stdout
    assert "fp32 on aotinductor: passed" in shown.stdout
    assert zoo_command("predict", built, pictures / "cross" / "000.png", "--backend", "aotinductor").returncode == 0


def test_code_that_was_changed_is_not_loaded(built, tmp_path, zoo_command):
    copy = shutil.copytree(built, tmp_path / "copy.zoo")
    (folder,) = sidecar.folders(copy)
    package = folder / "model.pt2"
    package.write_bytes(package.read_bytes()[:-1] + b"!")
    with pytest.raises(InputError, match=r"model\.pt2 is not the file that was built"):
        zoo.load(copy, backend="aotinductor")
    shown = zoo_command("verify", copy)
    assert shown.returncode == 2
    assert "is not the file that was built" in one_line(shown.stderr)


def test_code_for_another_cpu_or_torch_is_not_loaded(built, tmp_path):
    copy = shutil.copytree(built, tmp_path / "copy.zoo")
    (folder,) = sidecar.folders(copy)
    about = json.loads((folder / "sidecar.json").read_text())
    for key, value, complaint in (
        ("processor", {"name": "A CPU", "kind": "x86_64-0", "driver": None}, "was compiled for A CPU"),
        ("library", "2.0.0", "was compiled by torch 2.0.0"),
    ):
        (folder / "sidecar.json").write_text(json.dumps(about | {key: value}))
        with pytest.raises(sidecar.NotBuilt, match=complaint):
            zoo.load(copy, backend="aotinductor")
    answer = zoo.load(copy, backend="aotinductor,onnxruntime").describe()
    assert answer["backend"] == "onnxruntime"
