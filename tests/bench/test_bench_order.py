"""The rooms of the bench: each imports only itself and those below it, and no two files import each other."""

import ast
from pathlib import Path

import pytest

import bench
from tests.support.places import ROOT

FILES = sorted((ROOT / "bench").rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {module_of(path): path for path in FILES}


def room_of(module: str) -> str:
    """`bench.gate.rule` -> `gate`; a file beside the rooms by its own name."""
    return module.split(".")[1] if "." in module else module


def imported(path: Path) -> set[str]:
    """The files of the bench that a file imports, at any time."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in node.names:
                full = f"{node.module}.{name.name}"
                found.add(full if full in MODULES else node.module)
        elif isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
    return (found & MODULES.keys()) - {module_of(path)}


def order() -> list[str]:
    """The rooms from bottom to top, as the package's docstring lists them."""
    assert bench.__doc__ is not None
    lines = [line.split() for line in bench.__doc__.partition("in this list:")[2].splitlines()]
    return [words[0] for words in lines if len(words) > 1 and words[0].isidentifier() and words[0].islower()]


def test_the_docstring_names_every_room() -> None:
    rooms = {room_of(module) for module in MODULES} - {"bench"}
    assert sorted(order()) == sorted(rooms)


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_no_room_imports_one_above_it(path: Path) -> None:
    places = {room: place for place, room in enumerate(order())}
    mine = room_of(module_of(path))
    if mine == "bench":  # the public names, which are imported when they are used
        return
    for other in imported(path) - {"bench"}:
        assert places[room_of(other)] <= places[mine], f"{module_of(path)} imports {other}"


def test_no_two_files_import_each_other_in_a_circle() -> None:
    """Remove files that import nothing that is left: what cannot be removed is a circle."""
    left = {module: imported(path) - {"bench"} for module, path in MODULES.items() if module != "bench"}
    while free := [module for module, others in left.items() if not others & left.keys()]:
        for module in free:
            del left[module]
    assert left == {}
