"""Results as the JSON that pytest-benchmark writes, for `pytest-benchmark compare`, github-action-benchmark and others.

What they call a round is one of ours, by the median of its calls: rounds are the unit of evidence, and their median
is our p50. Seconds, as they have them. Rows with an error have no place in this format and are left out.
"""

from __future__ import annotations

import json
from typing import Any

from bench.results import Results, Row, Timing
from bench.stats import deviation, mean, median, quantile

PROJECT = "distilzoo"
NS = 1e9


def to_pytest_benchmark(results: Results) -> str:
    """The text of such a file. Its `node` is the machine's fingerprint: no host name leaves this machine."""
    host = results.host
    data = {
        "machine_info": {
            "node": host.fingerprint[:12],
            "processor": host.architecture,
            "machine": host.architecture,
            "python_implementation": "CPython",
            "python_version": host.python,
            "system": host.system,
            "release": host.kernel,
            "cpu": {"brand_raw": host.cpu, "count": host.cores},
        },
        "commit_info": {
            "id": "unversioned",
            "time": None,
            "author_time": None,
            "dirty": False,
            "project": PROJECT,
            "branch": "(unknown)",
        },
        "benchmarks": [_benchmark(row, row.timing) for row in results.rows if row.timing is not None],
        "datetime": results.created.isoformat(),
        "version": f"{PROJECT} {results.version}",
    }
    return json.dumps(data, indent=1) + "\n"


def _benchmark(row: Row, timing: Timing) -> dict[str, Any]:
    engine = row.engine
    what = [engine.backend, engine.precision, engine.device, f"batch{row.batch}", row.scope]
    what += [f"{engine.threads}threads"] if engine.threads is not None else []
    what += [row.variant] if row.variant is not None else []
    param = "-".join(what)
    return {
        "group": f"{row.scope}, batch {row.batch}",  # their tables compare inside a group, and scopes are never mixed
        "name": f"{row.model}[{param}]",
        "fullname": f"bench::{row.model}[{param}]",
        "params": {**_params(row), "model": row.model},
        "param": param,
        "extra_info": {
            "images_per_second": timing.images_per_second,
            "accuracy": row.accuracy and row.accuracy.value,
            "bytes_on_disk": row.bytes_on_disk,
            "stop": timing.stop,
            "command": row.command,
        },
        "options": {
            "disable_gc": True,
            "timer": "perf_counter_ns",
            "min_rounds": 1,
            "max_time": None,
            "min_time": None,
            "warmup": timing.warmup_calls,
        },
        "stats": _stats([median(calls) / NS for calls in timing.rounds_ns], max(map(len, timing.rounds_ns))),
    }


def _params(row: Row) -> dict[str, Any]:
    engine = row.engine
    return {
        "backend": engine.backend,
        "precision": engine.precision,
        "device": engine.device,
        "threads": engine.threads,
        "batch": row.batch,
        "scope": row.scope,
        "variant": row.variant,
    }


def _stats(rounds: list[float], iterations: int) -> dict[str, Any]:
    """The statistics of that format, of one median a round in seconds."""
    average, spread = mean(rounds), deviation(rounds) if len(rounds) > 1 else 0.0
    low, high = quantile(rounds, 0.25), quantile(rounds, 0.75)
    fence = 1.5 * (high - low)
    inside = [value for value in rounds if low - fence <= value <= high + fence]
    beyond, outliers = sum(abs(value - average) > spread for value in rounds), len(rounds) - len(inside)
    return {
        "min": min(rounds),
        "max": max(rounds),
        "mean": average,
        "stddev": spread,
        "rounds": len(rounds),
        "median": median(rounds),
        "iqr": high - low,
        "q1": low,
        "q3": high,
        "iqr_outliers": outliers,
        "stddev_outliers": beyond,
        "outliers": f"{beyond};{outliers}",
        "ld15iqr": min(inside),
        "hd15iqr": max(inside),
        "ops": 1 / average,
        "total": sum(rounds),
        "iterations": iterations,
        "data": rounds,
    }
