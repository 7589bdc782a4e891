"""Run by test_placement.py: open each graph on ONNX Runtime's CUDA provider as the engine does; a line of JSON each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from zoo.engines.onnxruntime import cuda as onnxruntime_cuda
from zoo.engines.onnxruntime.session import CUDA
from zoo.errors import EnvironmentProblem


def placed(graph: Path, cuda_graph: bool) -> dict[str, Any]:
    """How many nodes are on CUDA, in which layout, and which are left to the CPU; or the problem."""
    own = {"device_id": "0", "enable_cuda_graph": str(int(cuda_graph)), "user_compute_stream": "4096"}
    try:
        session, settings, shapes = onnxruntime_cuda._open(graph, 1, {**onnxruntime_cuda.SETTINGS, **own})
        onnxruntime_cuda._check(session, settings, shapes)
    except EnvironmentProblem as problem:
        return {"problem": str(problem)}
    parts = session.get_provider_graph_assignment_info()
    nodes = sum(len(part.get_nodes()) for part in parts if part.ep_name == CUDA)
    return {"nodes": nodes, "nhwc": settings["prefer_nhwc"], "cpu": shapes}


for path in sys.argv[1:]:
    print(json.dumps({"graph": Path(path).name} | {str(flag): placed(Path(path), flag) for flag in (True, False)}))
