"""Recipes: a TOML file says what is trained on what, by which teacher, and how. Unknown keys are refused."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from zoo import data
from zoo.data import DataConfig
from zoo.errors import InputError, nearest
from zoo.learn.hints.config import Hint
from zoo.learn.label.config import LabelConfig
from zoo.learn.recipe.overrides import override
from zoo.models import config as models
from zoo.schemas import first_problem
from zoo.tasks.registry import TaskName

Interpolation = Literal["bilinear", "bicubic", "nearest"]
Channels = tuple[float, float, float]
SHIPPED = Path(__file__).parents[2] / "recipes"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class Training(_Strict):
    """How a network is trained. An epoch is as many steps as all training images fill, labelled or not, so that a
    control that sees few labels still takes as many steps as its distilled twin.
    """

    epochs: int = Field(gt=0)
    batch: int = Field(64, gt=0)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    decay_all: bool = Field(False, description="weight decay on norms and biases too, as the CIFAR protocols have it")
    schedule: Literal["cosine", "step", "linear", "constant"] = "cosine"
    warmup: float = Field(0.0, ge=0, description="epochs of linear warm-up")
    milestones: tuple[int, ...] = Field((), description="step schedule: epochs after which the rate is multiplied")
    gamma: float = Field(0.1, gt=0, description="step schedule: by how much")
    final_lr: float = Field(0.0, ge=0, description="cosine and linear schedule: the rate they end at")
    smoothing: float = Field(0.0, ge=0, lt=1, description="label smoothing")
    mixup: float = Field(0.0, ge=0, description="a of Beta(a, a); 0: none. The teacher sees the same mixed images")
    cutmix: float = Field(0.0, ge=0, description="the same for patches; with both, each batch gets one of the two")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the averaged weights that are tested and kept; 0: none")
    freeze: str = Field("", description="this layer and all before it never learn")
    head_epochs: int = Field(0, ge=0, description="so many epochs teach the head alone, first")
    body_lr: float = Field(1.0, gt=0, description="the rate of everything but the head, as a multiple of lr")
    cache_features: bool = Field(False, description="compute each view's features once; for a head that learns alone")
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better validation loss; 0: never")
    loggers: tuple[str, ...] = Field(
        ("csv", "tensorboard"), description="where the curves go: csv, tensorboard, or one that a package adds"
    )
    precision: Literal["auto", "fp32", "bf16", "fp16"] = Field("auto", description="auto: bf16 on CUDA, fp32 elsewhere")
    compile: Literal["off", "default", "reduce-overhead", "max-autotune", "graph"] = Field(
        "off",
        description="torch.compile's mode, for the network that learns and for a teacher that is asked online; graph: "
        "the whole step, compiled and captured as one CUDA graph",
    )


class Network(models.Network):
    """A network by name, and how it is trained."""

    train: Training | None = Field(None, description="how this one is trained; a student without it follows [train]")


class Teacher(Network):
    """The network that is learned from. With a `train` it is trained first; without, its weights are taken as is."""

    size: int | None = Field(None, ge=8, description="the side it sees; its own if not given")
    mean: Channels | None = Field(None, description="of the channels it takes, scaled to 0..1; its own if not given")
    std: Channels | None = Field(None, description="the same")
    interpolation: Interpolation | None = Field(None, description="how views get its size; its own if not given")
    crop: float | None = Field(None, gt=0, le=1, description="share of a view's side it sees; its own if not given")
    outputs: Literal["natural", "lexical"] | tuple[int | str, ...] | None = Field(
        None,
        description="which of its outputs are the data's labels, in their order: numbers from 0, or names; or how its "
        "library numbered the folders: natural (2 before 10, timm), lexical (10 before 2, torchvision)",
    )


class Student(Network):
    """A network that learns; `name` is also the name of its folder."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    labels: tuple[str, ...] = Field((), description="a specialist: these tags or points only; all if empty")


