"""Judging, comparing and plotting results files."""

import json
import re
import shutil

import pytest
from typer.main import get_command

from bench.cli import app
from bench.evidence import Gpu
from bench.gate.config import Benchmark, GateConfig
from bench.gate.from_results import judge
from bench.history.compare import ADVICE, compare
from bench.history.history import history, read_folder
from tests.support.gates import NEAR, folder, net
from tests.support.rows import HOST, results, row
from zoo.errors import Inconclusive, InputError, VerdictError

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
TEST_GPU = Gpu(name="NVIDIA A", memory=None, power_state="P0", sm_mhz=(1755, 1980), throttle=[])
OTHER_HOST = HOST.model_copy(update={"cpu": "Another CPU"})


def test_results_of_two_checkouts_written_in_turn_are_judged(tmp_path):
    before, same = folder(tmp_path / "a", NEAR), folder(tmp_path / "b", NEAR[::-1])
    slower = folder(tmp_path / "c", [1.06 * ms for ms in NEAR])
    wrong = folder(tmp_path / "d", NEAR, accuracy=0.9)
    out = tmp_path / "gate.json"
    passed = judge(before, same, GateConfig(), out=out)
    assert (passed.verdict, passed.entries[0].measured[0].pairs) == ("pass", 5)
    assert json.loads(out.read_text())["schema"] == "zoo.gate/1"
    assert judge(before, slower, GateConfig()).verdict == "fail"
    worse = judge(before, wrong, GateConfig())
    assert (worse.verdict, "accuracy" in worse.reason) == ("fail", True)


def test_one_process_of_each_is_no_evidence(tmp_path):
    before, after = folder(tmp_path / "a", [1.0]), folder(tmp_path / "b", [3.0])
    found = judge(before / "00.json", after / "00.json", GateConfig())
    assert found.verdict == "inconclusive"
    assert "undecided after 1 process pairs: write more results of each, in turn (at least 5)" in found.reason


def test_fast_results_of_which_nobody_knows_the_answers_do_not_pass(tmp_path):
    before, after = folder(tmp_path / "a", NEAR, accuracy=None), folder(tmp_path / "b", NEAR, accuracy=None)
    found = judge(before, after, GateConfig())
    assert (found.verdict, "measure both with --evaluate" in found.reason) == ("inconclusive", True)


def test_a_row_with_an_error_is_an_error_and_no_pass(tmp_path):
    before = folder(tmp_path / "a", NEAR)
    broken = folder(tmp_path / "b", NEAR, error="the child process was killed by SIGKILL")
    found = judge(before, broken, GateConfig())
    assert (found.verdict, "SIGKILL" in found.reason) == ("error", True)


def test_results_that_do_not_belong_together_are_refused(tmp_path):
    before = folder(tmp_path / "a", NEAR)
    elsewhere = tmp_path / "b.json"
    results(net(1.0)).model_copy(update={"host": OTHER_HOST}).write(elsewhere)
    with pytest.raises(InputError, match="results of different machines are never compared"):
        judge(before, elsewhere, GateConfig())
    other = tmp_path / "c.json"
    results(row("other", "student", "onnxruntime fp32", 1.0)).write(other)
    with pytest.raises(InputError, match=r"have no row .* in common"):
        judge(before, other, GateConfig())
    with pytest.raises(InputError, match="results are judged row by row"):
        judge(before, before, GateConfig(benchmarks=(Benchmark(),)))
    bare = tmp_path / "d.json"
    bare.write_text(re.sub(r'"rounds_ns": \[\[.*?\]\]', '"rounds_ns": []', results(net(1.0)).to_json()))
    with pytest.raises(InputError, match="no verdict without raw rounds"):
        judge(bare, bare, GateConfig())


def zoo_bench(*words: object) -> None:
    get_command(app)([str(word) for word in words], standalone_mode=False)


@pytest.mark.parametrize(("times", "error"), [([1.06 * ms for ms in NEAR], VerdictError), ([1.0], Inconclusive)])
def test_the_command_takes_folders_of_results(tmp_path, monkeypatch, capsys, times, error):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "a", NEAR)
    folder(tmp_path / "b", times)
    with pytest.raises(error):
        zoo_bench("gate", "--baseline", "a", "--candidate", "b")
    assert "## " in capsys.readouterr().out
    assert (tmp_path / "gate.json").is_file()


def test_compare_is_advice_and_never_a_verdict(tmp_path, capsys):
    before, after = tmp_path / "a.json", tmp_path / "b.json"
    results(net(1.0), net(8.0, batch=32), net(9.0, batch=64)).write(before)
    results(net(1.5), net(8.0, batch=32, error="out of memory")).write(after)
    zoo_bench("compare", before, after)
    shown = capsys.readouterr().out
    assert "net · onnxruntime fp32, 2 threads · batch 1 · call" in shown
    assert "+50.0 %" in shown
    assert "this process was slower" in shown
    assert "out of memory" in shown
    assert ADVICE in shown
    zoo_bench("compare", before, after, "--json")
    assert [(each["change"], each["remark"]) for each in json.loads(capsys.readouterr().out)] == [
        (0.5, "this process was slower"),
        (None, "out of memory"),
        (None, "missing in the second file"),
    ]


