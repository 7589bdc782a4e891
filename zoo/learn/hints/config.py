"""One hint in a recipe. No torch here, because a recipe is read without it."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Hint(BaseModel):
    """A layer of the student that learns from a layer of the teacher."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    student: str = Field(description="the layer's path inside the student, e.g. features.7")
    teacher: str = Field(description="the layer's path inside the teacher, e.g. layer3")
    loss: Literal["fitnet", "attention", "relational", "pooled"]
    weight: float = Field(
        gt=0, allow_inf_nan=False, description="usual: fitnet 100, attention 1000, relational 1, pooled 1"
    )

    @property
    def name(self) -> str:
        """The key of its loss among the parts of a training step."""
        return f"hint.{self.loss}:{self.student}"
