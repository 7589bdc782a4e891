from pathlib import Path

import numpy as np
import pytest

from bench.measure.energy import energy, rapl

INPUTS = [np.zeros((4, 2, 2, 3), dtype=np.uint8)] * 2


class Board:
    """Burns `watts` while it is called, and shows its counter in ticks."""

    source = "nvml"
    seconds = 2.0

    def __init__(self, *, watts: float, tick: float, call: float = 0.01) -> None:
        self.watts, self.tick, self.call_seconds = watts, tick, call
        self.now = 0
        self.calls = 0

    def call(self, images) -> None:
        self.calls += 1
        self.now += round(self.call_seconds * 1e9)

    def clock(self) -> int:
        return self.now

    def joules(self) -> float:
        return 1e6 + self.watts * (self.now / 1e9 // self.tick) * self.tick if self.tick else 0.0


def test_energy_of_an_image_is_what_the_counter_says_between_two_of_its_ticks() -> None:
    board = Board(watts=300, tick=0.1)
    found = energy(board.call, INPUTS, board, clock=board.clock)
    assert found.joules_per_image == pytest.approx(300 * 0.01 / 4, rel=0.01)  # a call at each end, not a tick
    assert (found.source, found.reason) == ("nvml", None)
    assert board.calls == pytest.approx(210, abs=15)  # 2 s, and to the next tick on both sides


def test_several_batches_in_one_call_share_its_energy() -> None:
    board = Board(watts=300, tick=0.1, call=0.16)
    found = energy(board.call, INPUTS, board, runs=16, clock=board.clock)
    assert found.joules_per_image == pytest.approx(300 * 0.16 / 64, rel=0.1)


def test_a_counter_that_stands_still_is_a_reason_and_no_number() -> None:
    board = Board(watts=300, tick=0)
    found = energy(board.call, INPUTS, board, clock=board.clock)
    assert found.joules_per_image is None
    assert found.reason == "the counter of nvml did not move in 1 s"
    assert board.calls == 100


def test_a_counter_that_was_set_back_is_a_reason_and_no_number() -> None:
    board = Board(watts=300, tick=0.1)
    found = energy(board.call, INPUTS, SetBack(board), clock=board.clock)
    assert found.reason == "the counter of nvml was set back meanwhile"


class SetBack:
    source, seconds = "nvml", 1.0

    def __init__(self, board: Board) -> None:
        self.board = board

    def joules(self) -> float:
        return self.board.joules() - (2e6 if self.board.now > 10**9 else 0)


def powercap(root: Path, zones: dict[str, tuple[str, int]]) -> Path:
    for zone, (name, microjoules) in zones.items():
        (root / zone).mkdir(parents=True)
        (root / zone / "name").write_text(f"{name}\n")
        (root / zone / "energy_uj").write_text(f"{microjoules}\n")
        (root / zone / "max_energy_range_uj").write_text("262143328850\n")
    return root


def test_rapl_adds_the_packages_and_nothing_twice_and_survives_a_counter_that_begins_again(tmp_path: Path) -> None:
    zones = {
        "intel-rapl:0": ("package-0", 262_143_000_000),
        "intel-rapl:0:0": ("core", 5),
        "intel-rapl:1": ("package-1", 1_000_000),
        "intel-rapl:2": ("psys", 7),
    }
    meter = rapl(powercap(tmp_path, zones))
    assert not isinstance(meter, str)
    assert meter.joules() == 0
    (tmp_path / "intel-rapl:1" / "energy_uj").write_text("3500000\n")
    assert meter.joules() == 2.5
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("671150\n")  # full at 262,143,328,850
    assert meter.joules() == pytest.approx(2.5 + 1.0)


def test_why_there_is_no_energy_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rapl(tmp_path / "none") == f"the CPU shows no energy counter in {tmp_path}/none, as on most virtual machines"
    root = powercap(tmp_path, {"intel-rapl:0": ("package-0", 1)})
    (root / "intel-rapl:0" / "energy_uj").write_text("?")
    assert str(rapl(root)).startswith(f"the CPU's energy counters in {root} cannot be read: ")
    reads = Path.read_text

    def locked(self: Path, *arguments, **options) -> str:
        if self.name == "energy_uj":
            raise PermissionError(13, "Permission denied")
        return reads(self, *arguments, **options)

    monkeypatch.setattr(Path, "read_text", locked)  # the tests may run as root, whom no mode keeps out
    assert rapl(root) == f"the CPU's energy counters in {root} are for root alone"
