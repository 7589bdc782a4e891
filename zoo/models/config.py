"""A network by name: what a recipe, a checkpoint's header and a command line say of it. No torch here."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field


class Network(BaseModel):
    """A network by name: a family of ours, `torchvision:NAME`, `timm:NAME`, or `run:FOLDER` for one trained before."""

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    model: str
    knobs: dict[str, Any] = Field(
        {}, description="a family's own: width, depth ...; or the library's keyword arguments"
    )
    stem_stride: Literal[1, 2, 4] | None = Field(
        None,
        description="for a torchvision ResNet: a stem for small images, 3x3 and of this stride in all",
    )
    weights: str = Field(
        "",
        description="a local .safetensors or .pth file, 'package' for those of an installed package, or 'hub' for the "
        "library's own",
    )
    train: Any = Field(None, description="how a recipe trained it, as that recipe says it")
