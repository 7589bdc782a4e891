import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli import app
from bench.page import energy, gate, layers, roofline, rounds, sizes, spread, start, tradeoff, view
from bench.page.charts.labels import LabelRequest, place
from bench.page.report import render, write_report
from bench.results import Results, Row, Timing
from bench.show.headline import headline, plain
from bench.show.table import pivot
from tests.support import gates
from tests.support.rows import everything, family, results, row
from zoo.errors import EnvironmentProblem

HOSTILE = "</script><img src=x onerror=alert(1)>"


def test_the_page_is_one_small_file_that_needs_no_network() -> None:
    page = render(everything())
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
    spec = spread.distributions(pivot(family()))
    assert spec is not None
    values = spec["data"]["values"]
    lines = {value["line"] for value in values}
    assert len(lines) == 7
    assert len(values) == 7 * spread.SAMPLES
    assert {value["times"] for value in values} >= {1.0, 1.5}


def test_families_are_joined_and_the_front_is_a_staircase() -> None:
    table = pivot(family())
    found = tradeoff.section(table, None)
    assert found is not None
    stairs, descents, pairs = (layer["data"]["values"] for layer in found.figures[0].spec["layer"][:3])
    assert pairs == [
        {"p50": 0.4, "accuracy": 92.0, "p50_2": 0.4, "accuracy_2": pytest.approx(99.1)},
        {"p50": 0.2, "accuracy": 91.0, "p50_2": 0.2, "accuracy_2": 98.0},
    ]
    assert descents == [{"p50": 8.0, "accuracy": 99.5, "p50_2": 0.2, "accuracy_2": 98.0}]
    assert [(step["p50"], step["accuracy"]) for step in stairs[:-1]] == [
        (0.2, 98.0),
        (0.4, pytest.approx(99.1)),
        (4.0, 99.5),
    ]
    assert found.numbers is not None
    assert [cells[-1] for cells in found.numbers.rows] == [
        "–",
        "1.10 points better for 2.00× the time",
        "0.40 points better for 10.0× the time",
    ]


def test_nothing_on_the_front_is_beaten_in_both() -> None:
    dots = tradeoff.dots(pivot(family()))
    front = tradeoff.front(dots)
    for dot in dots:
        beaten = any(
            other.p50 <= dot.p50 and other.accuracy.rank <= dot.accuracy.rank and other is not dot for other in front
        )
        assert beaten != (dot in front)


def test_smaller_errors_stand_higher() -> None:
    found = [
        row(name, "student", "onnxruntime fp32", ms).model_dump()
        | {"accuracy": {"task": "keypoints", "metric": "error", "value": error, "images": 9}}
        for name, ms, error in (("slow", 4.0, 1.5), ("fast", 1.0, 2.5))
    ]
    table = pivot(results(*(Row.model_validate(one) for one in found)))
    section = tradeoff.section(table, None)
    assert section is not None
    assert section.figures[0].spec["layer"][0]["encoding"]["y"]["scale"]["reverse"]
    assert [dot.line.model for dot in tradeoff.front(tradeoff.dots(table))] == ["fast", "slow"]


def test_labels_cover_neither_points_nor_each_other() -> None:
    points = [(50.0, 50.0), (60.0, 50.0), (70.0, 50.0), (300.0, 20.0)]
    requests = [LabelRequest(str(at), x, y, "a long label") for at, (x, y) in enumerate(points)]
    found = place(requests, points, 310, 100)
    assert found["0"].align == "center"  # 38 pixels on either side of 50 are inside the plot
    assert len({(where.dx, where.dy, where.align) for where in found.values()}) > 1
    assert found["3"].align == "right"  # there is no room on its right
    assert place(requests, points, 20, 20) == {}


