"""`zoo label --ray`: the same replies, and one line where there is no cluster."""

from __future__ import annotations

import json

import pytest

from tests.support.command import one_line
from tests.support.fakes.vision_service import KEY, rows, write_photos


@pytest.mark.slow
def test_ray_labels_the_same_and_asks_nothing_twice(label, service, tmp_path):
    write_photos(tmp_path / "photos", 30)
    service.fault = lambda image, nth: "500" if nth == 0 and image < "4" else ""
    done = label("workers=2", "rate=200", words=("--ray", "local", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered"] == 30
    assert set(service.answered.values()) == {1}
    raw = {name: row["raw"] for name, row in rows(tmp_path / "out").items()}

    again = label(words=("--out", "threads"))
    assert again.returncode == 0, again.stderr
    assert raw == {name: row["raw"] for name, row in rows(tmp_path / "threads").items()}

    service.fault = lambda image, nth: "forbidden"
    refused = label("workers=1", words=("--ray", "local", "--out", "refused"))
    assert refused.returncode == 4
    assert "refused the key in TAGGER_KEY" in one_line(refused.stderr)
    assert KEY not in refused.stderr


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9", "nonsense"])
def test_a_cluster_that_is_not_there_is_one_line(label, service, tmp_path, address):
    write_photos(tmp_path / "photos", 1)
    done = label(words=("--ray", address))
    assert done.returncode == 4
    assert f"no Ray cluster at '{address}'" in one_line(done.stderr)
