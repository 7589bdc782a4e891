"""The whole line, once, on real handwritten digits: teacher, controls, students, graphs, proof, measurements, page."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from bench.cases import EAGER, Case, Limits, Role
from bench.page.report import write_report
from bench.results import Results
from bench.show.best import one_engine_each
from bench.suite.runner import run as measure
from export.packing.sources.checkpoint import pack_checkpoint
from zoo.bundle.manifest import Executed, Precision
from zoo.data.sources.digits import digit_scans
from zoo.engines import RUNTIMES, Bundle, selftest
from zoo.errors import InputError, VerdictError
from zoo.files import write_text
from zoo.learn.recipe.schema import load_recipe
from zoo.learn.run.results import summary
from zoo.learn.run.run import RECIPE, Run
from zoo.progress import stages

TRAINING = "training"
SAMPLES = 6  # digits written as PNG for `zoo predict`
PRECISIONS: tuple[Precision, ...] = ("fp32", "int8")  # what pays on a CPU
LIMITS = Limits(seconds=0.5)  # for one batch size of one engine: enough to rank engines, `zoo bench run` takes longer
# What the steps take on two slow cores: only the proportions matter, for the time left.
SECONDS = {"teacher": 50.0, "training": 20.0, "export": 6.0, "measure": 40.0}


@dataclass(frozen=True)
class Member:
    """One trained network of the demo: its checkpoint, its bundle, and what it stands for in the table."""

    name: str
    role: Role
    group: str | None
    checkpoint: Path
    bundle: Path
    precisions: tuple[Precision, ...]


@dataclass(frozen=True)
class Demo:
    """What the demo found: `checks` are the claims, each true or not; `best` has one engine for each model."""

    members: list[Member]
    networks: list[dict[str, Any]]
    best: Results
    checks: dict[str, bool]
    samples: list[Path]
    seconds: float


def run_demo(folder: Path) -> Demo:
    """Run the line into `folder`: new, empty, or an earlier demo's, which is then made anew. Minutes on two cores."""
    began = time.perf_counter()
    if (folder / TRAINING / RECIPE).exists():
        shutil.rmtree(folder)
    elif folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder} holds something that is not a demo: choose another folder with --out")
    run = Run(load_recipe("digits"), folder / TRAINING)
    students = run.recipe.students
    total = SECONDS["teacher"] + 2 * len(students) * SECONDS["training"]
    total += (1 + 2 * len(students)) * SECONDS["export"] + SECONDS["measure"]
    with stages("demo", total) as stage:
        members = []
        with stage("a ResNet18 teacher learns from all labels", SECONDS["teacher"]):
            members.append(_member(folder, "teacher", "teacher", None, run.teacher()))
        for student in students:
            with stage(f"{student.name} learns from one label in ten, alone: the control", SECONDS["training"]):
                made = run.control(student)
                members.append(_member(folder, f"{student.name}-control", "control", student.name, made))
            with stage(f"{student.name} learns from the same labels and the teacher", SECONDS["training"]):
                members.append(_member(folder, student.name, "student", student.name, run.distilled(student)))
        for member in members:
            with stage(f"{member.name} becomes ONNX graphs, each proven against torch", SECONDS["export"]):
                pack_checkpoint(member.checkpoint, member.bundle, precisions=member.precisions, splits=run.splits)
                _verify(member.bundle)
        tests = _write_digits(run, folder / "test")
        samples = _write_samples(tests, folder)
        with stage("teacher and students are measured, each engine in a process of its own", SECONDS["measure"]):
            results = _measure(members, folder)
    best = one_engine_each(results)
    write_report(results, folder / "report.html")
    networks = [summary(member.checkpoint) for member in members]
    demo = Demo(members, networks, best, _checks(networks), samples, round(time.perf_counter() - began, 1))
    recorded = {"networks": networks, "checks": demo.checks, "seconds": demo.seconds}
    write_text(folder / "demo.json", json.dumps(recorded, indent=2) + "\n")
    return demo


def _member(folder: Path, name: str, role: Role, group: str | None, checkpoint: Path) -> Member:
    # fp16 pays on a GPU: only what a user would ship, the students, has a graph for one.
    precisions: tuple[Precision, ...] = ("fp32", "fp16", "int8") if role == "student" else PRECISIONS
    return Member(name, role, group, checkpoint, folder / f"{name}.zoo", precisions)


def _verify(path: Path) -> None:
    bundle = Bundle.open(path)
    bundle.check_files()
    for outcome in selftest.run(bundle):
        if not outcome.passed:
            raise VerdictError(f"{path}: the self-test of {outcome.precision} is off by {outcome.difference:.3g}")


def _write_digits(run: Run, folder: Path) -> list[Path]:
    """The test digits as they were scanned, 8 x 8 grey PNG in a folder for each class."""
    scans, targets = digit_scans()
    paths = []
    for name in run.splits.test.names:
        number = int(name.removeprefix("digit-"))
        path = folder / str(targets[number]) / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(scans[number]).save(path)
        paths.append(path)
    return paths


def _write_samples(tests: list[Path], folder: Path) -> list[Path]:
    samples = []
    for path in tests[:SAMPLES]:
        sample = folder / f"{path.stem}.png"
        shutil.copyfile(path, sample)
        samples.append(sample)
    return samples


def _measure(members: list[Member], folder: Path) -> Results:
    """Teacher and students on every backend in fp32 and int8; then each control on the engine that its student runs
    best on, so that the two rows differ in nothing but what they learned from.
    """
    cases = [_case(member, EAGER, "fp32", folder) for member in members if member.role == "teacher"]
    for member in members:
        if member.role != "control":
            cases += [_case(member, backend, precision, folder) for backend in RUNTIMES for precision in PRECISIONS]
    first = measure(cases, out=folder / "results.json")
    engines = {row.group: row.engine for row in one_engine_each(first).rows if row.role == "student"}
    controls = [member for member in members if member.role == "control"]
    second = measure(
        [
            _case(control, engines[control.group].backend, engines[control.group].precision, folder)
            for control in controls
        ]
    )
    results = first.model_copy(update={"rows": first.rows + second.rows})
    results.write(folder / "results.json")
    return results


def _case(member: Member, backend: str, precision: Executed, folder: Path) -> Case:
    return Case(
        name=member.name,
        subject=member.checkpoint if backend == EAGER else member.bundle,
        backend=backend,
        precision=precision,
        role=member.role,
        group=member.group,
        evaluation=folder / "test",
        limits=LIMITS,
    )


def _checks(networks: list[dict[str, Any]]) -> dict[str, bool]:
    """The demo's claims, of the last epoch on images that no training saw."""
    named = {network["name"]: network for network in networks}
    teacher = named["teacher"]
    checks = {"the teacher knows at least 98.5 %": teacher["top1"] >= 0.985}
    for name, network in named.items():
        if network["role"] == "student":
            checks[f"{name} is within 1.0 point of the teacher"] = teacher["top1"] - network["top1"] <= 0.01 + 1e-9
            checks[f"{name} is above its control"] = network["top1"] > named[f"{name}-control"]["top1"]
            checks[f"{name} has 10x fewer parameters"] = 10 * network["parameters"] <= teacher["parameters"]
    return checks
