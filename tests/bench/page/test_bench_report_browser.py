"""The page as people use it: in a browser, wide and narrow, light and dark, with a pointer and without."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.page.engines import arranged
from bench.page.report import write_report
from bench.results import read_results
from bench.show.headline import headline, plain
from bench.show.table import pivot
from tests.support import gates
from tests.support.rows import everything, row

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
NO_SANDBOX = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)"),
]

ENGINES = "#call tr[data-engine]"
SEEN = "rows => rows.filter(row => row.offsetParent).map(row => [row.dataset.model, row.dataset.engine])"


class Visit:
    """A page that was opened from a file, with everything that it said, asked for and got wrong."""

    def __init__(self, context, path: Path, width: int = 1280) -> None:
        self.width = width
        context.set_default_timeout(10_000)
        self.page = context.new_page()
        self.console: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.console.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.console.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready=true]", timeout=30_000)

    @property
    def seen(self) -> list[tuple[str, str]]:
        """Model and engine of the rows that are shown, from top to bottom."""
        return [tuple(pair) for pair in self.page.locator(ENGINES).evaluate_all(SEEN)]

    @property
    def status(self) -> str:
        return self.page.locator("#call [role=status]").inner_text()


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
    full = everything()
    odd = [
        row("</script><i>", None, "openvino fp32", 3.0, accuracy=0.9),
        row("lone", None, "openvino int8", 1.0, batch=32),
    ]
    full.model_copy(update={"rows": [*full.rows, *odd]}).write(folder / "results.json")
    receipt = gates.receipt(gates.entry(gates.AS_BEFORE, name="a"), gates.entry(gates.SLOWER, name="b"))
    write_report(read_results(folder / "results.json"), folder / "report.html", receipt)
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


@pytest.fixture
def fresh(chromium, report: Path) -> Iterator[Visit]:
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    yield Visit(context, report)
    context.close()


class TestLooking:
    def test_it_is_quiet_and_asks_nobody(self, visit: Visit, report: Path) -> None:
        assert visit.console == []
        assert visit.requests == [report.as_uri()]

    def test_its_numbers_are_those_of_the_results(self, visit: Visit, report: Path) -> None:
        found = read_results(report.with_name("results.json"))
        numbers = 0
        for scope in found.scopes:
            table = pivot(found.only(scope))
            shown = visit.page.evaluate(
                """scope => [...document.querySelectorAll(`#${scope} tr[data-engine]`)].map(row => {
                     const cells = [...row.querySelectorAll("td[data-key]")];
                     const numbers = cells.map(cell => [cell.dataset.key, [cell.dataset.value, cell.textContent]]);
                     return [row.dataset.model, row.dataset.engine, Object.fromEntries(numbers)]})""",
                scope,
            )
            by_name = {(model, engine): cells for model, engine, cells in shown}
            assert len(shown) == len(table.lines) == len(by_name)
            for line in table.lines:
                cells = by_name[line.model, line.how]
                if line.error is not None:
                    assert cells == {}
                    continue
                for column in arranged(table):
                    value, text = cells[column.key]
                    number = column.value(line)
                    assert value == ("" if number is None else json.dumps(number))
                    assert text.strip() == column.text(line)
                    numbers += number is not None
            assert plain(headline(table)) == visit.page.locator(f"#{scope} h1").text_content()
        assert numbers > 120

    def test_every_chart_is_drawn_inside_the_page(self, visit: Visit) -> None:
        drawn = visit.page.locator("[data-chart]:visible")
        names = [drawn.nth(place).get_attribute("data-chart") for place in range(drawn.count())]
        assert names == [
            *(f"call-{name}" for name in ("tradeoff", "spread", "size-parameters")),
            *(f"call-{name}" for name in ("size-multiply-accumulates", "size-bytes", "start", "saturation")),
            *(f"call-{name}" for name in ("roofline-cpu", "layers", "energy")),
            "all-gate",
        ]
        for place in range(drawn.count()):
            box = drawn.nth(place).locator("svg").bounding_box()
            assert box is not None
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= visit.width
            assert box["height"] > 60
        size = visit.page.evaluate("[document.documentElement.scrollWidth, window.innerWidth]")
        assert size == [visit.width, visit.width]

    def test_latency_and_accuracy_are_seen_without_scrolling_sideways(self, visit: Visit) -> None:
        box = visit.page.locator("#call .engines .scroll").first
        inside, width = box.evaluate("box => [box.scrollWidth, box.clientWidth]")
        assert inside > width or visit.width > 390
        for key in ("p50_ms", "accuracy"):
            cell = visit.page.locator(f"{ENGINES}.shipped td[data-key={key}]").bounding_box()
            assert cell is not None
            assert cell["x"] + cell["width"] <= visit.width

    def test_rows_open_to_their_command_and_rounds(self, visit: Visit) -> None:
        line = visit.page.locator("#call tbody", has=visit.page.locator("[data-engine='torch fp32, 2 threads']")).first
        more = line.locator(".more")
        assert not more.is_visible()
        line.locator("button").click()
        more.locator("svg").first.wait_for()
        assert more.locator("pre").inner_text() == "zoo bench run big.zoo"
        assert "converged" in more.inner_text()
        assert "RAPL" not in more.inner_text()
        assert "120 mJ an image" in more.inner_text()
        assert more.locator("[data-chart]").count() == 3
        for place in range(3):
            box = more.locator("[data-chart] svg").nth(place).bounding_box()
            assert box is not None
            assert box["x"] + box["width"] <= visit.width
        assert visit.page.evaluate("document.documentElement.scrollWidth") == visit.width
        line.locator("button").first.click()
        assert not more.is_visible()

    def test_points_have_tooltips(self, visit: Visit) -> None:
        visit.page.locator("[data-chart=call-tradeoff] .mark-symbol path").first.hover()
        tooltip = visit.page.locator("#vg-tooltip-element")
        assert "torch fp32, 2 threads" in tooltip.inner_text()
        assert "8.00 ms" in tooltip.inner_text()
        assert visit.page.evaluate("document.documentElement.scrollWidth") == visit.width
        assert visit.console == []


class TestUsing:
    def test_columns_sort_both_ways_and_what_was_not_measured_stays_last(self, fresh: Visit) -> None:
        head = fresh.page.locator("#call .numbers th", has_text="accuracy").first
        assert fresh.status == "10 engines, by p50, batch 1, lowest first"
        start = fresh.seen
        assert start[0][0] in ("net", "net-control")
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "descending"
        assert fresh.status == "10 engines, by accuracy, highest first"
        assert fresh.seen[0][0] == "big"
        assert fresh.seen[-1] == ("net", "openvino fp32, 2 threads")
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == "ascending"
        assert fresh.seen[0] == ("</script><i>", "openvino fp32, 2 threads")
        assert fresh.seen[-1] == ("net", "openvino fp32, 2 threads")
        assert fresh.page.locator("#call .numbers > thead [aria-sort]").count() == 1
        assert sorted(fresh.seen) == sorted(start)

    def test_filters_narrow_together_and_are_taken_back(self, fresh: Visit) -> None:
        page = fresh.page
        page.locator("#call select[name=role]").select_option("student")
        assert {model for model, _ in fresh.seen} == {"net"}
        page.locator("#call select[name=precision]").select_option("fp32")
        assert fresh.status.startswith("2 of 10 engines")
        page.get_by_role("searchbox", name="Find").fill("ONNX run")
        assert fresh.seen == [("net", "onnxruntime fp32, 2 threads")]
        page.get_by_role("searchbox", name="Find").fill("nothing like it")
        assert fresh.seen == []
        page.get_by_role("button", name="Show all").first.click()
        assert len(fresh.seen) == 10
        assert page.evaluate("document.activeElement.type") == "search"
        assert not page.get_by_role("button", name="Show all").first.is_visible()

    def test_everything_is_done_from_the_keyboard(self, fresh: Visit) -> None:
        page = fresh.page
        page.get_by_role("tab", name="Call").focus()
        page.keyboard.press("ArrowRight")
        assert page.get_by_role("tab", name="Image").get_attribute("aria-selected") == "true"
        page.locator("#image [data-chart=image-tradeoff] svg").wait_for()
        assert not page.locator("#call").is_visible()
        page.keyboard.press("Home")
        assert page.locator("#call").is_visible()
        page.get_by_role("searchbox", name="Find").focus()
        page.keyboard.type("big")
        reached = []
        for _ in range(40):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("document.activeElement.innerText ?? ''").strip())
            if reached[-1] == "engine":
                page.keyboard.press("Enter")
            if page.evaluate("document.activeElement.hasAttribute('aria-expanded')"):
                break
        assert "Show all" in reached
        assert fresh.status == "3 of 10 engines, by engine, A to Z"
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
        assert page.locator("#call .more:visible").count() == 1
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"
        assert fresh.console == []

    def test_paper_is_white_and_wide_enough(self, fresh: Visit) -> None:
        page = fresh.page
        page.set_viewport_size({"width": 1017, "height": 700})  # A4 on its side, less its margins
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 33, 38)"
        assert page.evaluate("document.documentElement.scrollWidth") <= 1017
        assert not page.locator(".filters").first.is_visible()


@pytest.mark.parametrize(
    ("scheme", "paper", "student"),
    [("light", "rgb(251, 250, 248)", "rgb(11, 106, 148)"), ("dark", "rgb(20, 23, 27)", "rgb(98, 189, 232)")],
)
class TestColours:
    def test_page_and_charts_follow_the_scheme_and_keep_nobody_out(
        self, chromium, report: Path, scheme, paper, student
    ) -> None:
        from axe_playwright_python.sync_playwright import Axe

        context = chromium.new_context(color_scheme=scheme)
        page = Visit(context, report).page
        assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == paper
        fills = page.locator("[data-chart=call-tradeoff] .mark-symbol path").evaluate_all(
            "marks => marks.map(mark => getComputedStyle(mark).fill)"
        )
        assert student in fills
        page.locator("#call .engine button").first.click()
        page.evaluate("document.querySelectorAll('details').forEach(one => one.open = true)")
        # A drawing is hidden from screen readers, and axe would look at each of its thousand strokes.
        rules = None if scheme == "light" else {"runOnly": ["color-contrast"]}  # all else is the same in the dark
        found = Axe().run(page, context={"exclude": [[".chart svg"]]}, options=rules).response
        assert [(one["id"], one["nodes"][0]["html"]) for one in found["violations"]] == []
        assert len(found["passes"]) > (30 if rules is None else 0)
        context.close()
