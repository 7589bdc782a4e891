"""The time of every layer, as a backend's own profiler gives it. A backend MAY have

    def layer_times(self, images, times: int) -> list[LayerTime]

which runs uint8 [N, H, W, 3] `times` times in a copy of itself that profiles. Profiling costs time, so that it never
happens in the engine that others call, and its sum is more than a call takes.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

KERNEL = "_kernel_time"  # how ONNX Runtime's profile marks what a node took, beside what surrounds it


class LayerTime(NamedTuple):
    """One layer, in the order in which layers run; `seconds` for one call."""

    name: str
    kind: str
    seconds: float


def profile_onnxruntime(
    session: Any, graph: Path, images: Any, times: int, *, operators: Path | None = None
) -> list[LayerTime]:
    """The nodes of `graph`, in a session that is set as `session` is and profiles. `operators`: the library of those
    that are not ONNX Runtime's.
    """
    import onnxruntime

    with tempfile.TemporaryDirectory(prefix="zoo-profile-") as folder:
        options = session.get_session_options()
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(folder, "profile"))
        if operators is not None:  # the one setting that a session does not give back
            options.register_custom_ops_library(str(operators))
        providers = list(session.get_provider_options().items())
        profiling = onnxruntime.InferenceSession(str(graph), options, providers=providers)
        feed = {profiling.get_inputs()[0].name: images}
        for _ in range(1 + times):
            profiling.run([profiling.get_outputs()[0].name], feed)
        return read_onnxruntime(Path(profiling.end_profiling()), warm=1)


def read_onnxruntime(profile: Path, warm: int) -> list[LayerTime]:
    """ONNX Runtime's profile (JSON, Chrome's trace format) of several runs, of which the first `warm` do not count."""
    times: dict[str, list[float]] = {}
    kinds: dict[str, str] = {}
    for event in json.loads(profile.read_text(encoding="utf-8")):
        name = event.get("name", "")
        if event.get("cat") == "Node" and name.endswith(KERNEL):
            node = name.removesuffix(KERNEL)
            times.setdefault(node, []).append(event["dur"] / 1e6)
            kinds[node] = event["args"]["op_name"]
    return of_runs({node: runs[warm:] for node, runs in times.items()}, kinds)


def of_runs(times: Mapping[str, Sequence[float]], kinds: Mapping[str, str]) -> list[LayerTime]:
    """The median over the runs of every layer that ran."""
    return [LayerTime(name, kinds[name], median(runs)) for name, runs in times.items() if runs]
