"""What other packages add: found by name without an import, and one line when it does not work."""

from __future__ import annotations

import sys

import pytest

from tests.support.plugins import install
from zoo import plugins
from zoo.errors import EnvironmentProblem


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_names_are_found_without_an_import(site):
    install(site, "their-thing", {"distilzoo.losses": {"theirs": "theirs_unimported:loss"}})
    assert list(plugins.found("distilzoo.losses")) == ["theirs"]
    assert "theirs_unimported" not in sys.modules


def test_an_entry_is_loaded(site):
    (site / "theirs_good.py").write_text("value = 7\n")
    install(site, "their-good", {"distilzoo.losses": {"good": "theirs_good:value"}})
    assert plugins.load(plugins.found("distilzoo.losses")["good"]) == 7


@pytest.mark.parametrize("source", ["import no_such_module\n", "1 / 0\n", ""])
def test_one_that_cannot_be_imported_is_named_with_its_package(site, source):
    (site / "theirs_bad.py").write_text(source)
    install(site, "their-bad", {"distilzoo.losses": {"bad": "theirs_bad:value"}})
    entry = plugins.found("distilzoo.losses")["bad"]
    with pytest.raises(EnvironmentProblem, match=r"^'bad', which the package their-bad adds to distilzoo\.losses, "):
        plugins.load(entry)
    sys.modules.pop("theirs_bad", None)


def test_two_packages_with_one_name_are_both_named(site):
    install(site, "package-a", {"distilzoo.losses": {"same": "a:loss"}})
    install(site, "package-b", {"distilzoo.losses": {"same": "b:loss"}})
    with pytest.raises(EnvironmentProblem, match="the package package-a and the package package-b both add a 'same'"):
        plugins.found("distilzoo.losses")
