"""libzoo as an app gets it: its own tests, the installed package, the examples, and Python's answers from C."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support.libzoo import checked, python, runtime, tiny_bundle
from tests.support.places import ROOT
from zoo.bundle.manifest import FileEntry, Input, Manifest, Output, SelfTest
from zoo.bundle.sidecar import Named, Processor, Sidecar
from zoo.engines import BACKENDS

SHARED = ("onnxruntime", "openvino")  # the backends that Python and libzoo both have


def test_the_native_tests_pass(built):
    assert " 0 checks failed" in checked(built / "bin" / "zoo_tests").stdout
    for program in ("zoo_header_c", "zoo_header_cpp"):
        checked(built / "bin" / program)


def test_only_the_documented_names_are_exported(installed):
    shown = checked("nm", "-D", "--defined-only", installed / "lib" / "libzoo.so.1").stdout
    names = sorted(line.split()[-1].partition("@")[0] for line in shown.splitlines() if " T " in line)
    assert names == (ROOT / "native" / "tests" / "symbols.txt").read_text().split()
    for plugin in (installed / "lib").glob("libzoo_backend_*.so"):
        shown = checked("nm", "-D", "--defined-only", plugin).stdout
        assert [line.split()[-1] for line in shown.splitlines() if " T " in line] == ["zoo_backend_entry"]
    declared = (ROOT / "native" / "include" / "zoo" / "zoo.h").read_text()
    assert all(f"{name}(" in declared for name in names)


def test_the_library_is_small_and_has_a_soname(installed):
    library = installed / "lib" / "libzoo.so.1"
    assert library.stat().st_size < 1_000_000
    assert "[libzoo.so.1]" in checked("readelf", "-d", library).stdout


def test_the_manifest_keys_are_pythons():
    """zoo/bundle/manifest.py is the schema; what libzoo reads strictly has the same keys."""
    source = (ROOT / "native" / "src" / "bundle" / "manifest.cpp").read_text()
    top = [field.alias or name for name, field in Manifest.model_fields.items()]
    for keys in (top, Input.model_fields, Output.model_fields, SelfTest.model_fields, FileEntry.model_fields):
        listed = ", ".join(f'"{key}"' for key in keys)
        assert "{" + listed + "}" in " ".join(source.split()), f"native/src/bundle/manifest.cpp does not list {listed}"


def test_the_sidecar_keys_are_pythons():
    """zoo/bundle/sidecar.py is the schema of what stands beside a built engine."""
    source = " ".join((ROOT / "native" / "backends" / "sidecar.cpp").read_text().split())
    keys = [field.alias or name for name, field in Sidecar.model_fields.items()]
    for listed in (keys, list(Named.model_fields), list(Processor.model_fields)):
        wanted = ", ".join(f'"{key}"' for key in listed)
        assert "{" + wanted + "}" in source, f"native/backends/sidecar.cpp does not list {wanted}"


@pytest.fixture(scope="module")
def examples(installed, tmp_path_factory):
    """The examples, built in a clean folder from the installed package: by find_package and by pkg-config."""
    folder = tmp_path_factory.mktemp("examples")
    source = shutil.copytree(ROOT / "examples", folder / "source")
    checked("cmake", "-S", source, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={installed}")
    checked("cmake", "--build", folder / "build")
    found = {"C, find_package": folder / "build" / "classify_c", "C++": folder / "build" / "classify_cpp"}
    if shutil.which("pkg-config"):
        about = installed / "lib" / "pkgconfig" / "zoo.pc"
        flags = checked("pkg-config", "--cflags", "--libs", about).stdout.split()
        libraries = checked("pkg-config", "--variable=libdir", about).stdout.strip()
        own = folder / "with-pkg-config"
        checked("cc", "-std=c99", source / "classify.c", *flags, f"-Wl,-rpath,{libraries}", "-o", own)
        found["C, pkg-config"] = own
    return found


def save_pictures(folder):
    """A JPEG and a PNG that every decoder sees alike."""
    random = np.random.default_rng(5)
    image = Image.fromarray(random.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize((120, 90))
    image.save(folder / "a.jpg", quality=92)
    image.transpose(Image.Transpose.ROTATE_90).save(folder / "b.png")
    return [folder / "a.jpg", folder / "b.png"]


def numbers(line: str) -> list[float]:
    """`cat 0.5, dog 0.25` -> [0.5, 0.25]; `nose (3.0, -1.5)` -> [3.0, -1.5]."""
    return [float(word) for word in re.findall(r"-?\d+\.\d+", line)]


@pytest.mark.parametrize("task", ["classification", "tagging", "keypoints"])
def test_c_and_cpp_give_pythons_answers(examples, bundle_path, tmp_path, task):
    bundle = bundle_path if task == "classification" else tiny_bundle(tmp_path / "tiny.zoo", task)
    engine = zoo.load(bundle)
    pictures = save_pictures(tmp_path)
    for name, program in examples.items():
        lines = checked(program, bundle, *pictures, env=runtime()).stdout.splitlines()
        assert len(lines) == len(pictures), name
        for picture, line in zip(pictures, lines, strict=True):
            path, _, answer = line.partition(": ")
            assert path == str(picture)
            expected = engine.predict(picture)
            if task == "keypoints":
                np.testing.assert_allclose(numbers(answer), expected.points.ravel(), atol=0.11)
            else:
                best = expected.top(3)
                assert [part.rpartition(" ")[0] for part in answer.split(", ")] == [label for label, _ in best]
                np.testing.assert_allclose(numbers(answer), [score for _, score in best], atol=1e-3)


def test_a_program_gets_no_files_in_its_home(examples, bundle_path, tmp_path):
    """ONNX Runtime's wheel keeps usage events there, and sends them, unless it is told not to."""
    home = tmp_path / "home"
    home.mkdir()
    hidden = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME"}
    environment = {name: value for name, value in runtime().items() if name not in hidden} | {"HOME": str(home)}
    checked(examples["C, find_package"], bundle_path, *save_pictures(tmp_path), env=environment)
    assert list(home.iterdir()) == []


