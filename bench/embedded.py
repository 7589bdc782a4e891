"""What a row of libzoo carries besides its times: what libzoo adds to the backend it runs on."""

from __future__ import annotations

from pydantic import Field

from zoo.schemas import Strict


class Embedded(Strict):
    """Of one process. The backend's own calls were made through the same plug-in, in turn with libzoo's."""

    overhead_us: float | None = Field(
        description="p50 of zoo_run minus p50 of the backend's own call, round by round; null: scope image"
    )
    overhead_interval_us: tuple[float, float] | None = Field(description="95 %; null with fewer than 6 rounds")
    preprocess_ms: float | None = Field(description="p50 from a file's bytes to pixels; null: scope call")
    backend_open_ms: float = Field(gt=0, description="p50 of the backend's own opening of the same graph")
