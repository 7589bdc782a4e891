"""`zoo build` as a user meets it, where there is no GPU, and what AOTInductor refuses before it compiles."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

import pytest

from tests.support.command import one_line
from zoo.engines import Bundle
from zoo.errors import InputError


@pytest.fixture
def copy(bundle_path, tmp_path) -> Path:
    return shutil.copytree(bundle_path, tmp_path / "copy.zoo")


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["--backend", "tensort"], 2, "did you mean 'tensorrt'"),
        (["--backend", "tensorrt", "--precision", "int4"], 2, "builds fp16, int8, fp32, not 'int4'"),
        (["--backend", "tensorrt", "--batch", "1,2"], 2, "three numbers as 1,8,32"),
        (["--backend", "tensorrt", "--checkpoint", "x"], 2, "--checkpoint means nothing for tensorrt"),
        (["--backend", "tensorrt", "--batch", "1,8,5000"], 2, "takes up to 1024 images at once, not 5000"),
        (["--backend", "tensorrt", "--batch", "0,8,32"], 2, "1 <= MIN <= OPT <= MAX, not 0,8,32"),
        (["--backend", "aotinductor"], 2, "--checkpoint names the folder"),
        (["--backend", "aotinductor-fused"], 2, "aotinductor-fused compiles the torch network: --checkpoint"),
        (["--backend", "aotinductor-fused", "--precision", "fp32"], 2, "builds fp16, not 'fp32'"),
        (
            ["--backend", "aotinductor-fused", "--device", "cpu", "--checkpoint", "x"],
            2,
            "builds for cuda, not for device",
        ),
        (["--backend", "aotinductor", "--checkpoint", "gone"], 2, "no checkpoint at gone"),
        (["--backend", "aotinductor", "--checkpoint", "x", "--version-compatible"], 2, "means nothing for aotinductor"),
    ],
)
def test_mistakes_are_one_line(zoo_command, copy, words, code, complaint):
    shown = zoo_command("build", copy, *words)
    assert shown.returncode == code, shown.stderr
    assert complaint in one_line(shown.stderr)
    assert not (copy / "engines").exists()


def test_without_tensorrt_one_line_says_what_to_install(zoo_command, copy):
    if importlib.util.find_spec("tensorrt") is not None:
        pytest.skip("TensorRT is installed")
    for words in (
        ["build", copy, "--backend", "tensorrt"],
        ["predict", copy, "x.png", "--backend", "tensorrt", "--device", "cuda"],
    ):
        shown = zoo_command(*words)
        assert shown.returncode == 4
        assert "pip install 'distilzoo[tensorrt]'" in one_line(shown.stderr)


@pytest.mark.parametrize(
    ("asked", "complaint"),
    [
        ({"precision": "fp16"}, "builds fp32, bf16 for cpu, not fp16"),
        ({"backend": "aotinductor-fused"}, "aotinductor-fused builds for cuda, not for device 'cpu'"),
        ({"backend": "aotinductor-fused", "device": "cuda"}, "aotinductor-fused builds fp16 for cuda, not fp32"),
        ({"precision": "int8", "device": "cuda"}, "builds fp32, fp16, bf16 for cuda, not int8"),
        ({"batch": (9, 8, 32)}, "MIN <= OPT <= MAX"),
        ({"device": "tpu"}, "for cpu and cuda, not for device 'tpu'"),
    ],
)
def test_what_aotinductor_cannot_build_is_refused(copy, run, asked, complaint):
    from export.build.aotinductor import build

    with pytest.raises(InputError, match=complaint):
        build(Bundle.open(copy), run.folder / "mobilenet_v2", **asked)
    assert not (copy / "engines").exists()


def test_another_checkpoint_is_not_the_bundles(copy, run):
    """The hash says so; and where a bundle names none, the self-test does."""
    from export.build.aotinductor import build

    with pytest.raises(InputError, match="is not the checkpoint that"):
        build(Bundle.open(copy), run.folder / "mobilenet_v2-control")
    opened = Bundle.open(copy)
    unnamed = opened.manifest.model_copy(update={"provenance": {}})
    with pytest.raises(InputError, match="is another network: it answers"):
        build(Bundle(copy, unnamed), run.folder / "mobilenet_v2-control")
    assert not list((copy / "engines").glob("[!.]*"))


def test_the_compilers_settings_exist():
    """Torch ignores no unknown one at home: a name that it lost would end a build on a machine with a GPU only."""
    from torch._inductor import config

    from export.build.aotinductor import SETTINGS

    for settings in SETTINGS.values():
        for name in settings:
            assert name in config.get_config_copy()
