"""`examples/service.py`: a prediction for a picture, and limits on bytes, pixels and requests at a time."""

from __future__ import annotations

import importlib
import io
import json
import sys

import pytest
from fastapi.testclient import TestClient
from PIL import Image

import zoo
from tests.support.places import ROOT


@pytest.fixture
def service(bundle_path, monkeypatch):
    monkeypatch.setenv("ZOO_BUNDLE", str(bundle_path))
    monkeypatch.setenv("ZOO_MAX_BYTES", "50000")
    monkeypatch.setenv("ZOO_MAX_PIXELS", "10000")
    monkeypatch.setenv("ZOO_AT_ONCE", "1")
    monkeypatch.syspath_prepend(ROOT / "examples")
    monkeypatch.delitem(sys.modules, "service", raising=False)
    return importlib.import_module("service")


@pytest.fixture
def client(service) -> TestClient:
    return TestClient(service.app)


def post(client, encoded: bytes, **params):
    return client.post("/predict", params=params, files={"picture": encoded})


def test_it_predicts_what_the_engine_does(client, bundle_path, pictures) -> None:
    encoded = (pictures / "circle" / "000.png").read_bytes()
    found = post(client, encoded, top=2)
    assert found.json() == json.loads(json.dumps(zoo.load(bundle_path).predict(encoded).as_dict(2)))
    assert post(client, encoded, top=0).status_code == 422


def test_what_is_no_picture_is_said(client) -> None:
    refused = post(client, b"no picture")
    assert refused.status_code == 422
    assert "cannot read" in refused.json()["detail"]


def test_a_long_body_is_refused_stated_or_not(client) -> None:
    refused = post(client, bytes(60_000))
    assert (refused.status_code, refused.json()["detail"]) == (413, "a request may have 50,000 bytes")
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    head = b'--x\r\nContent-Disposition: form-data; name="picture"; filename="p"\r\n\r\n'
    chunked = client.post("/predict", content=iter([head, *[bytes(1000)] * 60, b"\r\n--x--\r\n"]), headers=boundary)
    assert chunked.status_code == 413


def test_a_small_file_of_many_pixels_is_refused(client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (101, 100)).save(file, "PNG")
    assert len(file.getvalue()) < 50_000
    refused = post(client, file.getvalue())
    assert (refused.status_code, refused.json()["detail"]) == (413, "a picture may have 10,000 pixels")


def test_more_requests_than_may_run_are_told_to_come_back(service, client, pictures, monkeypatch) -> None:
    monkeypatch.setattr(service, "PATIENCE", 0.0)
    encoded = (pictures / "circle" / "000.png").read_bytes()
    with service.free:
        busy = post(client, encoded)
    assert (busy.status_code, busy.headers["retry-after"]) == (503, "1")
    assert post(client, encoded).status_code == 200
