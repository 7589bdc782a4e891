"""A tagging service on loopback, to try `zoo label` on: it speaks Cloud Vision's label detection and answers from a
bundle. Now and then it fails, as services do.

    python examples/tagging_service.py tagger.zoo --groups groups.json --faults 0.1

`groups.json` names broader tags, {"animal": ["bird", "cat", "deer"], ...}; the score of one is the sum of its members'.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import signal
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import zoo

FAULTS = ("busy", "broken", "truncated", "malformed")


class Service(ThreadingHTTPServer):
    """Answers from `engine`; one request in 1 / `faults` goes wrong, in one of four ways."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, engine: zoo.Engine, groups: dict[str, list[str]], *, port: int, faults: float) -> None:
        super().__init__(("127.0.0.1", port), Handler)
        self.engine, self.groups, self.faults = engine, groups, faults
        self.random, self.lock = random.Random(0), threading.Lock()
        self.requests, self.failures = 0, 0

    def tags(self, jpeg: bytes) -> list[tuple[str, float]]:
        """Every tag with its score, best first."""
        engine = self.engine
        scores = dict(engine.predict(jpeg).top(len(engine.labels)))
        scores |= {group: sum(scores[member] for member in members) for group, members in self.groups.items()}
        return sorted(scores.items(), key=lambda tag: -tag[1])

    def fault(self) -> str:
        """What goes wrong this time, or nothing."""
        with self.lock:
            self.requests += 1
            kind = self.random.choice(FAULTS) if self.random.random() < self.faults else ""
            self.failures += bool(kind)
            return kind


class Handler(BaseHTTPRequestHandler):
    """One request: one image, up to `maxResults` labels of at least half a per cent."""

    protocol_version = "HTTP/1.1"
    server: Service

    def do_POST(self) -> None:
        """Cloud Vision's `images:annotate`."""
        (request,) = json.loads(self.rfile.read(int(self.headers["content-length"])))["requests"]
        fault = self.server.fault()
        if fault == "busy":
            return self._send(429, '{"error": {"code": 429, "message": "Quota exceeded"}}')
        if fault == "broken":
            return self._send(500, "<html>Internal error</html>")
        if fault == "malformed":
            return self._send(200, '{"responses": [{"labelAnnotations": [{"score": "high"}]}]}')
        most = request["features"][0]["maxResults"]
        found = self.server.tags(base64.b64decode(request["image"]["content"]))
        labels = [{"description": tag, "score": round(score, 4)} for tag, score in found[:most] if score >= 0.005]
        return self._send(200, json.dumps({"responses": [{"labelAnnotations": labels}]}), cut=fault == "truncated")

    def _send(self, status: int, text: str, *, cut: bool = False) -> None:
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if cut else data)
        self.close_connection = cut

    def log_message(self, *words: object) -> None:
        """Quiet: what was asked and what failed is counted."""


def main() -> None:
    """Serve until Ctrl-C or `kill`, then say how much was asked."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--groups", type=Path, help="JSON: broader tag -> its members")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--faults", type=float, default=0.0, help="share of the requests that fail")
    options = parser.parse_args()
    groups = json.loads(options.groups.read_text()) if options.groups else {}
    with Service(zoo.load(options.bundle), groups, port=options.port, faults=options.faults) as service:
        print(f"http://127.0.0.1:{service.server_port}/v1/images:annotate", flush=True)
        try:
            service.serve_forever()
        except KeyboardInterrupt:
            print(f"{service.requests} requests, of which {service.failures} were made to fail", flush=True)


if __name__ == "__main__":
    main()
