"""`zoo bench roofline`: what it measures, keeps, shows and refuses, and what `zoo bench run` makes of it."""

from __future__ import annotations

import functools
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.main import get_command

from bench.cases import Case, Limits
from bench.cli import app
from bench.evidence import Bandwidth, Ceilings, Limit, Rate
from bench.host import Host, this_host
from bench.roofline import measure as measuring
from bench.roofline import store
from bench.roofline.graphs import Shape
from bench.roofline.rows import Floors
from bench.roofline.store import Known
from bench.show.text import markdown
from bench.suite.runner import run
from tests.support.command import logged
from tests.support.rows import row
from tests.support.tiny import tiny_bundle
from zoo.errors import EnvironmentProblem, InputError
from zoo.machine import cores

command = get_command(app)
SMALL = {"shapes": (Shape(0, 32, 8), Shape(3, 8, 6)), "seconds": 0.0, "largest_set": 2**19}


def zoo_bench(*words: object) -> None:
    command([str(word) for word in words], standalone_mode=False)


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """What is logged."""
    with logged("bench.roofline") as found:
        yield found


@pytest.fixture(scope="module")
def host() -> Host:
    return this_host()


def known(host: Host, *, fp32: float = 1e12, main: float = 1e10, **more: object) -> Known:
    facts = {
        "schema": store.SCHEMA,
        "created": "2026-11-22T12:00:00Z",
        "version": "0.1.0",
        "fingerprint": host.fingerprint,
        "host": host.summary,
        "gpu": None,
        "libraries": {},
        "ceilings": Ceilings(
            rates=[Rate(device="cpu", precision="fp32", threads=1, flops_per_second=fp32)],
            bandwidths=[Bandwidth(device="cpu", threads=1, bytes_per_second=main, working_set=128)],
        ),
    }
    return Known.model_validate(facts | more)


def test_the_command_measures_keeps_shows_and_forgets(
    host: Host, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(measuring, "measure", functools.partial(measuring.measure, **SMALL))
    zoo_bench("roofline", "--threads", 1)
    printed = capsys.readouterr()
    assert host.summary in printed.out
    assert "matrix product 8 x 32 x 32" in printed.out or "3x3 convolution, 8 channels" in printed.out
    kept = store.find(host)
    assert kept is not None
    assert {"fp32", "int8"} <= {one.precision for one in kept.ceilings.rates}
    assert [one.working_set for one in kept.ceilings.bandwidths] == [2**18, 2**19]
    assert {one.threads for one in (*kept.ceilings.rates, *kept.ceilings.bandwidths)} == {1}

    zoo_bench("roofline", "--show", "--json")
    assert json.loads(capsys.readouterr().out) == kept.model_dump(mode="json", by_alias=True)
    zoo_bench("roofline", "--forget")
    assert "forgotten" in capsys.readouterr().out
    zoo_bench("roofline", "--forget")
    assert "nothing was kept" in capsys.readouterr().out
    with pytest.raises(InputError, match="zoo bench roofline"):
        zoo_bench("roofline", "--show")


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        (["--device", "cuda0"], InputError, "no device 'cuda0'; there are: cpu, cuda; did you mean 'cuda'"),
        (["--threads", "100000"], InputError, "--threads: from 1 to"),
        (["--threads", "some"], InputError, "--threads some"),
        (["--device", "cuda", "--threads", "2"], InputError, "about the CPU"),
        (["--show", "--forget"], InputError, "exclude each other"),
    ],
)
def test_what_cannot_be_measured_is_said_in_one_line(words: list[str], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        zoo_bench("roofline", *words)


def test_a_machine_without_a_gpu_says_so() -> None:
    torch = pytest.importorskip("torch")
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(EnvironmentProblem, match="no CUDA GPU"):
        zoo_bench("roofline", "--device", "cuda")


def test_a_ceiling_only_ever_rises(host: Host) -> None:
    first, second = known(host, fp32=2e12, main=1e10), known(host, fp32=1e12, main=3e10)
    both = store.joined(first, second).ceilings
    assert (both.rates[0].flops_per_second, both.bandwidths[0].bytes_per_second) == (2e12, 3e10)


def test_another_gpu_replaces_what_the_old_one_reached(host: Host) -> None:
    def gpu(name: str, rate: float, launch: float) -> Known:
        reached = [Rate(device="cuda", precision="fp16", threads=1, flops_per_second=rate)]
        return known(host, gpu=name, ceilings=Ceilings(rates=reached, bandwidths=[], launch_us=launch))

    old = store.joined(known(host), gpu("Old", 9e14, 1.0))
    new = store.joined(old, gpu("New", 1e14, 2.0))
    assert [(rate.device, rate.flops_per_second) for rate in new.ceilings.rates] == [("cpu", 1e12), ("cuda", 1e14)]
    assert (new.gpu, new.ceilings.launch_us) == ("New", 2.0)
    assert store.joined(new, known(host)).gpu == "New"  # a CPU's ceilings do not say which GPU there is


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "damaged or truncated"),
        ('{"schema": "zoo.ceilings/2"}', "schema 'zoo.ceilings/2' is not known"),
        ("foreign", "of another machine"),
        ("extra", "surprise"),
    ],
)
def test_a_file_of_no_use_is_ignored_with_a_line(host: Host, lines: list[str], text: str, says: str) -> None:
    data = known(host).model_dump(mode="json", by_alias=True)
    if text == "foreign":
        text = json.dumps(data | {"fingerprint": "0" * 64})
    if text == "extra":
        text = json.dumps(data | {"surprise": 1})
    store.STORE.place(host.fingerprint).parent.mkdir(parents=True)
    store.STORE.place(host.fingerprint).write_text(text)
    assert store.find(host) is None
    assert len(lines) == 1
    assert says in lines[0]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_bundle(tmp_path_factory.mktemp("bundles") / "tiny.zoo")


