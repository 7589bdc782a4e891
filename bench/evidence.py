"""What a row and a results file carry besides times: how it started, what it costs, how near it is to the limit."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from zoo.schemas import Strict


class Start(Strict):
    """What an app waits for before its first prediction."""

    load_ms: float = Field(gt=0, description="from the file's name to an engine")
    first_call_ms: float = Field(gt=0, description="memory is allocated, weights are packed, kernels are chosen")


class Saturation(Strict):
    """Several callers of one engine at once, each in a thread of its own."""

    streams: int = Field(gt=0, description="callers at once")
    images_per_second: float = Field(gt=0)
    calls: int = Field(gt=0)


class Energy(Strict):
    """Energy of the whole device while it answered, or why it is not known."""

    joules_per_image: float | None = Field(gt=0)
    source: Literal["nvml", "rapl"] | None
    reason: str | None = Field(description="one line; set if and only if there is no number")

    @model_validator(mode="after")
    def _either(self) -> Self:
        if (self.joules_per_image is None) != (self.source is None) or (self.reason is None) == (self.source is None):
            raise ValueError("energy is either a number with its source, or a reason")
        return self


class Gpu(Strict):
    """The state of the GPU while it was measured."""

    name: str
    memory: int | None = Field(ge=0, description="bytes that the process held on it; null: the driver does not say")
    power_state: str | None = Field(description="P0 is the highest")
    sm_mhz: tuple[float, float] | None = Field(description="lowest and highest clock that was seen")
    throttle: list[str] = Field(description="reasons for lower clocks that were seen")
    busy: int | None = Field(
        None, ge=0, le=100, description="percent of the time that others used it before; null: the driver does not say"
    )

    def joined(self, other: Self) -> Self:
        """Both as one: what was seen in two processes that measured the same."""
        clocks = [clock for seen in (self.sm_mhz, other.sm_mhz) if seen is not None for clock in seen]
        return self.model_copy(
            update={
                "memory": max(self.memory or 0, other.memory or 0) or None,
                "sm_mhz": (min(clocks), max(clocks)) if clocks else None,
                "throttle": sorted({*self.throttle, *other.throttle}),
                "busy": max(self.busy or 0, other.busy or 0) if (self.busy, other.busy) != (None, None) else None,
            }
        )


class Limit(Strict):
    """The least time that one call can take on this machine: work / rate or bytes / bandwidth, whichever is more.

    `docs/roofline.md` says why nothing can be faster.
    """

    flops: int = Field(ge=0, description="operations of one call, a MAC is two; products with padding left out")
    bytes: int = Field(gt=0, description="weights once, as they are executed; input and output of the network once")
    bound: Literal["compute", "memory", "launch"] = Field(description="what the floor is made of")
    floor_ms: float = Field(gt=0)


class Layer(Strict):
    """Time of one layer in one call, as the backend's profiler gives it."""

    name: str
    kind: str
    ms: float = Field(ge=0)


class Rate(Strict):
    """The highest rate of arithmetic that was reached here."""

    device: str
    precision: str = Field(description="as rows name it; tf32: what fp32 may be executed in on a GPU")
    threads: int = Field(gt=0)
    flops_per_second: float = Field(gt=0, description="floating-point or integer operations; a MAC is two")
    by: str | None = Field(None, description="the library and what it computed")


class Bandwidth(Strict):
    """The highest rate of reading and writing memory that was reached here, at one size of what is read."""

    device: str
    threads: int = Field(gt=0)
    bytes_per_second: float = Field(gt=0)
    working_set: int | None = Field(None, gt=0, description="bytes that are used over and over; null: main memory")
    by: str | None = Field(None, description="the library and what it did")


class Ceilings(Strict):
    """What this machine can do at all, measured here."""

    rates: list[Rate]
    bandwidths: list[Bandwidth]
    launch_us: float | None = Field(None, gt=0, description="of one kernel on the GPU; null: not measured")


class Reopening(Strict):
    """`start` and `backend_open_ms` of new processes once more in one that had loaded all of it before."""

    load_ms: float = Field(gt=0)
    first_call_ms: float = Field(gt=0)
    backend_open_ms: float = Field(gt=0)


class Embedded(Strict):
    """Of one process. The backend's own calls were made through the same plug-in, in turn with libzoo's."""

    overhead_us: float | None = Field(
        description="p50 of zoo_run minus p50 of the backend's own call, round by round; null: scope image"
    )
    overhead_interval_us: tuple[float, float] | None = Field(description="95 %; null with fewer than 6 rounds")
    preprocess_ms: float | None = Field(description="p50 from a file's bytes to pixels; null: scope call")
    backend_open_ms: float = Field(gt=0, description="p50 of the backend's own opening of the same graph")
    again: Reopening | None = Field(None, description="null: not measured, as in results of before")