def test_sizes_leave_out_controls_and_name_each_file_once() -> None:
    section = sizes.section(pivot(family()))
    assert section is not None
    titled = {figure.title: figure.spec["data"]["values"] for figure in section.figures}
    assert list(titled) == ["Parameters", "Multiply-accumulates for one image", "Bytes on disk"]
    assert [bar["line"] for bar in titled["Parameters"]] == ["big", "net"]
    assert [bar["line"] for bar in titled["Bytes on disk"]] == [
        "big · checkpoint",
        "big · fp32",
        "big · int8",
        "net · fp32",
        "net · int8",
    ]


def test_rows_stand_below_the_roof_at_the_rate_they_reached() -> None:
    full = everything().only("call")
    section = roofline.section(pivot(full), full, None)
    assert section is not None
    spec = section.figures[0].spec
    net = next(p for p in spec["data"]["values"] if p["name"] == "net · onnxruntime fp32" and p["batch"] == 1)
    limit = next(r.limit for r in full.rows if r.model == "net" and r.limit and r.batch == 1)
    assert limit is not None
    assert net["rate"] == pytest.approx(2 * 2_000_000 / 0.4e-3)
    assert net["intensity"] == pytest.approx(4_000_000 / 430_000)
    roofs = spec["layer"][0]["data"]["values"]
    assert {line["rate"] for line in roofs} >= {4e11, 1.2e12}  # of the two threads that the rows use
    words = [word["text"] for layer in spec["layer"][2:4] for word in layer["data"]["values"]]
    assert words == ["fp32: 400 G/s", "int8: 1.20 T/s", "memory: 16.0 GB/s"]
    assert section.numbers is not None
    shares = {(cells[0], cells[1]): cells[4] for cells in section.numbers.rows}
    assert shares["net · onnxruntime fp32", "1"] == f"{100 * limit.floor_ms / 0.4:.2f} %"


def test_without_ceilings_the_shares_are_told_and_without_limits_nothing_is() -> None:
    full = everything().only("call").model_copy(update={"ceilings": None})
    section = roofline.section(pivot(full), full, None)
    assert section is not None
    assert not section.figures
    assert section.numbers is not None
    assert not section.numbers.folded
    assert roofline.section(pivot(family()), family(), None) is None


def test_energy_is_bars_or_one_line_that_says_why_not() -> None:
    section = energy.section(pivot(everything().only("call")))
    assert section is not None
    assert section.numbers is None
    assert [bar["text"] for bar in section.figures[0].spec["data"]["values"]][:2] == ["1.88 mJ", "1.88 mJ"]
    why = {"joules_per_image": None, "source": None, "reason": "no counter can be read"}
    rows = [Row.model_validate({**one.model_dump(), "energy": why}) for one in family().rows]
    silent = energy.section(pivot(results(*rows)))
    assert silent is not None
    assert not silent.figures
    assert silent.notes == ["Not measured: no counter can be read"]
    assert energy.section(pivot(family())) is None


def test_a_deep_network_shows_its_longest_layers_in_their_order() -> None:
    each = [{"name": f"conv{place}", "kind": "Conv", "ms": 1 + place % 7} for place in range(100)]
    deep = Row.model_validate({**row("net", None, "openvino fp32", 1.0).model_dump(), "layers": each})
    values, total = layers.shown(deep)
    assert len(values) == layers.MOST + 1
    shown = [int(value["line"].removeprefix("conv")) for value in values[:-1]]
    assert shown == sorted(shown)
    assert values[-1]["line"] == "60 shorter layers"
    assert sum(value["ms"] for value in values) == pytest.approx(total)


def test_start_and_saturation_are_shown_where_they_were_measured() -> None:
    table = pivot(everything().only("call"))
    begun, saturated = start.start(table), start.saturation(table)
    assert begun is not None
    assert saturated is not None
    assert begun.figures[0].numbers is not None
    assert begun.figures[0].numbers.rows[0] == ["net-control · onnxruntime int8", "9.00 ms", "0.600 ms", "9.60 ms"]
    assert saturated.figures[0].numbers is not None
    assert saturated.figures[0].numbers.heading == ["images/s with", "1 caller", "2 callers", "4 callers"]
    assert start.start(pivot(family())) is None
    assert start.saturation(pivot(family())) is None


