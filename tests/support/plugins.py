"""A small package as pip leaves it: its entry points in a `dist-info` folder, where Python finds installed packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def install(site: Path, name: str, groups: Mapping[str, Mapping[str, str]]) -> None:
    """Write the metadata of package `name` into the folder `site`, which is on `sys.path`.

    `groups`: entry points by group, each `name: "module:object"`. The modules themselves are the caller's to write.
    """
    folder = site / f"{name.replace('-', '_')}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    lines = []
    for group, entries in groups.items():
        lines += [f"[{group}]", *(f"{entry} = {value}" for entry, value in entries.items()), ""]
    (folder / "entry_points.txt").write_text("\n".join(lines))
