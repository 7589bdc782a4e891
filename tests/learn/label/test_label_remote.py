"""`zoo label` against a real HTTP server that speaks Cloud Vision's format, and fails in every way a service can."""

from __future__ import annotations

import json
import threading

import pytest

from tests.support.command import one_line
from tests.support.fakes.vision_service import KEY, everything_written, rows, write_photos, write_recipe
from zoo.learn.label.ask import RateLimit

PASSING = ("429", "500", "slow", "truncated", "hangup", "malformed", "impossible", "unavailable")


def test_a_service_that_fails_in_every_way_loses_nothing_and_is_asked_nothing_twice(
    label, service, tmp_path, bundle_path
):
    """The service answers with a real model's labels; every image meets one or two faults before it is answered."""
    from zoo import load

    engine = load(bundle_path, threads=1)
    service.tagger = lambda jpeg: engine.predict(jpeg).top(3)
    write_photos(tmp_path / "photos", 24)

    def fault(image: str, nth: int) -> str:
        kind = int(image[:8], 16)
        return PASSING[(kind + nth) % len(PASSING)] if nth < 1 + kind % 2 else ""

    service.fault = fault
    done = label("retries=12", words=("--json",))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["images"], told["answered"], told["asked"], told["failures"]) == (24, 24, 24, {})
    assert set(service.answered.values()) == {1}
    assert len(service.answered) == 24
    for row in rows(tmp_path / "out").values():
        (response,) = json.loads(row["raw"])["responses"]
        assert {entry["description"] for entry in response["labelAnnotations"]} <= set(engine.labels)
        assert row["attempts"] > 1

    before = service.asked.total()
    again = label(words=("--json",))
    assert json.loads(again.stdout)["asked"] == 0
    assert service.asked.total() == before


def test_images_are_reduced_before_they_leave(label, service, tmp_path):
    write_photos(tmp_path / "photos", 2)
    assert label().returncode == 0
    assert service.sizes == {(32, 24)}


def test_an_image_without_labels_is_answered_too(label, service, tmp_path):
    write_photos(tmp_path / "photos", 1)
    service.fault = lambda image, nth: "nothing"
    done = label(words=("--json",))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered"] == 1


def test_retry_after_is_respected(label, service, tmp_path):
    """Until the second it asked for is over this service refuses everybody, and only one retry is allowed."""
    write_photos(tmp_path / "photos", 1)
    service.fault = lambda image, nth: "429" if nth == 0 else ""
    done = label("retries=1")
    assert done.returncode == 0, done.stderr
    assert service.asked.total() == 2


def test_a_service_that_wants_to_be_left_alone_for_hours_is(label, service, tmp_path):
    write_photos(tmp_path / "photos", 3)
    service.fault = lambda image, nth: "quota"
    done = label()
    assert done.returncode == 4
    assert "Quota exceeded; the service asks to come back in 1440 minutes" in one_line(done.stderr)


def test_an_image_the_service_cannot_take_is_not_retried(label, service, tmp_path):
    write_photos(tmp_path / "photos", 2)
    bad: list[str] = []
    service.fault = lambda image, nth: "bad_image" if image == (bad or bad.append(image) or bad)[0] else ""
    done = label("max_failures=0.5", "workers=1")
    assert done.returncode == 0, done.stderr
    assert "error 3: Bad image data." in done.stderr
    assert service.asked.total() == 2


def test_a_service_that_is_not_there_stops_the_work_soon(label, service, tmp_path):
    write_photos(tmp_path / "photos", 80)
    done = label("url=http://127.0.0.1:9/none", "retries=0")
    assert done.returncode == 4
    assert "50 images in a row got no reply, the last because of: ConnectError" in one_line(done.stderr)


@pytest.mark.parametrize(
    ("fault", "code", "complaint"),
    [
        ("forbidden", 4, "refused the key in TAGGER_KEY: HTTP 403: The key *** may not"),
        ("bad_request", 2, "API key not valid."),
    ],
)
def test_a_refused_key_or_request_stops_at_once(label, service, tmp_path, fault, code, complaint):
    write_photos(tmp_path / "photos", 12)
    service.fault = lambda image, nth: fault
    done = label()
    assert done.returncode == code
    assert complaint in one_line(done.stderr)
    assert service.asked.total() <= 4  # one for each worker


def test_the_key_travels_in_its_header_and_is_written_nowhere(label, service, tmp_path):
    write_photos(tmp_path / "photos", 3)
    service.fault = lambda image, nth: "chatty"
    done = label("retries=1", words=("--json",))
    assert done.returncode == 1
    assert "headers were" in done.stderr
    assert service.keys == {KEY}
    assert KEY not in done.stdout + done.stderr
    assert KEY.encode() not in everything_written(tmp_path)


@pytest.mark.parametrize("key", [None, "two\nlines", "schlüssel"])
def test_a_missing_or_impossible_key_is_named_by_its_variable(label, service, tmp_path, key):
    write_photos(tmp_path / "photos", 1)
    done = label(key=key)
    assert done.returncode == 4
    assert "the environment variable TAGGER_KEY" in one_line(done.stderr)
    assert key is None or key not in done.stderr
    assert service.asked.total() == 0


def test_a_service_without_a_key_gets_none(label, service, tmp_path):
    write_photos(tmp_path / "photos", 1)
    assert label('key_env=""', key=None).returncode == 0
    assert service.keys == {None}


def test_requests_keep_their_pace_and_stop_for_as_long_as_the_service_asks():
    """Nobody waits here: the pace is a request in a thousand seconds, and what is noted is how long each would wait."""

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(round(timeout or 0, -2))
            return False

    waits: list[float] = []
    pace = RateLimit(1 / 1000)
    for _ in range(3):
        pace.wait(Impatient())
    pace.hold(9000)
    pace.wait(Impatient())
    pace.wait(Impatient())
    assert waits == [0, 1000, 2000, 9000, 10000]


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("label.imagse=x", "unknown key 'label.imagse'; did you mean 'images'?"),
        ("label.images=gone", "no such folder: gone"),
        ("label.url=vision.googleapis.com", "starts with http"),
        ("label.url=https://x.org/v1?key=secret", "label.url: the key does not belong into the address"),
        ("label.teacher=command", "needs command"),
        ("label.teacher=onnx", "needs onnx"),
    ],
)
def test_mistakes_in_the_label_table_are_one_line(zoo_command, service, tmp_path, setting, complaint):
    write_photos(tmp_path / "photos", 1)
    write_recipe(tmp_path, service)
    done = zoo_command("label", "recipe.toml", "--set", setting)
    assert done.returncode == 2
    assert complaint in one_line(done.stderr)
    assert "secret" not in done.stderr
