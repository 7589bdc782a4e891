import io

import pytest
from rich.console import Console

from bench.show.best import one_engine_each
from bench.show.headline import headline, pick, plain
from bench.show.table import pivot
from bench.show.text import columns, count, factor, markdown, milliseconds, percent, rate, size, terminal
from tests.support.rows import family, results, row


def by_engine(table):
    return {(line.model, line.engine.backend, line.engine.precision): line for line in table.lines}


def test_one_line_for_each_engine_with_both_batches_folded() -> None:
    table = pivot(family())
    assert [(line.model, line.engine.backend, line.engine.precision) for line in table.lines] == [
        ("big", "torch", "fp32"),
        ("big", "onnxruntime", "fp32"),
        ("big", "onnxruntime", "int8"),
        ("net-control", "onnxruntime", "fp32"),
        ("net-control", "onnxruntime", "int8"),
        ("net", "onnxruntime", "fp32"),
        ("net", "onnxruntime", "int8"),
        ("net", "openvino", "fp32"),
    ]
    line = by_engine(table)["net", "onnxruntime", "int8"]
    assert (line.p50_ms, line.p90_ms) == (0.2, pytest.approx(0.21))
    assert line.images_per_second == pytest.approx(32 * 10 / (4.0 * 10.5) * 1000)
    assert line.accuracy is not None
    assert (line.accuracy.value, line.parameters, line.macs, line.bytes_on_disk) == (0.98, 100_000, 2_000_000, 4321)


def test_speed_ups_are_against_the_eager_teacher_and_its_best_engine() -> None:
    table = pivot(family())
    assert [(reference.label, reference.p50_ms) for reference in table.references] == [
        ("eager teacher", 8.0),
        ("teacher's best engine", 2.0),
    ]
    lines = by_engine(table)
    assert lines["net", "onnxruntime", "int8"].speedups == pytest.approx((40, 10))
    assert lines["big", "torch", "fp32"].speedups == pytest.approx((1, 0.25))
    assert lines["net", "openvino", "fp32"].speedups == (None, None)


def test_several_teachers_are_told_apart_by_name() -> None:
    table = pivot(
        results(
            row("a", "teacher", "torch fp32", 8.0),
            row("b", "teacher", "openvino fp32", 4.0),
            row("net", "student", "openvino fp32", 1.0),
        )
    )
    assert [reference.label for reference in table.references] == ["eager a", "b's best engine"]
    assert table.lines[-1].speedups == pytest.approx((8, 4))


def test_other_batches_take_the_smallest_and_the_largest() -> None:
    rows = [row("net", None, "openvino fp32", ms, batch=batch) for batch, ms in ((4, 1.0), (8, 2.0), (2, 0.5))]
    table = pivot(results(*rows))
    assert (table.latency_batch, table.throughput_batch) == (2, 8)
    assert table.lines[0].p50_ms == 0.5
    assert [column.heading for column in columns(table)][4:] == [
        "p50, batch\u00a02",
        "p90, batch\u00a02",
        "images/s, batch\u00a08",
    ]


def test_a_line_whose_large_batch_failed_keeps_its_latency() -> None:
    table = pivot(
        results(
            row("net", None, "openvino fp32", 1.0),
            row("net", None, "openvino fp32", 1.0, batch=32, error="killed", parameters=None),
        )
    )
    (line,) = table.lines
    assert (line.p50_ms, line.images_per_second, line.error, line.parameters) == (1.0, None, "killed", 1000)


def test_threads_make_another_line() -> None:
    one = row("net", None, "openvino fp32", 1.0)
    two = one.model_copy(update={"engine": one.engine.model_copy(update={"threads": 1})})
    assert [line.engine.text for line in pivot(results(one, two)).lines] == [
        "openvino fp32, 1 thread",
        "openvino fp32, 2 threads",
    ]