class Distillation(_Strict):
    """`(1 - l) * hard + l * soft`, where soft already carries T^2; or `weights`, for losses published with others."""

    loss: str = Field("", description="a soft loss that fits the task; the task's usual one if not given")
    lambda_: float | None = Field(None, ge=0, le=1, alias="lambda")
    weights: tuple[float, float] | None = Field(None, description="of hard and soft; without lambda the loss's own")
    temperature: float | None = Field(None, gt=0, description="the loss's usual one if not given")
    parameters: dict[str, float] = Field({}, description="the loss's others, alpha and beta of dkd for example")
    standardise: bool = Field(False, description="logits to mean 0 and deviation 1 before the loss")
    warmup: float = Field(0.0, ge=0, description="epochs over which the soft loss gains its weight")
    hints: tuple[Hint, ...] = Field((), description="pairs of layers that are to resemble each other")
    answers: Literal["cached", "online", "recorded"] = Field(
        "cached", description="one for each image and view, asked once; every time; or once for the image as it is"
    )
    store: Path | None = Field(None, description="folder of the stored soft labels; one beside the runs if not given")
    prefill: bool = Field(False, description="compute all soft labels before the first student starts")
    top: int = Field(0, ge=0, description="keep so many of the largest logits only, for many classes; 0: all")

    @model_validator(mode="after")
    def _one_weighting(self) -> Self:
        if self.lambda_ is not None and self.weights is not None:
            raise ValueError("lambda and weights say the same: give one of them")
        return self


class Recipe(_Strict):
    """The whole file."""

    name: str = Field(pattern=r"^[A-Za-z0-9_.-]+$")
    task: TaskName = "classification"
    seed: int = Field(0, ge=0)
    processes: int = Field(1, ge=1, description="processes (one for each GPU) that share every batch")
    data: DataConfig
    train: Training
    teacher: Teacher | None = Field(None, description="left out, the students learn from labels alone")
    distill: Distillation = Distillation()
    students: tuple[Student, ...] = Field(min_length=1)
    label: LabelConfig | None = Field(None, description="a black box, and the images `zoo label` asks it about")

    @field_validator("students")
    @classmethod
    def _distinct(cls, students: tuple[Student, ...]) -> tuple[Student, ...]:
        names = [student.name for student in students]
        if len(set(names)) < len(names) or "teacher" in names or any(name.endswith("-control") for name in names):
            raise ValueError("names must differ, and be neither 'teacher' nor end in '-control'")
        return students

    def named(self, names: Iterable[str]) -> tuple[Student, ...]:
        """The students of these names in the recipe's order; all of them if there is no name. `InputError` for one
        that is not there.
        """
        wanted, known = set(names), [student.name for student in self.students]
        for name in names:
            if name not in known:
                hint = nearest(name, known)
                raise InputError(f"{self.name} has no student '{name}'; it has: {', '.join(known)}{hint}")
        return tuple(student for student in self.students if not wanted or student.name in wanted)


def shipped() -> dict[str, Path]:
    """The recipes that come with the package, by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.toml"))}


def load_recipe(name_or_path: str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a shipped recipe by name or any by path; `overrides` are `a.b=value`, each value read as its key's
    type says.
    """
    path = shipped().get(name_or_path, Path(name_or_path))
    if not path.is_file():
        known = ", ".join(shipped())
        raise InputError(f"no recipe '{name_or_path}'; shipped: {known}{nearest(name_or_path, shipped())}")
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: {error}") from None
    for setting in overrides:
        override(raw, setting, Recipe)
    return validate(raw, str(path))


def validate(raw: dict[str, Any], origin: str) -> Recipe:
    """The recipe that `raw` describes; `InputError` names the first wrong key and the nearest known one."""
    try:
        recipe = Recipe.model_validate(raw)
        data.check(recipe.data)
    except ValidationError as error:
        raise InputError(f"{origin}: {first_problem(error, Recipe)}") from None
    except InputError as error:
        raise InputError(f"{origin}: {error}") from None
    return recipe


def to_toml(recipe: Recipe) -> str:
    """The recipe with every default written out, as TOML that `load_recipe` reads back to the same."""
    import tomli_w

    return tomli_w.dumps(recipe.model_dump(mode="json", by_alias=True, exclude_none=True))
