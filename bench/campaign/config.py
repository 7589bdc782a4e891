"""A campaign: the TOML file that lists its steps, each of which is one `zoo` command line.

    about = "what it is for"

    [lists]
    networks = ["resnet18", "vgg16"]

    [[steps]]
    name = "train-{network}"                    # {network} comes from `each`
    run = "train engines --only {network} --set data.path={data}/flowers --out {out}/{network}"
    resumed = "--resume"                        # added when the step was begun before and cut off
    makes = ["{out}/{network}"]
    seconds = 600                               # an estimate, until the step was measured
    needs = ["cuda", "{data}/flowers"]
    alone = false                               # with --jobs, others like it may run beside it
    each.network = "networks"

`{out}`, `{data}` and `{results}` are folders that the command line gives, `{file}` is the file itself. A path whose
last part has a * stands for the files of that name, as in a shell; there is no shell.
"""

from __future__ import annotations

import itertools
import re
import shlex
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from zoo.errors import InputError, nearest
from zoo.schemas import Strict, first_problem

SHIPPED = Path(__file__).parent
PLACE = re.compile(r"\{([a-z_]+)(?:\.([a-z_]+))?\}")
Value = str | int | dict[str, str]


class Entry(Strict):
    """One `[[steps]]` of the file, which may stand for several steps."""

    name: str = Field(min_length=1)
    run: str = Field(min_length=1, description="a command line without the leading `zoo`")
    resumed: str | None = Field(None, description="options that continue it; null: it starts over and is never cut")
    makes: tuple[str, ...] = Field(min_length=1, description="files or folders that exist when it is done")
    seconds: float = Field(gt=0, description="an estimate")
    needs: tuple[str, ...] = Field((), description="cuda, a Python package, or a path (with a slash)")
    after: tuple[str, ...] = Field((), description="names of steps that must be done; of a*, at least one")
    accepts: tuple[int, ...] = Field((0,), description="exit codes that count as done")
    alone: bool = Field(True, description="nothing else runs meanwhile: it times something, or fills the machine")
    each: dict[str, tuple[Value, ...] | str] = Field(
        {}, description="the step for every combination of these values; a word: the list of that name"
    )


class Campaign(Strict):
    """The whole file."""

    about: str
    lists: dict[str, tuple[Value, ...]] = Field({}, description="values that several steps share")
    steps: tuple[Entry, ...] = Field(min_length=1)
    tool: dict[str, Any] = Field({}, description="settings of other commands, which find them in {file}")


@dataclass(frozen=True)
class Step:
    """One command line, ready to run. `command` and `resumed` are words; `makes` and `needs` have no places left."""

    name: str
    command: tuple[str, ...]
    resumed: tuple[str, ...] | None
    makes: tuple[Path, ...]
    seconds: float
    needs: tuple[str, ...]
    after: tuple[str, ...]
    accepts: tuple[int, ...]
    alone: bool

    @property
    def text(self) -> str:
        """The command line, to be read or copied."""
        return shlex.join(("zoo", *self.command))


def shipped() -> dict[str, Path]:
    """The campaigns that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def path_of(name_or_path: str) -> Path:
    """The file of a shipped campaign by name, or of any by path. `InputError` when there is none."""
    path = shipped().get(name_or_path, Path(name_or_path))
    if not path.is_file():
        known = ", ".join(shipped())
        raise InputError(f"no campaign '{name_or_path}'; shipped: {known}{nearest(name_or_path, shipped())}")
    return path


def load(path: Path) -> Campaign:
    """Read the file. `InputError` says what is wrong with it."""
    try:
        return Campaign.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: {first_problem(error)}") from None


def steps(campaign: Campaign, places: Mapping[str, Path]) -> list[Step]:
    """Every step in the order of the file. `places`: what {out}, {data}, {results} and {file} stand for.

    `InputError` for a place that nothing fills, two steps of one name, and a step that waits for none before it.
    """
    known = {name: str(path) for name, path in places.items()}
    found: list[Step] = []
    for entry in campaign.steps:
        values = [_listed(campaign, entry, of) if isinstance(of, str) else of for of in entry.each.values()]
        for chosen in itertools.product(*values):
            step = _filled(entry, {**known, **dict(zip(entry.each, chosen, strict=True))})
            before = [other.name for other in found]
            if step.name in before:
                raise InputError(f"two steps are called '{step.name}'")
            for pattern in step.after:
                if not any(fnmatchcase(name, pattern) for name in before):
                    raise InputError(f"step {step.name} waits for '{pattern}', and no step before it is called so")
            found.append(step)
    return found


def _listed(campaign: Campaign, entry: Entry, name: str) -> tuple[Value, ...]:
    if name not in campaign.lists:
        raise InputError(f"step {entry.name}: no list is called '{name}'{nearest(name, campaign.lists)}")
    return campaign.lists[name]


def _filled(entry: Entry, values: Mapping[str, Any]) -> Step:
    def fill(text: str) -> str:
        def value(match: re.Match[str]) -> str:
            found = values.get(match[1])
            found = found.get(match[2]) if match[2] and isinstance(found, dict) else found
            if found is None or isinstance(found, dict):
                known = ", ".join(f"{{{name}}}" for name in values)
                raise InputError(f"step {entry.name}: nothing fills {match[0]}; there are: {known}")
            return str(found)

        return PLACE.sub(value, text)

    def words(text: str) -> tuple[str, ...]:
        return tuple(fill(word) for word in shlex.split(text))  # split first: a value is one word, spaces and all

    return Step(
        name=fill(entry.name),
        command=words(entry.run),
        resumed=None if entry.resumed is None else words(entry.resumed),
        makes=tuple(Path(fill(path)) for path in entry.makes),
        seconds=entry.seconds,
        needs=tuple(fill(need) for need in entry.needs),
        after=tuple(fill(name) for name in entry.after),
        accepts=entry.accepts,
        alone=entry.alone,
    )
