"""What every teacher has in common: a JPEG in, tags with scores out, and the raw reply to keep."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

from pydantic import Field, TypeAdapter, ValidationError

if TYPE_CHECKING:
    from zoo.learn.label.config import LabelConfig

TEACHERS = {
    "vision": "zoo.learn.label.vision:Vision",
    "command": "zoo.learn.label.command:Command",
    "onnx": "zoo.learn.label.onnx:Onnx",
}

Tags = list[tuple[str, float]]
Score = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


@dataclass(frozen=True)
class Reply:
    """The raw text of a reply, and the (tag, score) pairs that it holds, scores 0 to 1."""

    raw: str
    tags: Tags


class NoReply(Exception):  # noqa: N818  nothing is wrong with the caller
    """The teacher gave none this time. `raw`: what came instead; `again`: whether asking again may help; `after`: how
    many seconds it wants to be left alone.
    """

    def __init__(self, reason: str, *, raw: str = "", again: bool = True, after: float = 0.0) -> None:
        super().__init__(reason)
        self.raw, self.again, self.after = raw, again, after


class Labeller(Protocol):
    """A black box that tags images. Used by several threads at once."""

    def __init__(self, config: LabelConfig) -> None: ...

    def ask(self, jpeg: bytes) -> Reply:
        """Its reply to one JPEG. Raises `NoReply` about this image, and `ZooError` when no image can be answered."""
        ...

    @staticmethod
    def identity(config: LabelConfig) -> dict[str, str]:
        """What makes it another teacher, by the recipe's names."""
        ...

    @staticmethod
    def read(raw: str) -> Tags:
        """The tags of a raw reply. `NoReply` when it is not what this kind of teacher says."""
        ...


def labeller_class(teacher: str) -> type[Labeller]:
    """The class of a kind of teacher; what it needs is imported here or when it is constructed."""
    module, _, attribute = TEACHERS[teacher].partition(":")
    found: type[Labeller] = getattr(importlib.import_module(module), attribute)
    return found


def identity(config: LabelConfig) -> dict[str, str]:
    """Everything that the replies depend on, by the recipe's names: replies of different identities never mix."""
    asked = {key: str(getattr(config, key)) for key in ("teacher", "side", "quality")}
    return asked | labeller_class(config.teacher).identity(config)


_PLAIN: TypeAdapter[dict[str, float]] = TypeAdapter(dict[str, Score])


def read_plain(raw: str) -> Tags:
    """The tags of JSON like `{"cat": 0.9, "pet": 0.7}`: the reply of teachers that have no format of their own."""
    try:
        return list(_PLAIN.validate_json(raw).items())
    except ValidationError as error:
        raise malformed(error, raw) from None


def malformed(error: ValidationError, raw: str) -> NoReply:
    """What to raise about a reply of another shape than it should have."""
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return NoReply(f"malformed reply: {where + ': ' if where else ''}{first['msg']}", raw=raw)
