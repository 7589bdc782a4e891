"""`campaign.json`: how far a campaign is. Schema `zoo.campaign/1`."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from bench.host import Host
from zoo.errors import EnvironmentProblem
from zoo.files import write_text
from zoo.schemas import Strict, read_json

SCHEMA: Final = "zoo.campaign/1"
FILE = "campaign.json"
# cut: stopped at the end of a slice, to be continued. blocked: what it waits for is not done.
Status = Literal["waiting", "cut", "done", "failed", "skipped", "blocked"]


class Progress(Strict):
    """One step's."""

    status: Status
    command: str
    seconds: float = Field(ge=0, description="that it has run so far, all its slices together")
    slices: int = Field(ge=0, description="how often it was started")
    reason: str | None = Field(None, description="why it was skipped, blocked, cut or failed")


class State(Strict):
    """The whole file."""

    schema_: Literal["zoo.campaign/1"] = Field(SCHEMA, alias="schema")
    campaign: str
    changed: datetime
    version: str = Field(description="of distilzoo")
    host: Host = Field(description="of the last slice")
    steps: dict[str, Progress]

    def write(self, folder: Path) -> None:
        """Write the file into the campaign's folder. `EnvironmentProblem` when that is not possible."""
        path = folder / FILE
        try:
            write_text(path, self.model_dump_json(indent=1, by_alias=True) + "\n")
        except OSError as error:
            raise EnvironmentProblem(f"cannot write {path}: {error.strerror or error}") from error


def read_state(folder: Path) -> dict[str, Progress]:
    """The steps' progress so far; empty when nothing was begun there. `InputError` for a damaged file."""
    path = folder / FILE
    return read_json(path, State, SCHEMA, missing="").steps if path.exists() else {}
