"""The `[data]` table of a recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from zoo.preprocess import Preprocessing


class DataConfig(BaseModel):
    """Which images, at what size, how they are split and how they are augmented."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    source: str = Field("folder", description="where the images come from: a name that `zoo.data.sources` knows")
    path: Path | None = Field(
        None,
        description="folder: PATH/CLASS/*.jpg or PATH/{train,test|val}/CLASS/*.jpg; keypoints: a CSV file, or a folder "
        "with training.csv and test.csv; tags: the folder of the images",
    )
    points: tuple[str, ...] = Field((), description="keypoints: these points only; all that the file has if empty")
    pairs: Path | None = Field(None, description="tags: the Parquet file that `zoo label` wrote")
    tags: int = Field(5000, ge=1, description="tags: so many of the most frequent ones")
    size: int = Field(ge=8, description="side of the square that the network sees, in pixels")
    resize: int | None = Field(
        None, ge=8, description="short side before the centre crop; the size itself if not given"
    )
    test: float = Field(0.2, gt=0, lt=1, description="share of the images that is only tested on, where nothing splits")
    validation: float = Field(0.0, ge=0, lt=1, description="share of the training images held out for early stopping")
    labelled: float = Field(1.0, gt=0, le=1, description="share of the training images whose label may be used")
    limit: int | None = Field(None, ge=2, description="train on this many images only, drawn by class")
    strict: bool = Field(False, description="an unreadable image is an error instead of being skipped and counted")
    augment: Literal["shift", "crop"] = Field(
        "shift", description="views: shifted by up to `pad` pixels, for small images; or random crops, for large ones"
    )
    flip: bool = Field(True, description="mirror half of the views")
    pad: int = Field(4, ge=0, description="shift: crop at a random offset after padding by this many pixels")
    views: int = Field(50, ge=1, description="crop: how many views an image has")
    scale: tuple[float, float] = Field((0.08, 1.0), description="crop: the least and most of the area that is seen")
    ratio: tuple[float, float] = Field((0.75, 1.333), description="crop: the least and most of width over height")
    jitter: float = Field(0.0, ge=0, description="crop: by how much brightness, contrast and saturation may change")
    stored: int | None = Field(
        None, ge=8, description="crop: side at which training images are kept; resize, or else size, if not given"
    )
    mean: tuple[float, float, float] = Field((0.485, 0.456, 0.406), description="of the channels, scaled to 0..1")
    std: tuple[float, float, float] = Field((0.229, 0.224, 0.225), description="of the channels, scaled to 0..1")

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        if self.resize is not None and self.resize < self.size:
            raise ValueError(f"resize ({self.resize}) must be at least size ({self.size})")
        if self.pad >= self.size:
            raise ValueError(f"pad ({self.pad}) must be smaller than size ({self.size})")
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError("scale is a pair of shares of the area, the smaller first: [0.08, 1.0]")
        if not 0 < self.ratio[0] <= 1 <= self.ratio[1]:
            raise ValueError("ratio is a pair around 1, the smaller first: [0.75, 1.333]")
        if self.stored is not None and (self.augment != "crop" or self.stored < self.size):
            raise ValueError(f"stored is for augment = 'crop', and at least size ({self.size})")
        return self

    @property
    def preprocessing(self) -> Preprocessing:
        """How a picture becomes what the network sees."""
        return Preprocessing(self.resize or self.size, self.size, self.size)

    @property
    def stored_preprocessing(self) -> Preprocessing:
        """How a training picture is kept: as the network sees it, or with more around it, to be cropped from."""
        if self.augment == "shift":
            return self.preprocessing
        return Preprocessing.square(self.stored or self.resize or self.size)
