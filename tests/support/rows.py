"""Results made up for tests that are about showing them: a teacher, a control and a student with exact numbers."""

from __future__ import annotations

from datetime import UTC, datetime

from bench.evidence import Ceilings
from bench.host import Host
from bench.results import Accuracy, EngineFacts, Results, Row, Timing

HOST = Host(
    architecture="x86_64",
    cpu="Test CPU",
    cores=2,
    cpu_quota=None,
    memory_gib=4.0,
    governor=None,
    system="Debian",
    kernel="6.1",
    python="3.11.2",
    load_average=0.1,
)


def row(model, role, engine, ms, *, batch=1, accuracy=0.99, error=None, stop="converged", group=None, **more) -> Row:
    """One row; `ms` is the time of every call but each tenth, which takes half as long again."""
    backend, precision = engine.split()
    ns = int(ms * 1e6)
    rounds = [[ns] * 9 + [ns * 3 // 2] for _ in range(20)]
    facts = {"parameters": 1000, "macs": 50_000, "bytes_on_disk": 4321} | more
    return Row(
        model=model,
        role=role,
        group=group,
        engine=EngineFacts(backend=backend, precision=precision, device="cpu", threads=2, versions={backend: "1.0"}),
        batch=batch,
        scope="call",
        accuracy=accuracy and Accuracy(task="classification", metric="top1", value=accuracy, images=100),
        command=f"zoo bench run {model}.zoo",
        timing=None if error else Timing.of(rounds, batch=batch, stop=stop, warmup_calls=5),
        error=error,
        **facts,
    )


def results(*rows: Row) -> Results:
    """A results file of this day with these rows."""
    created = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
    return Results(schema="zoo.bench/1", created=created, version="0.1.0", argv=["zoo", "demo"], host=HOST, rows=rows)


def family() -> Results:
    """Teacher (eager, two engines), a control and its student (two engines each), one engine that failed."""
    student = {"parameters": 100_000, "macs": 2_000_000, "group": "net"}
    teacher = {"parameters": 11_000_000, "macs": 300_000_000, "bytes_on_disk": 44_000_000}
    found = []
    for batch, scale in ((1, 1.0), (32, 20.0)):
        found += [
            row("big", "teacher", "torch fp32", 8.0 * scale, batch=batch, accuracy=0.995, **teacher),
            row("big", "teacher", "onnxruntime fp32", 4.0 * scale, batch=batch, accuracy=0.995, **teacher),
            row("big", "teacher", "onnxruntime int8", 2.0 * scale, batch=batch, accuracy=0.99, **teacher),
            row("net-control", "control", "onnxruntime fp32", 0.4 * scale, batch=batch, accuracy=0.92, **student),
            row("net-control", "control", "onnxruntime int8", 0.2 * scale, batch=batch, accuracy=0.91, **student),
            row("net", "student", "onnxruntime fp32", 0.4 * scale, batch=batch, accuracy=0.991, **student),
            row("net", "student", "onnxruntime int8", 0.2 * scale, batch=batch, accuracy=0.98, **student),
            row("net", "student", "openvino fp32", 1, batch=batch, accuracy=None, error="out of <memory>", group="net"),
        ]
    return results(*found)


CEILINGS = Ceilings.model_validate(
    {
        "rates": [
            {"device": "cpu", "precision": precision, "threads": threads, "flops_per_second": rate * threads}
            for precision, rate in (("fp32", 2e11), ("int8", 6e11))
            for threads in (1, 2)
        ],
        "bandwidths": [{"device": "cpu", "threads": threads, "bytes_per_second": 8e9 * threads} for threads in (1, 2)],
    }
)


def everything() -> Results:
    """The family with all that a row can carry, a scope more, and the machine's ceilings."""
    found = [_full(row) for row in family().rows]
    photos = [row.model_copy(update={"scope": "image", "group": row.group}) for row in found if row.role != "control"]
    return results(*found, *photos).model_copy(update={"ceilings": CEILINGS})


def _full(row: Row) -> Row:
    if row.timing is None or row.macs is None or row.parameters is None:
        return row
    ms, width = row.timing.p50_ms, {"fp32": 4, "int8": 1}[row.engine.precision]
    flops, size = 2 * row.macs * row.batch, row.parameters * width + 30_000 * row.batch
    rate = {"fp32": 4e11, "int8": 1.2e12}[row.engine.precision]
    floor = 1e3 * max(flops / rate, size / 1.6e10)
    layers = [("stem", 0.3), *((f"block{place}.conv", 0.04) for place in range(15)), ("head", 0.1)]
    more = {
        "start": {"load_ms": 20 * ms + 5, "first_call_ms": 3 * ms},
        "saturation": [
            {"streams": streams, "images_per_second": row.timing.images_per_second * gain, "calls": 100}
            for streams, gain in ((1, 1.0), (2, 1.7), (4, 1.8))
        ],
        "energy": {"joules_per_image": ms * 0.015 / row.batch, "source": "rapl", "reason": None},
        "limit": {
            "flops": flops,
            "bytes": size,
            "bound": "compute" if flops / rate > size / 1.6e10 else "memory",
            "floor_ms": floor,
        },
        "layers": [{"name": name, "kind": "Conv", "ms": ms * share} for name, share in layers],
        "peak_memory": 10**8,
    }
    return Row.model_validate({**row.model_dump(), **more})
