"""Results as CSV: one line a row, for spreadsheets and data frames. Names and order of the columns do not change."""

from __future__ import annotations

import csv
import io

from bench.results import Results, Row, Timing

Value = str | float | int | None
# New columns come last. The three of the file are the same in every line: lines of several files may share a table.
COLUMNS = (
    *("model", "role", "group", "backend", "precision", "device", "threads", "scope", "variant", "batch"),
    *("metric", "accuracy", "accuracy_images", "parameters", "macs", "bytes_on_disk"),
    *("peak_memory_bytes", "gpu_memory_bytes"),
    *("p50_ms", "p50_low_ms", "p50_high_ms", "p90_ms", "p95_ms", "p99_ms", "mean_ms", "spread", "images_per_second"),
    *("saturated_images_per_second", "load_ms", "first_call_ms", "joules_per_image", "floor_ms", "bound"),
    *("stop", "rounds", "calls", "error", "command"),
    *("created", "version", "host"),
)


def to_csv(results: Results) -> str:
    """RFC 4180 with a heading; what is not known is empty. Times are in milliseconds, sizes in bytes."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    file = {
        "created": results.created.isoformat(),
        "version": results.version,
        "host": results.host.fingerprint,
    }
    for row in results.rows:
        writer.writerow(_subject(row) | _timing(row.timing) | _evidence(row) | file)
    return text.getvalue()


def _subject(row: Row) -> dict[str, Value]:
    found: dict[str, Value] = {
        "model": row.model,
        "role": row.role,
        "group": row.group,
        "backend": row.engine.backend,
        "precision": row.engine.precision,
        "device": row.engine.device,
        "threads": row.engine.threads,
        "scope": row.scope,
        "variant": row.variant,
        "batch": row.batch,
        "parameters": row.parameters,
        "macs": row.macs,
        "bytes_on_disk": row.bytes_on_disk,
        "peak_memory_bytes": row.peak_memory,
        "error": row.error,
        "command": row.command,
    }
    if row.accuracy is not None:
        accuracy = row.accuracy
        found |= {"metric": accuracy.metric, "accuracy": accuracy.value, "accuracy_images": accuracy.images}
    return found


def _timing(timing: Timing | None) -> dict[str, Value]:
    if timing is None:
        return {}
    low, high = timing.p50_interval_ms or (None, None)
    return {
        "p50_ms": timing.p50_ms,
        "p50_low_ms": low,
        "p50_high_ms": high,
        "p90_ms": timing.p90_ms,
        "p95_ms": timing.p95_ms,
        "p99_ms": timing.p99_ms,
        "mean_ms": timing.mean_ms,
        "spread": timing.spread,
        "images_per_second": timing.images_per_second,
        "stop": timing.stop,
        "rounds": len(timing.rounds_ns),
        "calls": sum(map(len, timing.rounds_ns)),
    }


def _evidence(row: Row) -> dict[str, Value]:
    found: dict[str, Value] = {
        "saturated_images_per_second": max((level.images_per_second for level in row.saturation), default=None)
    }
    if row.start is not None:
        found |= {"load_ms": row.start.load_ms, "first_call_ms": row.start.first_call_ms}
    if row.energy is not None:
        found["joules_per_image"] = row.energy.joules_per_image
    if row.gpu is not None:
        found["gpu_memory_bytes"] = row.gpu.memory
    if row.limit is not None:
        found |= {"floor_ms": row.limit.floor_ms, "bound": row.limit.bound}
    return found
