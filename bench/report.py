"""The page: one self-contained HTML file that answers "which one do I ship?" and opens offline."""

from __future__ import annotations

import json
from functools import cache
from itertools import groupby
from pathlib import Path
from typing import Any

from bench import charts
from bench.headline import headline, pick, plain
from bench.results import Results
from bench.table import pivot
from bench.text import caption, columns, milliseconds, notes, rate
from zoo.errors import EnvironmentProblem, InputError, missing_package
from zoo.files import write_text

TEMPLATE = "report.html.j2"


def write_report(results: Results, path: Path) -> None:
    """Write the page, whole or not at all. `EnvironmentProblem` when a package is missing or the disk refuses."""
    page = render(results)
    try:
        write_text(path, page)
    except OSError as error:
        raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def render(results: Results) -> str:
    """The page as text: styles, data, charts and the library that draws them are all inside."""
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise missing_package("jinja2", "bench", "the report") from None
    environment = Environment(
        loader=PackageLoader("bench"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["milliseconds"] = milliseconds
    environment.filters["rate"] = rate
    if len(results.scopes) > 1:
        raise InputError(f"these results have several scopes, a page has one: choose of {', '.join(results.scopes)}")
    table = pivot(results)
    chosen = pick(table)
    shipped = chosen.line if chosen else None
    sentence = headline(table)
    sizes = charts.sizes(table)
    specs = {
        "scatter": charts.accuracy_against_latency(table, shipped),
        "distributions": charts.latency_distributions(table),
        **{f"size{place}": spec for place, (_, spec) in enumerate(sizes)},
    }
    return environment.get_template(TEMPLATE).render(
        results=results,
        groups=[(model, list(lines)) for model, lines in groupby(table.lines, key=lambda line: line.model)],
        table=table,
        columns=columns(table),
        shipped=shipped,
        teacher=chosen.teacher if chosen else None,
        sentence=sentence,
        title=plain(sentence),
        caption=caption(results),
        notes=notes(table),
        size_titles=[title for title, _ in sizes],
        specs={name: spec for name, spec in specs.items() if spec is not None},
        script_json=script_json,
        library=chart_library(),
    )


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