def test_a_missing_picture_is_one_line_and_the_others_are_answered(examples, bundle_path, tmp_path):
    pictures = save_pictures(tmp_path)
    command = [examples["C, find_package"], bundle_path, tmp_path / "none.jpg", *pictures]
    done = subprocess.run(command, env=runtime(), capture_output=True, text=True, check=False)
    assert (done.returncode, len(done.stdout.splitlines()), len(done.stderr.splitlines())) == (2, 2, 1)


def test_every_backend_passes_the_selftest_in_c(built, bundle_path):
    """zoo-native-bench runs the self-test before it times anything."""
    assert set(SHARED) <= set(BACKENDS)
    for backend in SHARED:
        for precision in ("fp32", "int8"):
            command = [built / "bin" / "zoo-native-bench", bundle_path, "--backend", backend, "--precision", precision]
            found = json.loads(checked(*command, "--threads", "1", "--seconds", "0.02", env=runtime()).stdout)
            engine = found["engine"]
            assert (engine["backend"], engine["precision"], engine["threads"]) == (backend, precision, 1)
            assert found["call"]["rounds"]
            assert min(found["sharing"]["two"]) > 0


def test_the_winograd_plugin_runs_what_zoo_build_made(built, ops, bundle_path, tmp_path):
    """And says so where nothing is built."""
    copy = shutil.copytree(bundle_path, tmp_path / "copy.zoo")
    bench = [built / "bin" / "zoo-native-bench", copy, "--precision", "int8", "--threads", "2", "--seconds", "0.02"]
    done = subprocess.run(
        [*bench, "--backend", "onnxruntime-winograd"], env=runtime(), capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "no onnxruntime-winograd engine of model.int8.onnx for cpu is built: zoo build" in done.stderr
    environment = {"ZOO_OPS_LIBRARY": str(ops)}
    python("-m", "zoo", "build", copy, "--backend", "onnxruntime-winograd", **environment)
    found = json.loads(checked(*bench, "--backend", "onnxruntime-winograd", env=runtime()).stdout)
    assert found["engine"]["backend"] == "onnxruntime-winograd"
    assert found["call"]["rounds"]


def test_python_says_where_the_library_is():
    """Without a compiled library inside the package, one line says how to get it."""
    command = [sys.executable, "-m", "zoo", "--prefix"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        assert (ROOT / done.stdout.strip() / "include" / "zoo" / "zoo.h").is_file()
    else:
        assert done.returncode == 4
        assert "make native" in done.stderr
    assert python("-m", "zoo", "--version").strip() == zoo.__version__


def test_the_camera_example_draws_on_every_frame(bundle_path, pictures, tmp_path):
    frames = pictures / "cross"
    said = python(ROOT / "examples" / "camera.py", bundle_path, "--frames", frames, "-o", tmp_path / "out")
    assert said.startswith("40 frames")
    assert len(list((tmp_path / "out").iterdir())) == 40


def test_rust_gives_pythons_answer(installed, bundle_path, tmp_path):
    """Through the C interface: rustc alone, no crate."""
    if shutil.which("rustc") is None:
        pytest.skip("no rustc")
    program = tmp_path / "classify"
    checked("rustc", "-O", ROOT / "examples" / "classify.rs", "-L", installed / "lib", "-l", "zoo", "-o", program)
    picture = save_pictures(tmp_path)[0]
    environment = runtime() | {"LD_LIBRARY_PATH": str(installed / "lib")}
    label, _, score = checked(program, bundle_path, picture, env=environment).stdout.rpartition(" ")
    expected = zoo.load(bundle_path).predict(picture)
    assert label == expected.label
    assert float(score) == pytest.approx(expected.score, abs=1e-3)
    done = subprocess.run([program, bundle_path, "/nowhere.jpg"], env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr.count(b"\n")) == (2, 1)
