"""The house: which room may import which, how heavy `import zoo` is, how long files get."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.places import ROOT

# Rooms from top to bottom: each may import itself and the rooms below it.
ROOMS = ["bench", "export", "zoo.learn", "zoo.models", "zoo.data", "zoo.graphs", "zoo.engines", "zoo.bundle"]
ROOMS += ["zoo.tasks", "zoo.preprocess"]
FOUNDATION = {"zoo", "zoo.errors", "zoo.files", "zoo.machine", "zoo.machine_store", "zoo.plugins", "zoo.progress"}
FOUNDATION |= {"zoo.quiet", "zoo.schemas"}
TOP = {"zoo.__main__", "zoo.cli", "zoo.demo", "zoo.images", "zoo.native"}  # the front door, the demo, older names
ALLOWED = {room: set(ROOMS[place:]) for place, room in enumerate(ROOMS)}
SOURCES = sorted(path for room in ("zoo", "export", "bench") for path in (ROOT / room).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def room_of(module: str) -> str:
    if module in FOUNDATION or module in TOP:
        return module
    parts = module.split(".")
    return ".".join(parts[:2]) if parts[0] == "zoo" else parts[0]


def imports(path: Path) -> list[tuple[str, bool]]:
    """(module, whether it is imported when the file is) of everything a file imports from the project."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found = []
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        found += [(name, id(node) in top) for name in names]
    return found


def project_room(name: str) -> str | None:
    if name.split(".")[0] not in {"zoo", "export", "bench"}:
        return None
    parts = name.split(".")
    for known in (*FOUNDATION - {"zoo"}, *TOP):
        if name == known or name.startswith(known + "."):
            return known
    if parts[0] == "zoo" and len(parts) > 1 and (ROOT / "zoo" / parts[1]).is_dir():
        return f"zoo.{parts[1]}"
    return parts[0]


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_rooms_import_only_what_stands_below(path):
    room = room_of(module_of(path))
    if room in TOP:
        return
    for name, _ in imports(path):
        target = project_room(name)
        if target is None or target in FOUNDATION:
            continue
        allowed = ALLOWED.get(room, {"zoo.engines"} if room == "zoo" else set())
        assert target in allowed, f"{module_of(path)} imports {name}"


def test_the_foundation_stands_alone():
    for name in FOUNDATION - {"zoo"}:
        for imported, _ in imports(ROOT / f"{name.replace('.', '/')}.py"):
            assert project_room(imported) in {None, *FOUNDATION}, f"{name} imports {imported}"


def test_bench_reaches_into_learning_only_lazily():
    for path in (ROOT / "bench").rglob("*.py"):
        if path.parent.name == "training":  # trains by itself, and is imported lazily like learning
            continue
        early = [name for name, at_import in imports(path) if at_import and project_room(name) == "zoo.learn"]
        assert early == [], path


HEAVY = ("torch", "lightning", "torchvision", "timm", "onnxruntime", "openvino", "onnx", "sklearn", "pandas")
HEAVY += ("matplotlib", "pyarrow", "ray", "httpx", "tensorrt", "cuda", "huggingface_hub", "model_signing")


@pytest.mark.parametrize(
    "module",
    [
        "zoo",
        "zoo.engines",
        "zoo.cli",
        "zoo.demo.cli",
        "zoo.learn.cli",
        "zoo.learn.list_cli",
        "zoo.learn.run.scores_cli",
        "zoo.learn.label.cli",
        "zoo.learn.draw.cli",
        "export.cli",
        "export.build_cli",
        "export.triton_cli",
        "bench.cli",
        "bench.tune.cli",
        "bench.campaign.cli",
        "zoo.engines.cli",
        "zoo.bundle.share_cli",
    ],
)
def test_nothing_heavy_is_imported_before_it_is_needed(module):
    code = f"import sys, {module}; print([name for name in {HEAVY} if name in sys.modules])"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"


def test_import_zoo_loads_only_itself():
    """0.2 seconds are kept by loading no third party at all; how long that takes is for a stopwatch, not for a test."""
    code = "import sys; before = set(sys.modules); import zoo; print(*(set(sys.modules) - before))"
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert {name.split(".")[0] for name in shown.stdout.split()} <= {"zoo", *sys.stdlib_module_names}


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_files_stay_readable(path):
    assert len(path.read_text().splitlines()) <= 400
