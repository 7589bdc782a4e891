"""A remote teacher that speaks the request and response shape of Google Cloud Vision's label detection.

https://cloud.google.com/vision/docs/reference/rest/v1/images/annotate and .../v1/AnnotateImageResponse
"""

from __future__ import annotations

import base64
import os
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, ValidationError

from zoo.errors import EnvironmentProblem, InputError, ZooError, missing_package
from zoo.learn.label.labeller import NoReply, Reply, Score, Tags, malformed

if TYPE_CHECKING:
    import httpx

    from zoo.learn.label.config import LabelConfig

TRANSIENT = {408, 429, *range(500, 600)}  # HTTP: too slow, too many, or the service's own trouble
TRANSIENT_CODES = {2, 4, 8, 10, 13, 14}  # google.rpc.Code: unknown, deadline, exhausted, aborted, internal, unavailable


class _Label(BaseModel):
    description: str
    score: Score = 0.0  # proto3's JSON leaves out what is zero


class _Status(BaseModel):
    code: int = 0
    message: str = ""


class _Image(BaseModel):
    labels: list[_Label] = Field([], alias="labelAnnotations")  # absent when nothing was recognised
    error: _Status | None = None


class _Body(BaseModel):
    responses: list[_Image] = Field(min_length=1, max_length=1)


class _Refusal(BaseModel):
    error: _Status


class Vision:
    """One HTTP client for all threads. The key is read from the environment for each request and kept nowhere."""

    def __init__(self, config: LabelConfig) -> None:
        try:
            import httpx
        except ImportError:
            raise missing_package("httpx", "label", "a remote teacher") from None
        self._url, self._key_env = config.url, config.key_env
        self._feature = {"type": "LABEL_DETECTION", "maxResults": config.max_results}
        limits = httpx.Limits(max_connections=config.workers, max_keepalive_connections=config.workers)
        self._client = httpx.Client(timeout=config.timeout, limits=limits)

    def ask(self, jpeg: bytes) -> Reply:
        """One request for one image."""
        import httpx

        key = self._key()
        body = {"requests": [{"image": {"content": base64.b64encode(jpeg).decode()}, "features": [self._feature]}]}
        try:
            response = self._client.post(self._url, json=body, headers={"x-goog-api-key": key} if key else {})
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise NoReply(_without(key, f"{type(error).__name__}: {error}")) from None
        text = _without(key, response.text)
        if response.status_code == 200:
            return Reply(text, self.read(text))
        reason = f"HTTP {response.status_code}: {_message(text) or response.reason_phrase}"
        if response.status_code in TRANSIENT:
            raise NoReply(reason, raw=text, after=_seconds(response))
        raise self._refused(response.status_code, reason)

    @staticmethod
    def identity(config: LabelConfig) -> dict[str, str]:
        """The service's address, and how many labels it is asked for."""
        return {"url": config.url, "max_results": str(config.max_results)}

    @staticmethod
    def read(raw: str) -> Tags:
        """Descriptions and scores of the one image's labels."""
        try:
            (image,) = _Body.model_validate_json(raw).responses
        except ValidationError as error:
            raise malformed(error, raw) from None
        if image.error is not None:
            reason = f"error {image.error.code}: {_line(image.error.message)}"
            raise NoReply(reason, raw=raw, again=image.error.code in TRANSIENT_CODES)
        return [(label.description, label.score) for label in image.labels]

    def _key(self) -> str:
        if not self._key_env:
            return ""
        key = os.environ.get(self._key_env, "").strip()
        if not key:
            raise EnvironmentProblem(
                f"the environment variable {self._key_env} is not set: it holds the key for {self._url} "
                "(label.key_env names another variable; '' where no key is needed)"
            )
        if not (key.isascii() and key.isprintable()):  # the HTTP library would name it in its error
            raise EnvironmentProblem(f"the environment variable {self._key_env} holds something that is not a key")
        return key

    def _refused(self, status: int, reason: str) -> ZooError:
        if status in {401, 403}:
            return EnvironmentProblem(f"{self._url} refused the key in {self._key_env or 'no variable'}: {reason}")
        return InputError(f"{self._url} refused the request: {reason}")


def _without(key: str, text: str) -> str:
    """A service may repeat the key in what it says. What is as short as a word is no secret, and may be a tag."""
    return text.replace(key, "***") if len(key) >= 8 else text


def _message(text: str) -> str:
    """What the body of an error says."""
    try:
        return _line(_Refusal.model_validate_json(text).error.message)
    except ValidationError:
        return _line(text)


def _line(text: str) -> str:
    return " ".join(text.split())[:200]


def _seconds(response: httpx.Response) -> float:
    """The Retry-After header, in seconds or as a date; 0 without one."""
    value = response.headers.get("retry-after", "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):  # none, or none that can be read
        return 0.0
