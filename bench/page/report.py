"""The page: one self-contained HTML file that answers "which one do I ship?" and opens offline."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.page import engines, gate
from bench.page.view import FIRST, SCOPE_WORDS, SHARED_SPECS, views
from bench.results import Results
from bench.show.headline import plain
from bench.show.text import milliseconds, rate
from zoo.errors import EnvironmentProblem, missing_package
from zoo.files import write_text

if TYPE_CHECKING:
    from jinja2 import Environment

    from bench.gate.receipt import Receipt

TEMPLATE = "report.html.j2"


def write_report(results: Results, path: Path, receipt: Receipt | None = None) -> None:
    """Write the page, whole or not at all. `EnvironmentProblem` when a package is missing or the disk refuses."""
    page = render(results, receipt)
    try:
        write_text(path, page)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def render(results: Results, receipt: Receipt | None = None) -> str:
    """The page as text: styles, data, charts and the library that draws them are all inside.

    Several scopes are tabs, each a page of its own: their numbers never stand side by side. With a `receipt` the page
    shows what the gate found, too.
    """
    found = views(results)
    opened = next((view for view in found if view.scope == FIRST), found[0])
    verdict = gate.section(receipt, results.host.fingerprint) if receipt else None
    specs = {name: spec for view in found for name, spec in view.specs.items()}
    specs |= {f"all-{figure.key}": figure.spec for figure in (verdict.figures if verdict else ())}
    specs |= {name: drawing() for name, drawing in SHARED_SPECS.items()}
    return (
        templates("the report")
        .get_template(TEMPLATE)
        .render(
            results=results,
            views=found,
            opened=opened,
            scope_words=SCOPE_WORDS,
            title=plain(opened.sentence),
            receipt=receipt,
            verdict=verdict,
            engines=engines,
            specs=specs,
            script_json=script_json,
            library=chart_library(),
        )
    )


def templates(purpose: str) -> Environment:
    """The room's templates. `EnvironmentProblem` when jinja2 is missing."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise missing_package("jinja2", "bench", purpose) from None
    environment = Environment(
        loader=PackageLoader("bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["milliseconds"] = milliseconds
    environment.filters["rate"] = rate
    return environment


def script_json(data: Any) -> str:
    """JSON that may stand inside a <script> element: nothing in it can end the element or open a comment."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")


@cache
def chart_library() -> str:
    """Vega, Vega-Lite and Vega-Embed as one script of about 0.9 MB, which defines `vegaEmbed`."""
    try:
        import vl_convert
    except ImportError:
        raise missing_package("vl-convert-python", "bench", "the report") from None
    bundle: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    return bundle.replace("</script", "<\\/script")
