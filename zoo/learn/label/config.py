"""The `[label]` table of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from zoo.tasks.registry import ScoringTaskName

VISION = "https://vision.googleapis.com/v1/images:annotate"


class LabelConfig(BaseModel):
    """Who is asked about which images, how fast, and how often again."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    images: Path | None = Field(None, description="the folder whose images are asked about, subfolders included")
    teacher: Literal["vision", "command", "onnx"] = "vision"

    url: str = Field(VISION, description="vision: the address of a service that answers like Google Cloud Vision")
    key_env: str = Field(
        "GOOGLE_API_KEY", description="vision: the environment variable that holds the key; '' where none is needed"
    )
    command: tuple[str, ...] = Field(
        (), description="command: its words; it gets a JPEG on stdin, or as the file that '{image}' stands for"
    )
    onnx: Path | None = Field(None, description="onnx: a bundle NAME.zoo, or a plain graph NAME.onnx")
    device: Literal["cpu", "cuda"] = Field("cpu", description="onnx: where the graph runs")
    labels: Path | None = Field(None, description="plain .onnx: the names of its outputs, a JSON list or one per line")
    task: ScoringTaskName = Field(
        "tagging",
        description="plain .onnx that ends in logits: scores by softmax (classification) or sigmoid (tagging)",
    )
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="plain .onnx with float input: of 0..1")
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="plain .onnx with float input: of 0..1")

    max_results: int = Field(20, ge=1, description="tags per image, best first")
    side: int = Field(640, ge=16, description="images are reduced to this longest side; Vision asks for 640 x 480")
    quality: int = Field(90, ge=1, le=95, description="of the JPEG that is sent")
    rate: float | None = Field(None, gt=0, description="requests per second, of all workers together; no limit if none")
    workers: int = Field(8, ge=1, description="requests under way at the same time")
    timeout: float = Field(30.0, gt=0, description="seconds without a sign of life before a request counts as lost")
    retries: int = Field(5, ge=0, description="how often an image is asked about again before it counts as failed")
    backoff: float = Field(1.0, ge=0, description="seconds before the first retry; doubled each time, with jitter")
    max_failures: float = Field(0.01, ge=0, le=1, description="share of the images that may stay without a reply")
    tags: int = Field(5000, ge=1, description="size of the tag index: the most frequent tags")
    ray: str = Field("", description="label with Ray Data: 'local', 'auto' or a cluster's address; '' for threads here")

    @field_validator("images", "onnx", "labels")
    @classmethod
    def _at_home(cls, path: Path | None) -> Path | None:
        return path and path.expanduser()

    @field_validator("url")
    @classmethod
    def _without_secrets(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("an address that starts with http:// or https:// is needed")
        if parts.password or "key" in dict(parse_qsl(parts.query)):
            raise ValueError("the key does not belong into the address: name its environment variable in key_env")
        return url

    @model_validator(mode="after")
    def _complete(self) -> LabelConfig:
        if self.teacher == "command" and not self.command:
            raise ValueError("teacher 'command' needs command = [\"PROGRAM\", ...]")
        if self.teacher == "onnx" and self.onnx is None:
            raise ValueError("teacher 'onnx' needs onnx = \"NAME.zoo\" or a plain .onnx file")
        return self