def test_rounds_keep_their_order_and_one_hiccup_does_not_flatten_the_rest() -> None:
    calls = [[1_000_000 + 1000 * place, 1_100_000] for place in range(600)]
    calls[300][1] = 900_000_000
    found = rounds.datasets(Timing.of(calls, batch=1, stop="converged", warmup_calls=3))
    assert [point["round"] for point in found["rounds"][:3]] == [1, 4, 7]
    assert len(found["rounds"]) == 200
    assert [point["ms"] for point in found["rounds"]] == sorted(point["ms"] for point in found["rounds"])
    assert max(point["high"] for point in found["rounds"]) < 3
    assert any("900 ms" in point["range"] for point in found["rounds"])


def test_variants_are_lines_of_their_own() -> None:
    plain_row = row("net", None, "tensorrt fp16", 1.0)
    replayed = Row.model_validate({**row("net", None, "tensorrt fp16", 0.5).model_dump(), "variant": "cuda-graph"})
    table = pivot(results(plain_row, replayed))
    assert [line.title for line in table.lines] == ["net · tensorrt fp16", "net · tensorrt fp16 cuda-graph"]
    assert [line.p50_ms for line in table.lines] == [1.0, 0.5]
    assert "net in fp16 on tensorrt (cuda-graph)" in plain(headline(table))
    assert "tensorrt fp16, 2 threads, cuda-graph" in render(results(plain_row, replayed))


def test_scopes_never_share_a_view() -> None:
    views = view.views(everything())
    assert [one.scope for one in views] == ["call", "image"]
    for one in views:
        assert {line.line.scope for line in one.lines} == {one.scope}
        assert all(key.startswith(f"{one.scope}-") for key in one.specs)


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
    assert 'data-chart="call-tradeoff"' not in page


def test_the_gate_is_a_forest_with_every_verdict() -> None:
    receipt = gates.receipt(
        gates.entry(gates.AS_BEFORE, name="a", checks=[gates.SAME, gates.WRONG]),
        gates.entry(gates.SLOWER, name="b"),
        gates.entry(gates.TOO_NOISY, name="c"),
    )
    section = gate.section(receipt, receipt.host.fingerprint)
    assert section.title == "The gate: fail"
    values = section.figures[0].spec["data"]["values"]
    measured = [part for each in receipt.entries for part in each.measured]
    assert [value["verdict"] for value in values] == ["pass", "fail", "inconclusive"]
    assert [(value["change"], value["low"], value["high"]) for value in values] == [
        (part.change, part.low, part.high) for part in measured
    ]
    assert section.numbers is not None
    assert [cells[:3] for cells in section.numbers.rows][:3] == [
        ["a", "time", "pass"],
        ["a", "answers", "pass"],
        ["a", "answers", "fail"],
    ]
    assert section.notes == []
    assert "another machine" in gate.section(receipt, "elsewhere").notes[0]


def test_the_command_shows_a_gate_and_refuses_what_is_none(tmp_path: Path) -> None:
    family().write(tmp_path / "results.json")
    receipt = gates.receipt(gates.entry(gates.SLOWER, name="b"))
    receipt.write(tmp_path / "gate.json")
    command = ["report", str(tmp_path / "results.json"), "--gate"]
    shown = CliRunner().invoke(app, [*command, str(tmp_path / "gate.json")])
    assert shown.exit_code == 0, shown.output
    page = (tmp_path / "results.html").read_text()
    assert "<b>Gate: fail.</b>" in page
    assert json.dumps(receipt.entries[0].measured[0].change) in page
    refused = CliRunner().invoke(app, [*command, str(tmp_path / "results.json")])
    assert refused.exit_code != 0
    assert "results.json" in str(refused.exception)


def test_a_page_that_cannot_be_written_is_the_environments_problem(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EnvironmentProblem, match="cannot write"):
        write_report(family(), tmp_path / "file" / "report.html")
