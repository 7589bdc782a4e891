import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from rows import family, results, row

from bench import charts
from bench.headline import headline, plain
from bench.report import render, write_report
from bench.results import Results, read_results
from bench.table import pivot
from bench.text import columns
from zoo.errors import EnvironmentProblem

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_SANDBOX = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_the_page_is_one_small_file_that_needs_no_network() -> None:
    page = render(family())
    assert len(page.encode()) < 5_000_000
    assert not re.search(r"<(link|img|iframe|script[^>]+src|script[^>]*>\s*import)\b", page.partition("<script")[0])
    assert "default-src 'none'" in page
    assert "<title>Ship net in fp32 on onnxruntime: " in page


def test_names_cannot_break_out_of_the_page() -> None:
    page = render(results(row(HOSTILE, "student", "onnxruntime fp32", 1.0, group=HOSTILE)))
    assert HOSTILE not in page
    assert "&lt;/script&gt;&lt;img" in page
    assert "\\u003c/script>\\u003cimg" in page


def test_samples_are_thinned_and_keep_their_shape() -> None:
    spec = charts.latency_distributions(pivot(family()))
    assert spec is not None
    values = spec["data"]["values"]
    lines = {value["line"] for value in values}
    assert len(lines) == 7
    assert len(values) == 7 * charts.SAMPLES
    assert {value["times"] for value in values} >= {1.0, 1.5}


def test_each_control_is_joined_to_its_student_on_the_same_engine() -> None:
    spec = charts.accuracy_against_latency(pivot(family()), None)
    assert spec is not None
    pairs = spec["layer"][0]["data"]["values"]
    assert pairs == [
        {"p50": 0.4, "accuracy": 92.0, "p50_2": 0.4, "accuracy_2": pytest.approx(99.1)},
        {"p50": 0.2, "accuracy": 91.0, "p50_2": 0.2, "accuracy_2": 98.0},
    ]
    notes = [layer["data"]["values"][0] for layer in spec["layer"][2:]]
    assert [(note["note"], note["engine"]) for note in notes] == [
        ("eager", "torch fp32, 2 threads"),
        ("best engine", "onnxruntime int8, 2 threads"),
    ]


def test_sizes_leave_out_controls_and_name_each_file_once() -> None:
    titled = dict(charts.sizes(pivot(family())))
    assert list(titled) == ["Parameters", "Multiply-accumulates for one image", "Bytes on disk"]
    assert [bar["line"] for bar in titled["Parameters"]["data"]["values"]] == ["big", "net"]
    assert [bar["line"] for bar in titled["Bytes on disk"]["data"]["values"]] == [
        "big · checkpoint",
        "big · fp32",
        "big · int8",
        "net · fp32",
        "net · int8",
    ]


@pytest.mark.parametrize(
    "few",
    [
        results(),
        results(row("net", None, "openvino fp32", 1.0, accuracy=None)),
        results(
            row(
                "net",
                None,
                "openvino fp32",
                1,
                accuracy=None,
                error="x",
                parameters=None,
                macs=None,
                bytes_on_disk=None,
            )
        ),
    ],
)
def test_a_page_of_little_is_still_a_page(few: Results) -> None:
    page = render(few)
    assert plain(headline(pivot(few))) in page
    assert 'data-chart="scatter"' not in page


def test_a_page_that_cannot_be_written_is_the_environments_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        write_report(family(), tmp_path / "file" / "report.html")


class Visit:
    """A page that was opened from a file, with everything that it said, asked for and got wrong."""

    def __init__(self, context, path: Path, width: int = 1280) -> None:
        self.width = width
        self.page = context.new_page()
        self.console: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=true]", timeout=30_000)


@pytest.fixture(scope="module")
def chromium() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=NO_SANDBOX)
        yield running
        running.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    full = family()
    odd = [
        row("</script><i>", None, "openvino fp32", 3.0, accuracy=0.9),
        row("lone", None, "openvino int8", 1.0, batch=32),
    ]
    full.model_copy(update={"rows": [*full.rows, *odd]}).write(folder / "results.json")
    write_report(read_results(folder / "results.json"), folder / "report.html")
    return folder / "report.html"