def test_compare_refuses_other_hosts_and_scopes_and_says_nothing_without_raw_rounds():
    one = results(net(1.0))
    with pytest.raises(InputError, match="different machines"):
        compare(one, one.model_copy(update={"host": OTHER_HOST}))
    there = [results(net(1.0, gpu=TEST_GPU.model_copy(update={"name": name}))) for name in ("NVIDIA A", "NVIDIA B")]
    with pytest.raises(InputError, match="results of different GPUs are never compared: cpu was NVIDIA A and NVIDIA B"):
        compare(*there)
    assert compare(there[0], there[0])
    scoped = one.model_copy(update={"rows": [one.rows[0].model_copy(update={"scope": "image"})]})
    with pytest.raises(InputError, match="times of different scopes are never compared: call and image"):
        compare(one, scoped)
    with pytest.raises(InputError, match=r"no row .* in common"):
        compare(one, results(row("other", "student", "onnxruntime fp32", 1.0)))
    timing = one.rows[0].timing
    assert timing is not None
    bare = one.rows[0].model_copy(update={"timing": timing.model_copy(update={"rounds_ns": []})})
    (only,) = compare(one, one.model_copy(update={"rows": [bare]}))
    assert only.remark == "no statement: raw rounds are missing, or too few"


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (results(net(1.0)).to_json()[:200], "damaged or truncated"),
        (results(net(1.0)).to_json().replace("zoo.bench/1", "zoo.bench/7"), "schema 'zoo.bench/7' is not known"),
        (results(net(1.0)).to_json().replace('"p50_ms": 1.0', '"p50_ms": NaN'), "p50_ms: "),
        (results(net(1.0)).to_json().replace("[1000000", "[NaN"), "rounds_ns"),
    ],
)
def test_results_that_are_none_are_one_line(tmp_path, text, complaint):
    results(net(1.0)).write(tmp_path / "a.json")
    (tmp_path / "b.json").write_text(text)
    for words in (("compare",), ("gate", "--baseline")):
        second = ["--candidate"] if words[0] == "gate" else []
        with pytest.raises(InputError, match=complaint):
            zoo_bench(*words, tmp_path / "a.json", *second, tmp_path / "b.json")


def test_history_marks_the_step_and_keeps_machines_apart(tmp_path, capsys):
    times = [1.0 + 0.002 * (place % 3) for place in range(8)] + [1.08 + 0.002 * (place % 3) for place in range(8)]
    where = folder(tmp_path / "all", times)
    results(net(5.0)).model_copy(update={"host": OTHER_HOST}).write(where / "elsewhere.json")
    (where / "gate.json").write_text('{"schema": "zoo.gate/1"}')
    zoo_bench("history", where)
    printed = capsys.readouterr()
    assert "16 results, 1.00 ms -> 1.08 ms" in printed.out
    assert printed.out.count("step at") == 1
    assert "(08.json): +8.0 %" in printed.out
    assert "left out: " in printed.err
    page = (where / "history.html").read_text()
    assert page.count("data-chart=") == 2
    assert "+8.0 %" in page
    assert "://" not in page.partition("<script")[0]

    series = {each.host: each for each in history(read_folder(where))}
    assert [step.place for step in series[HOST.summary].steps] == [8]
    assert series[OTHER_HOST.summary].steps == []


def test_a_history_of_nothing_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such folder of results"):
        zoo_bench("history", tmp_path / "gone")
    with pytest.raises(InputError, match="holds no results"):
        zoo_bench("history", tmp_path)
    results(net(1.0, error="out of memory")).write(tmp_path / "a.json")
    with pytest.raises(InputError, match="no row was measured"):
        zoo_bench("history", tmp_path)


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here (Debian: apt-get install chromium)")
def test_the_history_page_draws_itself_and_asks_no_network(tmp_path):
    from playwright.sync_api import sync_playwright

    where = folder(tmp_path / "all", [1.0] * 8 + [1.1] * 8)
    zoo_bench("history", where)
    said, asked = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_context(viewport={"width": 390, "height": 800}, offline=True).new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto((where / "history.html").as_uri())
        page.wait_for_selector("html[data-ready=true]", timeout=30_000)
        drawn = page.locator("[data-chart] svg").text_content()
        wide = page.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert said == []
    assert asked == [(where / "history.html").as_uri()]
    assert "+10.0 %" in drawn
    assert wide <= 390
