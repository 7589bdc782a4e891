"""A backend on a GPU that is made up: answers are the mean colours, and the device says what it took."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from zoo.engines.backend import Backend

NAME = "fakegpu"


class SilentGpu(Backend):
    """It does not say what the GPU alone takes."""

    name, library = NAME, "numpy"
    devices = ("cuda",)
    replays = "when asked"
    threads = 1
    made: list[bool] = []  # noqa: RUF012  with a CUDA graph or not

    def __init__(self, graph: Path, *, precision: str, device: str, threads: int | None, cuda_graph: bool = False):
        assert device == "cuda"
        self.device, self.cuda_graph = device, cuda_graph
        SilentGpu.made.append(cuda_graph)

    def run(self, images):
        return images.mean(axis=(1, 2)).astype(np.float32)

    def versions(self):
        return {NAME: "1"}


class FakeGpu(SilentGpu):
    def compute_seconds(self, images, times, before=None):
        for _ in range(times):
            if before is not None:
                before()
        return [0.0005 * len(images)] * times