@pytest.fixture(
    scope="module",
    params=[(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")],
    ids=lambda size: f"{size[0]}-{size[1]}",
)
def visit(request: pytest.FixtureRequest, chromium, report: Path) -> Iterator[Visit]:
    width, scheme = request.param
    context = chromium.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, offline=True)
    yield Visit(context, report, width)
    context.close()


class TestInChromium:
    pytestmark = browser

    def test_it_is_quiet_and_asks_nobody(self, visit: Visit, report: Path) -> None:
        assert visit.console == []
        assert visit.requests == [report.as_uri()]

    def test_its_numbers_are_those_of_the_results(self, visit: Visit, report: Path) -> None:
        table = pivot(read_results(report.with_name("results.json")))
        shown = visit.page.evaluate(
            """() => [...document.querySelectorAll("tr[data-engine]")].map(row => {
                 const cells = [...row.querySelectorAll("td[data-key]")];
                 const numbers = cells.map(cell => [cell.dataset.key, [cell.dataset.value, cell.innerText]]);
                 return [row.dataset.model, row.dataset.engine, Object.fromEntries(numbers)]})"""
        )
        assert [(model, engine) for model, engine, _ in shown] == [
            (line.model, line.engine.text) for line in table.lines
        ]
        numbers = 0
        for line, (_, _, cells) in zip(table.lines, shown, strict=True):
            if line.error is not None:
                assert cells == {}
                continue
            for column in columns(table):
                value, text = cells[column.key]
                number = column.value(line)
                assert value == ("" if number is None else json.dumps(number))
                assert text.strip() == column.text(line)
                numbers += number is not None
        assert numbers > 60
        assert plain(headline(table)) == visit.page.locator("h1").inner_text()

    def test_every_chart_is_drawn_inside_the_page(self, visit: Visit) -> None:
        charts_drawn = visit.page.locator("[data-chart]")
        assert charts_drawn.count() == 5
        for place in range(charts_drawn.count()):
            box = charts_drawn.nth(place).locator("svg").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= visit.width
            assert box["height"] > 60
        assert visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]") == [
            visit.width,
            visit.width,
        ]

    def test_a_narrow_table_scrolls_in_its_own_box(self, visit: Visit) -> None:
        inside, box = visit.page.locator(".scroll").first.evaluate("box => [box.scrollWidth, box.clientWidth]")
        assert (inside > box) == (visit.width == 390)

    def test_rows_open_to_their_command_and_points_have_tooltips(self, visit: Visit) -> None:
        first = visit.page.locator("details").first
        assert not first.locator("pre").is_visible()
        first.locator("summary").click()
        assert first.locator("pre").inner_text() == "zoo bench run big.zoo"
        assert "converged" in first.inner_text()
        visit.page.locator("[data-chart=scatter] .mark-symbol path").first.hover()
        tooltip = visit.page.locator("#vg-tooltip-element")
        assert "torch fp32, 2 threads" in tooltip.inner_text()
        assert "8.00 ms" in tooltip.inner_text()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == visit.width
        assert visit.console == []


@pytest.mark.parametrize(
    ("scheme", "paper", "student"),
    [("light", "rgb(251, 250, 248)", "rgb(11, 106, 148)"), ("dark", "rgb(20, 23, 27)", "rgb(98, 189, 232)")],
)
class TestColours:
    pytestmark = browser

    def test_page_and_charts_follow_the_scheme(self, chromium, report: Path, scheme, paper, student) -> None:
        context = chromium.new_context(color_scheme=scheme)
        page = Visit(context, report).page
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == paper
        fills = page.locator("[data-chart=scatter] .mark-symbol path").evaluate_all(
            "marks => marks.map(mark => getComputedStyle(mark).fill)"
        )
        assert student in fills
        context.close()
