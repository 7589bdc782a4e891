"""An HTTP server that speaks Cloud Vision's label detection and fails in every way a service can; and its recipe."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
from PIL import Image

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
    """What is in the file of replies, by image."""
    with closing(sqlite3.connect(folder / "answers.sqlite")) as file:
        file.row_factory = sqlite3.Row
        return {row["name"]: row for row in file.execute("SELECT * FROM answers")}


def everything_written(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
