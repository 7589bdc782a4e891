"""A trained network in one file: a plain state dict as safetensors, whose header says what it belongs to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from zoo.data import DataConfig
from zoo.errors import InputError, first_line
from zoo.files import atomic_file
from zoo.models.config import Network
from zoo.models.construct import build
from zoo.models.normalisation import Normalised
from zoo.schemas import first_problem
from zoo.tasks.learning.registry import TASKS
from zoo.tasks.learning.task import LearnableTask
from zoo.tasks.registry import TaskName

FILE, METRICS = "model.safetensors", "metrics.json"  # METRICS lies beside it: scores, times
LAST = "last.ckpt"  # of a training that is not over


class About(BaseModel):
    """The header: how to rebuild the network, what it was trained on, how well it did."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    schema_: Literal["zoo.checkpoint/1"] = Field("zoo.checkpoint/1", alias="schema")
    name: str
    role: Literal["teacher", "control", "student"]
    task: TaskName
    network: Network
    labels: list[str]
    data: DataConfig
    seed: int
    metrics: dict[str, float]
    provenance: dict[str, Any]

    @property
    def problem(self) -> LearnableTask:
        """The task, with the labels and the size it was trained on."""
        return TASKS[self.task](self.labels, self.data.size)


def save(network: nn.Module, about: About, folder: Path) -> Path:
    """Write `folder/model.safetensors`, whole or not at all."""
    path = folder / FILE
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    header = json.dumps(about.model_dump(mode="json", by_alias=True, exclude_none=True), sort_keys=True)
    with atomic_file(path) as temporary:
        save_file(state, temporary, metadata={"zoo": header})
    return path


def find(path: str | Path) -> Path:
    """The checkpoint file that a path means: itself, or the one in the folder of a trained network."""
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    if not path.is_file():
        raise InputError(f"no checkpoint at {path}: give the folder that a training wrote, or its {FILE}")
    return path


def read_about(path: str | Path) -> About:
    """The header alone."""
    path = find(path)
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get("zoo")
        if header is None:
            raise InputError(f"{path} holds weights but not what they belong to: it is not a checkpoint of ours")
        return About.model_validate_json(header)
    except SafetensorError as error:
        raise InputError(f"{path} is damaged: {error}") from None
    except ValidationError as error:
        raise InputError(f"{path}: in its header, {first_problem(error)}") from None


def load(path: str | Path) -> tuple[Normalised, About]:
    """The network in eval mode, taking uint8 [N, H, W, 3], and its header."""
    about = read_about(path)
    bare = build(about.network.model_copy(update={"weights": ""}), classes=about.problem.outputs, size=about.data.size)
    with safe_open(find(path), framework="pt") as file:
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  (it is not a mapping)
    try:
        bare.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(f"{path}: {first_line(error)}") from None
    network = Normalised(bare, about.data.mean, about.data.std)
    return network.to(memory_format=torch.channels_last).eval(), about
