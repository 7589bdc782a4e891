"""The house: which room may import which, no circles, how heavy `import zoo` is, how large folders and files get."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from functools import cache
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
MOST_FILES, MOST_LINES = 15, 400
CODE = {".py", ".c", ".cpp", ".cu", ".h", ".hpp"}


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in SOURCES}


def room_of(module: str) -> str:
    """The room of a module, or the module itself where it stands alone."""
    parts = module.split(".")
    if parts[0] != "zoo":
        return parts[0]
    return ".".join(parts[:2])


@cache
def imports(path: Path) -> tuple[tuple[str, bool], ...]:
    """(module, whether it is imported when the file is) of everything that a file imports from the project."""
    tree = ast.parse(path.read_text())
    top = {id(node) for node in tree.body}
    found: list[tuple[str, bool]] = []
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            module = name if name in MODULES else name.rpartition(".")[0]
            if module in MODULES:
                found.append((module, id(node) in top))
    return tuple(found)


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_rooms_import_only_what_stands_below(path):
    room = room_of(module_of(path))
    if room in TOP:
        return
    below = {"zoo.engines"} if room == "zoo" else ALLOWED.get(room, set())  # `import zoo` offers zoo.load
    for name, _ in imports(path):
        target = room_of(name)
        if target not in FOUNDATION:
            assert target in below, f"{module_of(path)} imports {name}"


def test_bench_reaches_into_learning_only_lazily():
    """`bench.training` trains by itself; it is imported lazily like learning is."""
    lazy = ("zoo.learn", "bench.training")
    for path in (ROOT / "bench").rglob("*.py"):
        if not module_of(path).startswith("bench.training"):
            early = [name for name, at_import in imports(path) if at_import and name.startswith(lazy)]
            assert early == [], path


def circles(graph: dict[str, set[str]]) -> list[list[str]]:
    """The strongly connected components of more than one node (Tarjan 1972), each sorted."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for other in graph.get(node, ()):
            if other not in index:
                visit(other)
                low[node] = min(low[node], low[other])
            elif other in stack:
                low[node] = min(low[node], index[other])
        if low[node] == index[node]:
            part = [stack.pop()]
            while part[-1] != node:
                part.append(stack.pop())
            if len(part) > 1:
                found.append(sorted(part))

    for node in graph:
        if node not in index:
            visit(node)
    return found


def test_a_circle_is_found():
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def test_no_circle_of_files():
    """Imports inside functions count: a file that needs another one back is two files of one idea."""
    graph = {module: {name for name, _ in imports(path)} - {module} for module, path in MODULES.items()}
    packages = {module for module, path in MODULES.items() if path.name == "__init__.py"}
    # A package's __init__ that offers names of its files is no user of theirs that they could depend on.
    assert circles({module: names - packages for module, names in graph.items() if module not in packages}) == []


def test_no_circle_of_native_files():
    """A source and its header are one file here."""
    graph: dict[str, set[str]] = {}
    files = tracked("native")
    places = {path.name: path for path in files if path.suffix in {".h", ".hpp"}}
    for path in files:
        if path.suffix in CODE - {".py"}:
            names = re.findall(r'(?m)^#include "(?:[\w./]*/)?([\w.]+)"', path.read_text())
            own = str(path.relative_to(ROOT).with_suffix(""))
            others = {str(places[name].relative_to(ROOT).with_suffix("")) for name in names if name in places}
            graph.setdefault(own, set()).update(others - {own})
    assert circles(graph) == []


@cache
def tracked(*folders: str) -> tuple[Path, ...]:
    """The files of a folder that git knows, or all where the sources came without git."""
    listed = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        return tuple(ROOT / line for line in listed.stdout.splitlines() if (ROOT / line).is_file())
    return tuple(path for folder in folders for path in (ROOT / folder).rglob("*") if path.is_file())


def code() -> Iterator[Path]:
    for path in tracked("zoo", "export", "bench", "native", "tests", "examples"):
        if path.suffix in CODE:
            yield path


def test_no_folder_is_crowded():
    counts = Counter(path.parent.relative_to(ROOT) for path in code() if path.name != "__init__.py")
    assert {str(folder): count for folder, count in counts.items() if count > MOST_FILES} == {}


def test_no_file_is_long():
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in code()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_tests_mirror_the_rooms():
    """`tests/learn/train/` tests `zoo/learn/train/`; `tests/bench/gate/` tests `bench/gate/`. `tests/strangers/` tests
    what other people bring, each kind through every room that it comes into.
    """
    rooms = {path.parent.relative_to(ROOT) for path in SOURCES} | {Path("native")}
    rooms |= {room.relative_to("zoo") for room in rooms if room.parts[0] == "zoo" and len(room.parts) > 1}
    folders = {path.parent.relative_to(ROOT / "tests") for path in tracked("tests") if path.name.startswith("test_")}
    assert folders - rooms - {Path(), Path("strangers")} == set()


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
