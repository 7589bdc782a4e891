"""A library is silent inside, and as before outside, also after an error."""

from __future__ import annotations

import contextlib
import logging
import warnings

import pytest

from zoo.quiet import quiet


def test_what_is_named_is_silent_and_then_as_before(capsys):
    logger = logging.getLogger("a.library")
    logger.setLevel(logging.INFO)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with contextlib.suppress(ZeroDivisionError), quiet("a.library", printing=True, warning=True):
            assert not logger.isEnabledFor(logging.WARNING)
            assert logger.isEnabledFor(logging.ERROR)
            print("advice")
            warnings.warn("advice", stacklevel=1)
            _ = 1 / 0
        with pytest.raises(UserWarning, match="heard"):
            warnings.warn("heard", stacklevel=1)
    assert logger.level == logging.INFO
    print("heard")
    assert capsys.readouterr().out == "heard\n"