def test_the_headline_ships_the_fastest_student_within_a_point_of_the_teacher() -> None:
    table = pivot(family())
    chosen = pick(table)
    assert chosen is not None
    assert (chosen.line.engine.precision, chosen.within) == ("fp32", True)  # int8 is twice as fast, 1.5 points below
    assert plain(headline(table)) == (
        "Ship net in fp32 on onnxruntime: 99.10 % right, 0.40 points worse than its teacher, "
        "20.0× as fast as the eager teacher and 5.00× as fast as the teacher's best engine."
    )


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([], "No student was measured."),
        ([row("big", "teacher", "torch fp32", 8.0)], "No student was measured."),
        (
            [row("net", None, "openvino fp32", 1.0, accuracy=None)],
            "The fastest is net in fp32 on openvino: 1.00 ms an image. Accuracy was not measured.",
        ),
        (
            [row("net", None, "openvino fp32", 1.0), row("fast", None, "openvino int8", 0.5, accuracy=0.5)],
            "Ship net in fp32 on openvino: 99.00 % right at 1.00 ms an image.",
        ),
        (
            [row("big", "teacher", "torch fp32", 8.0), row("net", "student", "openvino fp32", 1.0, accuracy=0.97)],
            "No student is within 1 point of its teacher. The closest is net in fp32 on openvino: 97.00 % right, "
            "2.00 points worse than its teacher, 8.00× as fast as the eager teacher.",
        ),
        (
            [row("big", "teacher", "torch fp32", 8.0), row("net", "student", "openvino fp32", 16.0)],
            "Ship net in fp32 on openvino: 99.00 % right, as its teacher, 0.500× as fast as the eager teacher.",
        ),
    ],
)
def test_the_headline_says_what_the_rows_say(rows, sentence: str) -> None:
    assert plain(headline(pivot(results(*rows)))) == sentence


def test_one_engine_each_keeps_eager_and_the_fastest_and_pairs_the_control() -> None:
    kept = pivot(one_engine_each(family())).lines
    assert [(line.model, line.engine.backend, line.engine.precision) for line in kept] == [
        ("big", "torch", "fp32"),
        ("big", "onnxruntime", "int8"),
        ("net-control", "onnxruntime", "int8"),
        ("net", "onnxruntime", "int8"),
    ]


def test_markdown_is_a_github_table() -> None:
    lines = markdown(family()).splitlines()
    assert lines[0].startswith("| model | engine | accuracy | parameters | MACs | on disk | p50, batch")
    assert len({line.count("|") for line in lines[:10]}) == 1
    assert lines[2].startswith(
        "| big (teacher) | torch fp32, 2 threads | 99.50 % | 11.0 M | 300 M | 44.0 MB | 8.00 ms |"
    )
    assert lines[2].endswith("| 1.00× | 0.250× |")
    assert "| net (student) | openvino fp32, 2 threads | – | 1.00 k |" in lines[9]
    assert lines[11].strip() == "Test CPU, 2 cores, 4 GiB, Debian, 2026-11-22; scope: call"
    assert lines[12].strip() == "Not measured: net · openvino fp32: out of <memory>"


def test_a_number_that_did_not_settle_is_marked() -> None:
    text = markdown(results(row("net", None, "openvino fp32", 1.0, stop="time limit")))
    assert "| ~ 1.00 ms |" in text
    assert "~ Time was up" in text
    assert "~" not in markdown(results(row("net", None, "openvino fp32", 1.0)))


def test_the_terminal_gets_every_number_whatever_its_width(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = io.StringIO()
    terminal(family(), pipe)
    for width in (60, 80, 200):
        monkeypatch.setenv("COLUMNS", str(width))
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("NO_COLOR", "1")
        shown = io.StringIO()
        terminal(family(), shown)
        assert Console(file=shown).width == width
        table = pivot(family())
        for line in table.lines:
            for column in columns(table):
                assert column.text(line) in shown.getvalue()
                assert column.text(line) in pipe.getvalue()
        parts = shown.getvalue().count("onnxruntime int8") / pipe.getvalue().count("onnxruntime int8")
        assert parts == (1 if width == 200 else 2)
    assert "○ net-control (control)" in pipe.getvalue()
    assert "…" not in pipe.getvalue()


def test_numbers_are_written_for_people() -> None:
    assert [percent(value) for value in (1, 0.99167, 0.5)] == ["100.00 %", "99.17 %", "50.00 %"]
    assert [count(value) for value in (0, 12, 999, 999_600, 11_181_642)] == ["0", "12", "999", "1.00 M", "11.2 M"]
    assert [size(value) for value in (312, 999, 1000, 44_726_000)] == ["312 B", "999 B", "1.00 kB", "44.7 MB"]
    assert [milliseconds(value) for value in (0.00876, 0.5, 9.999, 99.96, 1234)] == [
        "0.00876 ms",
        "0.500 ms",
        "10.0 ms",
        "100 ms",
        "1234 ms",
    ]
    assert [rate(value) for value in (0.25, 99.94, 1234567)] == ["0.250", "99.9", "1,234,567"]
    assert [factor(value) for value in (0.5, 1, 41.24, 1234)] == ["0.500×", "1.00×", "41.2×", "1,234×"]
