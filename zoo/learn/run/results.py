"""What a trained network is and which scores it has, read from its folder."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from zoo.models import checkpoint
from zoo.models.eager import from_checkpoint


def summary(path: Path) -> dict[str, Any]:
    """Name, role, score, cost and training time of a checkpoint."""
    trained = from_checkpoint(path)
    about = trained.about
    metrics_file = checkpoint.find(path).parent / checkpoint.METRICS
    metrics = json.loads(metrics_file.read_text(encoding="utf-8")) if metrics_file.is_file() else {}
    metric = about.problem.metric
    return {
        "name": about.name,
        "role": about.role,
        **about.metrics,
        "shown": f"{metric} {about.problem.shown(about.metrics[metric])}",
        **trained.cost.as_dict(),
        "seconds": metrics.get("seconds"),
        "checkpoint": str(path),
    }
