"""The `[data]` table of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.images import Framing


class DataConfig(BaseModel):
    """Which images, at what size, how they are split and how they are augmented."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: Literal["digits", "folder"] = "folder"
    path: Path | None = Field(None, description="for a folder: PATH/CLASS/*.jpg, or PATH/{train,val|test}/CLASS/*.jpg")
    size: int = Field(ge=8, description="side of the square that the network sees, in pixels")
    resize: int | None = Field(
        None, ge=8, description="short side before the centre crop; the size itself if not given"
    )
    test: float = Field(0.2, gt=0, lt=1, description="share of the images that is only tested on, where nothing splits")
    labelled: float = Field(1.0, gt=0, le=1, description="share of the training images whose label may be used")
    limit: int | None = Field(None, ge=2, description="train on this many images only, drawn by class")
    strict: bool = Field(False, description="an unreadable image is an error instead of being skipped and counted")
    pad: int = Field(4, ge=0, description="augmentation: crop at a random offset after padding by this many pixels")
    flip: bool = Field(True, description="augmentation: mirror half of the views")
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="of the channels, scaled to 0..1")
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="of the channels, scaled to 0..1")

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize ({self.resize}) must be at least size ({self.size})")
        if self.pad >= self.size:
            raise ValueError(f"pad ({self.pad}) must be smaller than size ({self.size})")
        return self

    @property
    def framing(self) -> Framing:
        """How a picture becomes what the network sees."""
        return Framing(self.resize or self.size, self.size, self.size)
