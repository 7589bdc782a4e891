"""A small hub on loopback: as much of the Hugging Face hub's HTTP interface as pushing and pulling a bundle takes."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_onlyForThisTest"


class Hub(ThreadingHTTPServer):
    """Repositories by name, each a dictionary of files; `large` are the endings that go through Git LFS."""

    daemon_threads = True

    def __init__(self, large: tuple[str, ...]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.large = large
        self.files: dict[str, dict[str, bytes]] = {}
        self.commits: dict[str, list[str]] = {}
        self.objects: dict[str, bytes] = {}
        self.created: list[dict[str, object]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def sha(self, repository: str) -> str:
        return hashlib.sha1(str((repository, self.commits[repository])).encode()).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    server: Hub
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        if words[:2] == ["api", "models"]:
            repository = "/".join(words[2:4])
            if repository not in self.server.files:
                return self._answer(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
            if words[4:] and words[5] not in {"main", self.server.sha(repository)}:
                return self._answer(404, {"error": "no"}, {"X-Error-Code": "RevisionNotFound"})
            if words[4:5] == ["tree"]:
                return self._answer(200, [self._entry(*item) for item in self.server.files[repository].items()])
            return self._answer(200, {"id": repository, "sha": self.server.sha(repository), "siblings": []})
        repository, path = "/".join(words[:2]), "/".join(words[4:])
        if repository not in self.server.files:
            return self._answer(404, {"error": "no such page"})
        commit = {"X-Repo-Commit": self.server.sha(repository)}
        content = self.server.files[repository].get(path)
        if content is None:
            return self._answer(404, {"error": "no such file"}, {"X-Error-Code": "EntryNotFound", **commit})
        return self._answer(200, content, {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', **commit})

    do_HEAD = do_GET  # noqa: N815

    def do_PUT(self) -> None:
        self.server.objects[self.path.split("/")[-1]] = self._body()
        self._answer(200, b"")

    def do_POST(self) -> None:
        body = self._body()
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid username or password."})
        words = unquote(urlsplit(self.path).path).strip("/").split("/")
        if words == ["api", "repos", "create"]:
            return self._create(json.loads(body))
        if words == ["api", "validate-yaml"]:
            return self._answer(200, {"warnings": [{"message": "empty or missing yaml metadata"}], "errors": []})
        if words[-1] == "batch":
            wanted = json.loads(body)["objects"]
            return self._answer(200, {"transfer": "basic", "objects": [self._room(each) for each in wanted]})
        repository = "/".join(words[2:4])
        if words[4] == "preupload":
            files = [self._mode(file["path"]) for file in json.loads(body)["files"]]
            return self._answer(200, {"files": files})
        return self._commit(repository, [json.loads(line) for line in body.splitlines()])

    def _create(self, wanted: dict[str, object]) -> None:
        repository = f"{wanted['organization']}/{wanted['name']}"
        there = repository in self.server.files
        if not there:
            self.server.created.append(wanted)
            self.server.files[repository], self.server.commits[repository] = {".gitattributes": b"*.onnx lfs\n"}, []
        return self._answer(409 if there else 200, {"url": f"{self.server.address}/{repository}"})

    def _mode(self, path: str) -> dict[str, object]:
        mode = "lfs" if path.endswith(self.server.large) and self.server.large else "regular"
        return {"path": path, "uploadMode": mode, "shouldIgnore": False}

    def _room(self, wanted: dict[str, object]) -> dict[str, object]:
        return {**wanted, "actions": {"upload": {"href": f"{self.server.address}/lfs/{wanted['oid']}"}}}

    def _commit(self, repository: str, lines: list[dict[str, dict[str, str]]]) -> None:
        files = self.server.files[repository]
        for line in lines:
            key, value = str(line["key"]), line["value"]
            if key == "header":
                self.server.commits[repository].append(value["summary"])
            elif key == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif key == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
            elif key == "deletedFile":
                del files[value["path"]]
        sha = self.server.sha(repository)
        url = f"{self.server.address}/{repository}/commit/{sha}"
        self._answer(200, {"commitUrl": url, "commitOid": sha, "success": True})

    def _entry(self, path: str, content: bytes) -> dict[str, object]:
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        return {"type": "file", "path": path, "size": len(content), "oid": blob}

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline(), 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def _answer(self, status: int, body: object, headers: dict[str, str] | None = None) -> None:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextmanager
def running(*, large: tuple[str, ...] = ()) -> Iterator[Hub]:
    """A hub that answers until the block ends."""
    hub = Hub(large)
    thread = threading.Thread(target=hub.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        thread.join()
        hub.server_close()
