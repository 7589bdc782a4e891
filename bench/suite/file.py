"""A suite: a TOML file that says what is measured, `cases x devices x scopes x variants x batches`."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, Field, ValidationError, model_validator

from bench.cases import Case, Limits
from bench.suite.case_list import distinct, list_cases
from bench.suite.choices import PLAIN, Choices
from bench.suite.naming import beside
from zoo.errors import InputError, ZooError
from zoo.schemas import Strict, first_problem
from zoo.tasks.class_order import ClassOrder


def _different(values: tuple[Any, ...]) -> tuple[Any, ...]:
    if len(set(values)) < len(values):
        raise ValueError("the same value stands there twice")
    return values


Words = Annotated[tuple[str, ...], Field(min_length=1), AfterValidator(_different)]
Counts = Annotated[tuple[Annotated[int, Field(gt=0)], ...], Field(min_length=1), AfterValidator(_different)]


class Settings(Strict):
    """What a whole suite and each of its cases may say; a case's word counts. Null: what `zoo bench run` does."""

    backends: Words | None = None
    precisions: Words | None = None
    devices: Words | None = Field(None, description="cpu, cuda, cuda:INDEX or cuda:GPU-UUID")
    batches: Counts | None = None
    threads: int | None = Field(None, ge=1)
    scopes: Words | None = Field(None, description="compute, call, image")
    photos: Path | None = Field(None, description="scope image: the folder of the pictures")
    variants: Words | None = Field(None, description="plain, cuda-graph, cold-l2")
    streams: Counts | None = Field(None, description="saturation: numbers of callers at once")
    layers: bool | None = Field(None, description="the time of every layer, where the backend says it")
    peers: Words | None = Field(None, description="measured beside a bundle, as --peer names them")
    native: bool | None = Field(None, description="libzoo's loop in C beside each backend")
    evaluate: Path | None = Field(None, description="DIR/CLASS/image, or a file of `zoo export --test-set`")
    labels: Path | None = Field(None, description="of a teacher from elsewhere: a JSON list of its outputs' names")
    class_order: ClassOrder | None = Field(None, description="of a teacher from elsewhere, without labels")
    time_limit: float | None = Field(None, gt=0, description="seconds for one batch size of one engine")


Part = TypeVar("Part", bound=Settings)


class Entry(Settings):
    """One bundle or one teacher."""

    name: str | None = Field(None, min_length=1, description="what the table calls it")
    bundle: Path | None = None
    teacher: str | None = Field(None, description="run:DIR, timm:NAME[=FILE], torchvision:NAME[=FILE] or onnx:FILE")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.bundle is None) == (self.teacher is None):
            raise ValueError("a case is either a bundle or a teacher")
        if self.teacher is not None:
            for key in ("backends", "precisions", "peers", "native"):
                if getattr(self, key) is not None:
                    raise ValueError(f"{key} are a bundle's: a teacher runs as its owner runs it")
        return self

    @property
    def title(self) -> str:
        """The case in an error's words."""
        return str(self.bundle or self.teacher)


class Suite(Settings):
    """The whole file."""

    passes: int = Field(1, ge=1, description="measure everything so often, interleaved, each time in fresh processes")
    cases: tuple[Entry, ...] = Field(min_length=1)

    def plan(self, limits: Limits | None = None) -> list[Case]:
        """The cases in the file's order. Whatever is wrong with any of them is an `InputError` that names it, before
        the first is measured. `limits` count instead of every time limit.
        """
        found: list[Case] = []
        for number, entry in enumerate(self.cases, 1):
            bundles, teachers = [entry.bundle] if entry.bundle else [], [entry.teacher] if entry.teacher else []
            try:
                found += list_cases(bundles, teachers, self._choices(entry, limits))
            except ZooError as error:
                raise type(error)(f"case {number} of the suite, {entry.title}: {error}") from None
        return distinct(found)

    def _choices(self, entry: Entry, limits: Limits | None) -> Choices:
        said = {name: getattr(self, name) for name in Settings.model_fields}
        said |= {name: value for name in Settings.model_fields if (value := getattr(entry, name)) is not None}
        scopes = said["scopes"] or ("call",)
        ours = entry.bundle is not None
        return Choices(
            backends=(said["backends"] or ()) if ours else (),
            precisions=(said["precisions"] or ()) if ours else (),
            devices=said["devices"] or (),
            batches=said["batches"] or Choices.batches,
            threads=said["threads"],
            evaluation=said["evaluate"],
            labels=said["labels"],
            class_order=said["class_order"],
            scopes=scopes,
            # The suite's photos are there for those of its cases that look at pictures.
            photos=said["photos"] if "image" in scopes or entry.photos else None,
            variants=said["variants"] or (PLAIN,),
            streams=said["streams"] or (),
            layers=bool(said["layers"]),
            peers=(said["peers"] or ()) if ours else (),
            native=bool(said["native"]) and ours,
            name=entry.name,
            limits=limits or (Limits(seconds=said["time_limit"]) if said["time_limit"] else Limits()),
        )


def read_suite(path: str | Path) -> Suite:
    """A suite from its file; paths in it are relative to the file. `InputError` says what is wrong with it."""
    path = Path(path)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"no such suite: {path}") from None
    except (IsADirectoryError, PermissionError) as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no TOML: {error}") from None
    try:
        suite = Suite.model_validate(raw)
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error, Suite)}") from None
    folder = path.parent
    cases = tuple(_moved(entry, folder) for entry in suite.cases)
    return _moved(suite, folder).model_copy(update={"cases": cases})


def _moved(part: Part, folder: Path) -> Part:
    """The same with its paths as seen from here."""
    changes: dict[str, Any] = {}
    for name in ("photos", "evaluate", "labels", "bundle"):
        if (path := getattr(part, name, None)) is not None:
            changes[name] = folder / path
    if part.peers is not None:
        changes["peers"] = tuple(beside(peer, folder) for peer in part.peers)
    if isinstance(part, Entry) and part.teacher is not None:
        changes["teacher"] = beside(part.teacher, folder)
    return part.model_copy(update=changes)
