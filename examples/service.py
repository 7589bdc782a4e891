"""A small web service: POST a picture, get labels or points.

pip install distilzoo fastapi uvicorn python-multipart
ZOO_BUNDLE=name.zoo uvicorn service:app
curl -F picture=@cat.jpg localhost:8000/predict

Nobody can fill its memory: requests of more than ZOO_MAX_BYTES (10 MB) and pictures of more than ZOO_MAX_PIXELS (50
million) are refused (413), and no more than ZOO_AT_ONCE (a picture for each core) are looked at together; who has to
wait longer than a second is told to come back (503).
"""

from __future__ import annotations

import io
import os
import threading
from typing import Annotated, Any

from fastapi import FastAPI, HTTPException, Query, UploadFile
from PIL import Image
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import zoo
from zoo.errors import InputError

MAX_BYTES = int(os.environ.get("ZOO_MAX_BYTES", 10_000_000))
MAX_PIXELS = int(os.environ.get("ZOO_MAX_PIXELS", 50_000_000))
AT_ONCE = int(os.environ.get("ZOO_AT_ONCE", os.cpu_count() or 1))
PATIENCE = 1.0  # seconds that a request waits for its turn


class LimitBody:
    """Refuses a long body: by its Content-Length before it is read, else as soon as it has sent too much."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI's call."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal, received = f"a request may have {MAX_BYTES:,} bytes", 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > MAX_BYTES:
                raise HTTPException(413, refusal)
            return message

        stated = dict(scope["headers"]).get(b"content-length", b"0")
        if not stated.isdigit() or int(stated) > MAX_BYTES:
            await JSONResponse({"detail": refusal}, 413)(scope, receive, send)
            return
        await self.app(scope, counted, send)


app = FastAPI()
app.add_middleware(LimitBody)
engine = zoo.load(os.environ["ZOO_BUNDLE"])  # immutable: FastAPI's threads share it
free = threading.BoundedSemaphore(AT_ONCE)


@app.post("/predict")
def predict(picture: UploadFile, top: Annotated[int, Query(ge=1, le=100)] = 5) -> dict[str, Any]:
    """Not `async`: FastAPI then runs it in a thread, and the engine frees the GIL while it works."""
    encoded = picture.file.read()
    if not free.acquire(timeout=PATIENCE):
        raise HTTPException(503, "busy", headers={"Retry-After": "1"})
    try:
        check_pixels(encoded)
        return engine.predict(encoded).as_dict(top)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
    finally:
        free.release()


def check_pixels(encoded: bytes) -> None:
    """Refuse a small file that would unpack to a large picture; its size is read without unpacking it."""
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            width, height = image.size
    except Image.DecompressionBombError:
        width = height = MAX_PIXELS
    except (OSError, SyntaxError, ValueError):
        return  # no picture: the engine says so
    if width * height > MAX_PIXELS:
        raise HTTPException(413, f"a picture may have {MAX_PIXELS:,} pixels")
