"""`zoo label` against a real HTTP server that speaks Cloud Vision's format, and fails in every way a service can."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.command import one_line
from zoo.learn.label.ask import Pace

KEY = "AIza-not-for-anyones-eyes"

RECIPE = """
name = "tags"
task = "tagging"
[data]
size = 16
[train]
epochs = 1
[teacher]
model = "vgg"
[[students]]
name = "vgg"
model = "vgg"
[label]
{label}
"""


def colours(jpeg: bytes) -> list[tuple[str, float]]:
    """A small honest tagger: how red, green and blue the picture is."""
    with Image.open(io.BytesIO(jpeg)) as image:
        mean = np.asarray(image.convert("RGB")).reshape(-1, 3).mean(axis=0) / 255
    tags = zip(("Red", "Green", "Blue"), mean.round(4).tolist(), strict=True)
    return sorted(tags, key=lambda tag: -tag[1])


class Service(ThreadingHTTPServer):
    """Answers label detection. `fault(image, nth)` names what goes wrong with the nth request for an image, or ''."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, tagger: Callable[[bytes], list[tuple[str, float]]] = colours) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.tagger = tagger
        self.fault: Callable[[str, int], str] = lambda image, nth: ""
        self.delay = 0.0
        self.lock = threading.Lock()
        self.asked: Counter[str] = Counter()  # requests by image
        self.answered: Counter[str] = Counter()  # good answers by image
        self.sizes: set[tuple[int, int]] = set()
        self.keys: set[str | None] = set()
        self.closed_until = 0.0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/v1/images:annotate"

    def handle_error(self, request, client_address) -> None:
        """A client that went away is what some of these tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Service

    def log_message(self, *words: object) -> None:
        pass

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        (request,) = body["requests"]
        assert request["features"] == [{"type": "LABEL_DETECTION", "maxResults": 3}]
        jpeg = base64.b64decode(request["image"]["content"], validate=True)
        image = hashlib.sha256(jpeg).hexdigest()
        with self.server.lock:
            nth = self.server.asked[image]
            self.server.asked[image] += 1
            self.server.keys.add(self.headers.get("x-goog-api-key"))
            with Image.open(io.BytesIO(jpeg)) as picture:
                self.server.sizes.add(picture.size)
        fault = self.server.fault(image, nth)
        if time.monotonic() < self.server.closed_until:
            fault = "429"
        time.sleep(self.server.delay)
        getattr(self, f"_{fault or 'answer'}")(jpeg, image)

    def _send(self, status: int, text: str, **headers: str) -> None:
        data = text.encode()
        self.send_response(status)
        for name, value in {"Content_Length": str(len(data)), "Content_Type": "application/json", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def _text(self, jpeg: bytes) -> str:
        labels = [
            {"mid": f"/m/{tag}", "description": tag, "score": score, "topicality": score}
            for tag, score in self.server.tagger(jpeg)
        ]
        return json.dumps({"responses": [{"labelAnnotations": labels}]})

    def _answer(self, jpeg: bytes, image: str) -> None:
        self._send(200, self._text(jpeg))
        with self.server.lock:
            self.server.answered[image] += 1

    def _429(self, jpeg: bytes, image: str) -> None:
        if time.monotonic() >= self.server.closed_until:
            self.server.closed_until = time.monotonic() + 0.9
        self._send(429, '{"error": {"code": 429, "message": "Quota exceeded"}}', Retry_After="1")

    def _quota(self, jpeg: bytes, image: str) -> None:
        self._send(429, '{"error": {"code": 429, "message": "Quota exceeded"}}', Retry_After="86400")

    def _500(self, jpeg: bytes, image: str) -> None:
        self._send(500, "<html>something\nbroke</html>")

    def _slow(self, jpeg: bytes, image: str) -> None:
        time.sleep(1.5)
        self._send(200, self._text(jpeg))

    def _truncated(self, jpeg: bytes, image: str) -> None:
        self._send(200, self._text(jpeg)[:-20])

    def _hangup(self, jpeg: bytes, image: str) -> None:
        self._send(200, self._text(jpeg), Content_Length="100000")
        self.close_connection = True

    def _malformed(self, jpeg: bytes, image: str) -> None:
        self._send(200, '{"responses": {"labelAnnotations": []}}')

    def _impossible(self, jpeg: bytes, image: str) -> None:
        self._send(200, '{"responses": [{"labelAnnotations": [{"description": "x", "score": 7}]}]}')

    def _unavailable(self, jpeg: bytes, image: str) -> None:
        self._send(200, '{"responses": [{"error": {"code": 14, "message": "try later"}}]}')

    def _bad_image(self, jpeg: bytes, image: str) -> None:
        self._send(200, '{"responses": [{"error": {"code": 3, "message": "Bad image\\ndata."}}]}')

    def _nothing(self, jpeg: bytes, image: str) -> None:
        self._send(200, '{"responses": [{}]}')

    def _chatty(self, jpeg: bytes, image: str) -> None:
        """Repeats the key, in an error and in an answer."""
        self._send(500, f"headers were {self.headers}")

    def _forbidden(self, jpeg: bytes, image: str) -> None:
        key = self.headers["x-goog-api-key"]
        self._send(403, json.dumps({"error": {"code": 403, "message": f"The key {key} may not do that"}}))

    def _bad_request(self, jpeg: bytes, image: str) -> None:
        self._send(400, json.dumps({"error": {"code": 400, "message": "API key not valid."}}))


@pytest.fixture
def service() -> Iterator[Service]:
    with Service() as running:
        threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield running
        running.shutdown()


@pytest.fixture
def label(zoo_command, service: Service, tmp_path: Path):
    """`label("side=32", ...)`: run `zoo label` on the folder `photos` with these settings."""

    def call(*settings: str, words: tuple[object, ...] = (), key: str | None = KEY):
        write_recipe(tmp_path, service)
        pairs = [word for setting in settings for word in ("--set", f"label.{setting}")]
        return zoo_command("label", "recipe.toml", "--out", "out", *pairs, *words, env=environment(key))

    return call


def environment(key: str | None = KEY) -> dict[str, str]:
    settings = {name: value for name, value in os.environ.items() if name != "TAGGER_KEY"}
    return settings | ({"TAGGER_KEY": key} if key else {})


def write_recipe(folder: Path, service: Service, **more: object) -> None:
    settings = {"images": "photos", "url": service.url, "key_env": "TAGGER_KEY", "max_results": 3, "side": 32}
    settings |= {"backoff": 0.01, "timeout": 1.0, "workers": 4, "retries": 4} | more
    lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
    (folder / "recipe.toml").write_text(RECIPE.format(label="\n".join(lines)))


def write_photos(folder: Path, count: int) -> Path:
    """PNG files of one colour each, no two alike, in two subfolders."""
    random = np.random.default_rng(1)
    for number in range(count):
        path = folder / ("a", "b ü")[number % 2] / f"{number:03d}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (64, 48), tuple(random.integers(0, 256, 3).tolist())).save(path)
    return folder


def rows(folder: Path) -> dict[str, sqlite3.Row]:
    """What is in the file of answers, by image."""
    with closing(sqlite3.connect(folder / "answers.sqlite")) as file:
        file.row_factory = sqlite3.Row
        return {row["name"]: row for row in file.execute("SELECT * FROM answers")}


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


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


def test_failures_are_named_and_asked_about_again(label, service, tmp_path):
    write_photos(tmp_path / "photos", 6)
    (tmp_path / "photos" / "broken.jpg").write_bytes(b"no image")
    bad: list[str] = []

    def fault(image: str, nth: int) -> str:
        with service.lock:
            if not bad:
                bad.append(image)
        return "malformed" if image == bad[0] else ""

    service.fault = fault
    done = label("retries=1")
    assert done.returncode == 1
    assert "2 of 7 images failed and 1 % may" in one_line(done.stderr)
    assert "no answer: broken.jpg: cannot read" in done.stderr
    assert "malformed answer: responses: Input should be a valid array" in done.stderr
    failed = [row for row in rows(tmp_path / "out").values() if row["status"] == "failed"]
    assert {row["attempts"] for row in failed} == {0, 2}
    assert '{"labelAnnotations": []}' in "".join(row["raw"] for row in failed)

    service.fault = lambda image, nth: ""
    (tmp_path / "photos" / "broken.jpg").unlink()
    done = label("max_failures=0")
    assert done.returncode == 0, done.stderr
    assert set(service.answered.values()) == {1}
    assert "6 of 6 images answered (1 asked about just now), 0 failed" in done.stdout


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
    assert "50 images in a row got no answer, the last because of: ConnectError" in one_line(done.stderr)


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


def test_answers_to_another_question_are_not_mixed(label, service, tmp_path):
    write_photos(tmp_path / "photos", 2)
    assert label().returncode == 0
    done = label("side=48", "quality=80", "rate=50", "backoff=0")
    assert done.returncode == 2
    assert "holds other answers: quality is 90 there and 80 here; side is 32 there and 48 here" in one_line(done.stderr)
    assert label("rate=50", "backoff=0", "workers=1").returncode == 0


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
    pace = Pace(1 / 1000)
    for _ in range(3):
        pace.wait(Impatient())
    pace.hold(9000)
    pace.wait(Impatient())
    pace.wait(Impatient())
    assert waits == [0, 1000, 2000, 9000, 10000]


def test_a_changed_image_is_asked_about_again_and_a_removed_one_forgotten(label, service, tmp_path):
    photos = write_photos(tmp_path / "photos", 4)
    assert label().returncode == 0
    Image.new("RGB", (64, 48), "navy").save(photos / "a" / "000.png")
    (photos / "a" / "002.png").unlink()
    done = label(words=("--json",))
    told = json.loads(done.stdout)
    assert (told["images"], told["asked"], told["answered"]) == (3, 1, 3)


def test_a_limit_spends_a_budget_in_parts(label, service, tmp_path):
    write_photos(tmp_path / "photos", 5)
    asked = [json.loads(label(words=("--limit", n, "--json")).stdout)["asked"] for n in (0, 3, 3)]
    assert asked == [0, 3, 2]


def start(folder: Path) -> subprocess.Popen[str]:
    command = [str(Path(sys.executable).with_name("zoo")), "label", "recipe.toml", "--out", "out"]
    return subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def wait_for(condition: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.01)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_what_was_answered_before_it_was_stopped_is_never_asked_again(label, service, tmp_path, how):
    write_photos(tmp_path / "photos", 60)
    write_recipe(tmp_path, service)
    service.delay = 0.05
    process = start(tmp_path)
    wait_for(lambda: service.answered.total() >= 15)
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert "Traceback" not in said

    answered = Counter(service.answered)
    kept = sum(row["status"] == "answered" for row in rows(tmp_path / "out").values())
    under_way = 0 if how == signal.SIGINT else 4  # killed, each worker may lose the one that was on its way
    assert answered.total() - under_way <= kept < 60

    service.delay = 0.0
    done = label(words=("--json",))
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["answered"], told["asked"]) == (60, 60 - kept)
    assert len(service.answered) == 60
    assert service.answered.total() <= 60 + under_way


def test_two_at_a_time_are_refused(label, service, tmp_path):
    write_photos(tmp_path / "photos", 20)
    write_recipe(tmp_path, service)
    service.delay = 0.3
    process = start(tmp_path)
    wait_for(lambda: service.asked.total() > 0)
    done = label()
    process.communicate(timeout=60)
    assert done.returncode == 2
    assert "in use: another zoo label writes to it" in one_line(done.stderr)
    assert set(service.asked.values()) == {1}


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


@pytest.mark.slow
def test_ray_labels_the_same_and_asks_nothing_twice(label, service, tmp_path):
    write_photos(tmp_path / "photos", 30)
    service.fault = lambda image, nth: "500" if nth == 0 and image < "4" else ""
    done = label("workers=2", "rate=200", words=("--ray", "local", "--json"))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["answered"] == 30
    assert set(service.answered.values()) == {1}
    raw = {name: row["raw"] for name, row in rows(tmp_path / "out").items()}

    again = label(words=("--out", "threads"))
    assert again.returncode == 0, again.stderr
    assert raw == {name: row["raw"] for name, row in rows(tmp_path / "threads").items()}

    service.fault = lambda image, nth: "forbidden"
    refused = label("workers=1", words=("--ray", "local", "--out", "refused"))
    assert refused.returncode == 4
    assert "refused the key in TAGGER_KEY" in one_line(refused.stderr)
    assert KEY not in refused.stderr


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:9", "nonsense"])
def test_a_cluster_that_is_not_there_is_one_line(label, service, tmp_path, address):
    write_photos(tmp_path / "photos", 1)
    done = label(words=("--ray", address))
    assert done.returncode == 4
    assert f"no Ray cluster at '{address}'" in one_line(done.stderr)
