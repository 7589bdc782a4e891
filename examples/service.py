"""A minimal web service: POST a picture, get labels or points.

pip install distilzoo fastapi uvicorn python-multipart
ZOO_BUNDLE=name.zoo uvicorn service:app
curl -F picture=@cat.jpg localhost:8000/predict
"""

from __future__ import annotations

import os
from typing import Any

from fastapi import FastAPI, HTTPException, UploadFile

import zoo
from zoo.errors import InputError

app = FastAPI()
engine = zoo.load(os.environ["ZOO_BUNDLE"])  # immutable: FastAPI's threads share it


@app.post("/predict")
def predict(picture: UploadFile, top: int = 5) -> dict[str, Any]:
    """Not `async`: FastAPI then runs it in a thread, and the engine frees the GIL while it works."""
    try:
        return engine.predict(picture.file.read()).as_dict(top)
    except InputError as error:
        raise HTTPException(422, str(error)) from None