def test_rows_of_a_machine_with_ceilings_carry_their_limit(host: Host, bundle: Path) -> None:
    store.keep(host, known(host, fp32=1e9))
    quick = Limits(seconds=0.05, min_rounds=1)
    case = Case(name="tiny", subject=bundle, backend="onnxruntime", threads=1, batches=(1, 4), limits=quick)
    found = run([case, case.model_copy(update={"backend": "onnxruntime-default"})])
    assert found.ceilings is not None
    assert [rate.flops_per_second for rate in found.ceilings.rates] == [1e9]
    # 3 x 3 MACs; 9 weights of 4 bytes, 8 x 8 pixels of 3 bytes, 3 numbers of 4 bytes
    limits = [row.limit for row in found.rows if row.limit]
    assert [(limit.flops, limit.bytes, limit.bound) for limit in limits] == [
        (18, 36 + 192 + 12, "memory"),
        (72, 36 + 4 * (192 + 12), "memory"),
    ] * 2
    assert [limit.floor_ms for limit in limits] == pytest.approx([240 / 1e7, 852 / 1e7] * 2)
    assert "of limit, batch\u00a01" in markdown(found)


def test_without_ceilings_rows_have_no_limit_and_tables_no_column(host: Host, bundle: Path) -> None:
    case = Case(name="tiny", subject=bundle, backend="onnxruntime", batches=(1,), limits=Limits(seconds=0.01))
    found = run([case])
    assert (found.ceilings, found.rows[0].limit) == (None, None)
    assert "of limit" not in markdown(found)


def test_a_checkpoint_has_the_limit_of_the_bundle_that_was_made_of_it(host: Host, bundle: Path) -> None:
    store.keep(host, known(host))
    ours = Case(name="tiny", subject=bundle, backend="onnxruntime")
    eager = Case(name="tiny", subject=Path("run"), backend="torch")
    floors = Floors([eager, ours], host)
    limited = floors.limited(eager, [row("tiny", None, "torch fp32", 1.0, macs=9), row("x", None, "torch fp32", 1.0)])
    assert limited[0].limit is not None
    assert limited[0].limit.flops == 18
    assert limited[1].limit is None  # a network with other MACs
    assert Floors([eager], host).limited(eager, limited[1:])[0].limit is None


def test_a_graph_that_cannot_be_read_loses_no_row(host: Host, tmp_path: Path, lines: list[str]) -> None:
    store.keep(host, known(host))
    gone = Case(name="gone", subject=tmp_path / "gone.zoo", backend="onnxruntime")
    measured = [row("gone", None, "onnxruntime fp32", 1.0)]
    assert Floors([gone], host).limited(gone, measured) == measured
    assert "no such bundle" in lines[0]


def test_more_than_the_limit_is_said_to_be_impossible(host: Host) -> None:
    from tests.support.rows import results

    impossible = Limit(flops=1, bytes=1, bound="compute", floor_ms=2.0)
    text = markdown(results(row("net", None, "onnxruntime fp32", 1.0, limit=impossible)))
    assert "200 %" in text
    assert "`zoo bench roofline` can raise it" in text


def test_threads_beyond_one_are_measured_together(host: Host) -> None:
    if cores() < 2:
        pytest.skip("one core")
    found = measuring.measure(host, threads=(2,), **SMALL)  # type: ignore[arg-type]
    assert {one.threads for one in found.ceilings.bandwidths} == {2}
