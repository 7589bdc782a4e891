"""A disk that fills while a bundle is written. A limit on the size of files stands in for it: writing fails midway."""

from __future__ import annotations

import resource
import shutil

from tests.support.command import one_line
from zoo.files import sha256


def small_files_only() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))


def contents(folder):
    return {path.name: sha256(path) for path in sorted(folder.iterdir())}


def test_an_export_that_cannot_be_written_leaves_the_old_bundle(run, bundle_path, zoo_command, tmp_path) -> None:
    bundle = shutil.copytree(bundle_path, tmp_path / "net.zoo")
    before = contents(bundle)
    words = ("export", run.folder / "vgg", "-o", bundle, "--precision", "fp32")
    done = zoo_command(*words, preexec_fn=small_files_only)
    assert done.returncode == 4
    assert "File too large" in one_line(done.stderr)
    assert contents(bundle) == before
    assert [path.name for path in tmp_path.iterdir()] == ["net.zoo"]  # and nothing half written beside it
