"""Sessions of ONNX Runtime: the library, their common settings, and the check that a provider is really used."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zoo.errors import EnvironmentProblem, first_line, missing_package

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]


def as_function(session: Any) -> Run:
    """A session as a function: uint8 [N, H, W, 3] -> float32 [N, outputs]."""
    return partial(_run, session, session.get_inputs()[0].name, [session.get_outputs()[0].name])


def _run(session: Any, source: str, targets: list[str], images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    logits: npt.NDArray[np.float32] = session.run(targets, {source: images})[0]
    return logits


def library() -> Any:
    """The module `onnxruntime`."""
    # Its wheel for Linux keeps usage events under ~/.cache and sends them. A library inside other people's programs
    # does neither unasked: the variable has to be there before the import, and who has set it decides.
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    try:
        import onnxruntime
    except ImportError:
        raise missing_package("onnxruntime", "", "the onnxruntime backend") from None
    return onnxruntime


def session_options(threads: int) -> Any:
    """What all sessions have in common."""
    options = library().SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3  # errors only: everything that matters is read back
    return options


def open_session(graph: Path, options: Any, provider: str, settings: dict[str, str]) -> Any:
    """A session on this provider alone; `EnvironmentProblem` when it would be another one."""
    where = "cuda" if provider == CUDA else "cpu"
    try:
        session = library().InferenceSession(str(graph), options, providers=[(provider, settings)])
    except Exception as error:  # the library raises a dozen types of its own, all meaning "not this graph here"
        raise EnvironmentProblem(f"onnxruntime cannot run {graph.name} on {where}: {first_line(error)}") from error
    used = session.get_providers()[0]
    if used != provider:
        raise EnvironmentProblem(f"onnxruntime was asked for {provider} and would run on {used}")
    return session
