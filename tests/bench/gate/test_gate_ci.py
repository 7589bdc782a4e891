"""The workflow of docs/ci.md and the action it uses, run step by step by a plain shell, as GitHub's runner does."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.gate.receipt import read_receipt
from tests.support.gates import NEAR, edited, folder, write_graph
from tests.support.places import ROOT
from tests.support.tiny import GRAPH, tiny_bundle

BASH = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c"]


class Runner:
    """What a runner offers to steps: files to write to, variables, expressions that it fills in."""

    def __init__(self, folder: Path, work: Path) -> None:
        self.work, self.temp = work, folder / "temp"
        self.summary, self.output = folder / "summary.md", folder / "output"
        self.temp.mkdir(parents=True)
        self.summary.touch()
        self.output.touch()

    def fill(self, text: str, **known: str) -> str:
        known |= {"runner.temp": str(self.temp), "github.action_path": str(ROOT)}
        return re.sub(r"\$\{\{ *([\w.]+) *\}\}", lambda found: known[found[1]], text)

    def shell(self, script: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
        own = {
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RUNNER_TEMP": str(self.temp),
            "GITHUB_BASE_REF": "main",
            "GITHUB_STEP_SUMMARY": str(self.summary),
            "GITHUB_OUTPUT": str(self.output),
        }
        return subprocess.run(
            [*BASH, script], cwd=self.work, env=os.environ | own | env, capture_output=True, text=True, check=False
        )

    def action(self, given: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """Every step of action.yml that its `if` lets through, up to one that fails; the last one's outcome."""
        about = yaml.safe_load((ROOT / "action.yml").read_text())
        assert given.keys() <= about["inputs"].keys()
        inputs = {name: given.get(name, each.get("default", "")) for name, each in about["inputs"].items()}
        assert all(inputs[name] for name, each in about["inputs"].items() if each.get("required"))
        expressions = {f"inputs.{name}": value for name, value in inputs.items()}
        for step in about["runs"]["steps"]:
            assert step["shell"] == "bash"
            assert "${{" not in step["run"]  # an input inside a script would be run as a script
            if step.get("if") == "inputs.install == 'true'" and inputs["install"] != "true":
                continue
            env = {name: self.fill(value, **expressions) for name, value in step["env"].items()}
            done = self.shell(step["run"], env)
            if done.returncode:
                return done
        return done


def workflow() -> list[dict]:
    (block,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/ci.md").read_text(), re.DOTALL)
    (job,) = yaml.safe_load(block)["jobs"].values()
    return job["steps"]


def git(*words: object, cwd: Path) -> None:
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *who, *map(str, words)], cwd=cwd, check=True, capture_output=True)


def test_the_workflow_of_the_documentation_blocks_a_wrong_network(tmp_path: Path) -> None:
    """A repository whose main branch has a network, and a pull request with one that answers something else."""
    origin, work = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    tiny_bundle(origin / "models/net.zoo", precisions=("fp32",))
    git("init", "--quiet", cwd=origin)
    git("add", ".", cwd=origin)
    git("commit", "--quiet", "-m", "A network", cwd=origin)
    git("clone", "--quiet", origin, work, cwd=tmp_path)
    shutil.rmtree(work / "models/net.zoo")
    edited(work / "models/net.zoo", graph=GRAPH.replace("{1, 0, 0, 0, 1, 0, 0, 0, 1}", "{0, 1, 0, 0, 0, 1, 1, 0, 0}"))

    runner, outcomes = Runner(tmp_path / "runner", work), {}
    for step in workflow():
        if "run" in step:
            done = runner.shell(step["run"], {})
            assert done.returncode == 0, done.stderr
        elif step["uses"].startswith("OWNER/distilzoo@"):
            given = {name: runner.fill(value) for name, value in step["with"].items()}
            done = runner.action(given | {"install": "false"})
            outcomes[step["id"]] = done
        elif step["uses"].startswith("actions/upload-artifact"):
            assert (work / step["with"]["path"] / "gate.json").is_file()
        elif "upload-sarif" in step["uses"]:
            assert json.loads((work / step["with"]["sarif_file"]).read_text())["runs"][0]["results"]
    gate = outcomes["gate"]
    assert gate.returncode == 1, gate.stderr
    assert "::error file=models/net.zoo,title=onnxruntime fp32 batch 1%3A answers::difference" in gate.stdout
    assert "Gate: fail" in runner.summary.read_text()
    assert runner.output.read_text() == "verdict=fail\n"
    receipt = read_receipt(work / "gate/gate.json")
    assert receipt.entries[0].pairs[0].processes.keys() == {"baseline", "candidate", "sentinel"}
    assert "<failure" in (work / "gate/gate.xml").read_text()


@pytest.mark.parametrize(
    ("times", "inconclusive", "code", "verdict"),
    [
        (NEAR, "neutral", 0, "pass"),
        ([1.08 * ms for ms in NEAR], "neutral", 1, "fail"),
        ([1.0], "neutral", 0, "inconclusive"),
        ([1.0], "fail", 3, "inconclusive"),
        ([1.0], "whatever", 2, ""),
    ],
)
def test_the_action_passes_fails_and_is_neutral(tmp_path, times, inconclusive, code, verdict) -> None:
    folder(tmp_path / "before", NEAR)
    folder(tmp_path / "after", times)
    runner = Runner(tmp_path / "runner", tmp_path)
    given = {"baseline": "before", "candidate": "after", "inconclusive": inconclusive, "install": "false"}
    done = runner.action(given)
    assert done.returncode == code, done.stderr
    assert runner.output.read_text() == (f"verdict={verdict}\n" if verdict else "")
    assert (f"Gate: {verdict}" in runner.summary.read_text()) == bool(verdict)


def test_the_action_says_so_when_there_is_nothing_to_judge(tmp_path: Path) -> None:
    runner = Runner(tmp_path / "runner", tmp_path)
    write_graph(tmp_path / "a.onnx")
    done = runner.action({"baseline": "a.onnx", "candidate": "gone.onnx", "install": "false"})
    assert done.returncode == 2
    assert "::error title=gate::zoo bench gate ended with status 2 and without a receipt" in done.stdout
    assert runner.output.read_text() == "verdict=error\n"
