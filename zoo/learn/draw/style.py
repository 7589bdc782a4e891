"""The style of all drawings, and how one becomes a file. The colours are those of the bench's page, and are told apart
without red and green.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure

from zoo.errors import InputError
from zoo.files import atomic_file

INK, SOFT, LINE = "#1c2126", "#5c646d", "#e3e1dc"
RIGHT, WRONG = "#00735c", "#b4380f"  # always beside a sign, never alone
POINT, MARKED = "#ff9d3b", "#ffffff"

# Of each role its dashes, and its shades: the first for the first network of the role, and so on.
DASHES = {"teacher": (0, (5, 1.5, 1, 1.5)), "control": (0, (4, 2)), "student": "-"}
SHADES = {
    "teacher": ("#b4500f", "#d9832f", "#74330a"),
    "control": ("#767d86", "#3d4248", "#9b958a"),
    "student": ("#0b6a94", "#3d9cc8", "#06354b"),
}

STYLE: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib: the same letters everywhere, signs included
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelcolor": SOFT,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.edgecolor": LINE,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "ytick.major.size": 0,
    "ytick.minor.size": 0,
    "lines.solid_capstyle": "round",
    "savefig.dpi": 160,
    "svg.hashsalt": "zoo",  # the same picture is the same file
}
STAMPS: dict[str, dict[str, None]] = {".png": {"Software": None}, ".svg": {"Date": None}}


def check_name(out: Path) -> None:
    """`InputError` unless the suffix is one that can be written: asked before anything is computed."""
    if out.suffix.lower() not in STAMPS:
        raise InputError(f"cannot draw {out}: a picture's name ends in {' or '.join(STAMPS)}")


@contextmanager
def picture(out: Path, width: float, height: float) -> Iterator[Figure]:
    """A figure of that many inches; it becomes the file `out` when the block ends without an error."""
    check_name(out)
    suffix = out.suffix.lower()
    with rc_context(STYLE):
        figure = Figure((width, height), layout="constrained")
        yield figure
        with atomic_file(out) as temporary:
            figure.savefig(temporary, format=suffix[1:], metadata=STAMPS[suffix])
