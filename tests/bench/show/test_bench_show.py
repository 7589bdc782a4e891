"""`zoo bench show`: several results of one machine as one."""

from pathlib import Path

import pytest

from bench.results import read_results
from bench.show.cli import join
from tests.support.rows import results, row
from zoo.errors import InputError


def written(path: Path, *rows) -> Path:
    results(*rows).write(path)
    return path


def test_results_of_one_machine_become_one_table(zoo_command, tmp_path: Path) -> None:
    a = written(tmp_path / "a.json", row("net", "student", "onnxruntime fp32", 1.0, group="net"))
    b = written(tmp_path / "b.json", row("net", "student", "openvino fp32", 2.0, group="net"))
    done = zoo_command("bench", "show", a, b, "-o", "all.json", "--markdown", "all.md")
    assert done.returncode == 0, done.stderr
    assert [one.engine.backend for one in read_results(tmp_path / "all.json").rows] == ["onnxruntime", "openvino"]
    assert (tmp_path / "all.md").read_text().count("| net") == 2


def test_what_must_not_share_a_table_is_refused(tmp_path: Path) -> None:
    here = results(row("net", "student", "onnxruntime fp32", 1.0, group="net"))
    other = here.model_copy(update={"host": here.host.model_copy(update={"cores": 64})})
    a, b = Path("a.json"), Path("b.json")
    with pytest.raises(InputError, match=r"a\.json and b\.json are of different machines"):
        join([(a, here), (b, other)])
    with pytest.raises(InputError, match="both hold net, onnxruntime fp32"):
        join([(a, here), (b, here)])
    with pytest.raises(InputError, match="is of version"):
        join([(a, here), (b, here.model_copy(update={"version": "9"}))])
