"""Engines in other people's programs: pickled, copied, sent to a spawned process, used after a fork; and a backend that
computes a graph wrongly gives no answer.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import zoo
from tests.support.tiny import LABELS, SIDE, colour_folder, tiny_bundle
from zoo.engines import Bundle, Engine, proof
from zoo.engines.registry import backend_class
from zoo.errors import EnvironmentProblem, VerdictError

BACKENDS = ("onnxruntime", "openvino")
IMAGES = np.random.default_rng(1).integers(0, 256, (5, SIDE, SIDE, 3), dtype=np.uint8)


@pytest.fixture
def bundle(tmp_path) -> Path:
    return tiny_bundle(tmp_path / "tiny.zoo")


def answers(engine: Engine) -> np.ndarray:
    """What a worker does, in another process."""
    return engine(IMAGES)


@pytest.mark.parametrize("backend", BACKENDS)
def test_an_engine_is_pickled_as_what_it_was_opened_with(bundle, backend, monkeypatch, tmp_path):
    monkeypatch.chdir(bundle.parent)
    engine = zoo.load(bundle.name, backend=backend, precision="int8", threads=1)
    sent = pickle.dumps(engine)
    monkeypatch.chdir("/")  # another process may be anywhere
    for other in (pickle.loads(sent), copy.deepcopy(engine)):
        assert other is not engine
        assert other.describe() == engine.describe()
        np.testing.assert_array_equal(other(IMAGES), engine(IMAGES))
    assert copy.copy(engine) is engine


def test_an_engine_crosses_a_spawn(bundle):
    engine = zoo.load(bundle, threads=1)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        np.testing.assert_array_equal(pool.map(answers, [engine])[0], engine(IMAGES))


def test_an_engine_that_was_put_together_by_hand_says_what_to_send(bundle):
    opened = Bundle.open(bundle)
    backend = backend_class("onnxruntime")(bundle / "model.fp32.onnx", precision="fp32", device="cpu", threads=1)
    with pytest.raises(TypeError, match="send the bundle's path instead"):
        pickle.dumps(Engine(opened, "fp32", "fp32", backend))


def ended(pid: int) -> int:
    """The exit code of a child; one that hangs is killed, and its code is then no code of ours."""
    for _ in range(600):
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.05)
    os.kill(pid, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


FORKING = """
import os, sys
import numpy as np
import zoo
from tests.strangers.test_apps import IMAGES, ended
engine, asked = zoo.load(sys.argv[1], backend=sys.argv[2], threads=2), sys.argv[3] == "asked"
expected = engine(IMAGES) if asked else None
pid = os.fork()
if pid == 0:
    got, shown = engine(IMAGES), [one.label for one in engine.predict_many([sys.argv[4]] * 3)]
    sys.exit(0 if shown == ["red"] * 3 and (expected is None or np.array_equal(got, expected)) else 9)
sys.exit(ended(pid) or engine(IMAGES).shape != (5, 3))
"""


@pytest.mark.parametrize("asked", ["asked", "not yet asked"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_a_forked_child_answers_and_ends_and_so_does_its_parent(bundle, backend, asked, tmp_path):
    picture = next(colour_folder(tmp_path / "pictures").glob(f"{LABELS[0]}/*.png"))
    words = [sys.executable, "-W", "ignore", "-c", FORKING, str(bundle), backend, asked, str(picture)]
    assert ended(os.spawnv(os.P_NOWAIT, sys.executable, words)) == 0


def test_a_child_that_never_asks_ends_too(bundle):
    script = "import os, sys, zoo\nfrom tests.strangers.test_apps import ended\n"
    script += "engine = zoo.load(sys.argv[1], backend='openvino')\npid = os.fork()\nsys.exit(ended(pid) if pid else 0)"
    words = [sys.executable, "-W", "ignore", "-c", script, str(bundle)]
    assert ended(os.spawnv(os.P_NOWAIT, sys.executable, words)) == 0


SIGNALLED = """
import gc, signal, subprocess, sys
import zoo
signal.signal(signal.SIGCHLD, lambda *about: print("handled", flush=True))
first, second = (zoo.load(sys.argv[1], backend="openvino") for _ in range(2))
del first
gc.collect()
del second
gc.collect()
subprocess.run([sys.executable, "-c", ""], check=True)
"""


def test_a_program_still_gets_its_signals_after_engines_were_forgotten(bundle):
    words = [sys.executable, "-W", "ignore", "-c", SIGNALLED, str(bundle)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, "handled" in done.stdout) == (0, True), done.stderr


def test_workers_of_a_torch_loader_may_ask_an_engine(bundle):
    from torch.utils.data import DataLoader

    engine = zoo.load(bundle, threads=2)
    expected = engine(IMAGES)
    loader = DataLoader(IMAGES, batch_size=2, num_workers=2, collate_fn=lambda rows: engine(np.stack(rows)))  # type: ignore[arg-type]
    np.testing.assert_allclose(np.concatenate(list(loader)), expected, rtol=1e-6)


def test_a_backend_that_computes_wrongly_gives_no_answer(tmp_path, monkeypatch, capsys):
    """The files are consistent, and the graph's answers are not those that it had where it was packed."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    bundle = tiny_bundle(tmp_path / "wrong.zoo", wrong=["int8"])
    zoo.load(bundle, backend="openvino")
    with pytest.raises(VerdictError, match=r"openvino computes the int8 graph of .* wrongly .* is allowed"):
        zoo.load(bundle, backend="openvino", precision="int8")
    assert zoo.load(bundle, backend="openvino,onnxruntime", precision="int8").backend.name == "onnxruntime"
    assert "openvino is skipped in favour of onnxruntime" in capsys.readouterr().err
    assert zoo.load(bundle, backend="openvino", precision="int8", selftest=False)(IMAGES).shape == (5, 3)


def test_the_selftest_is_run_once_for_a_machine_and_a_version(bundle, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ran: list[str] = []
    outcome = proof.outcome
    monkeypatch.setattr(proof, "outcome", lambda *asked: ran.append(asked[1]) or outcome(*asked))
    for precision in ("fp32", "int8", "fp32"):
        zoo.load(bundle, backend="openvino", precision=precision)
    zoo.load(bundle, precision="fp32")  # packing has run this one
    assert ran == ["fp32", "int8"]
    kind = backend_class("openvino")
    monkeypatch.setattr(kind, "versions", lambda self: {"openvino": "another"})
    zoo.load(bundle, backend="openvino")
    assert ran == ["fp32", "int8", "fp32"]
    for file in (tmp_path / "cache" / "distilzoo" / "proven").iterdir():
        file.write_text("{")  # damaged: as if it were not there
    zoo.load(bundle, backend="openvino")
    assert ran == ["fp32", "int8", "fp32", "fp32"]


def test_on_a_gpu_a_forked_child_says_what_to_do(bundle):
    engine = zoo.load(bundle)
    engine.backend.device = "cuda"  # it is the parent's fact, and there is no GPU here
    engine.after_fork()
    with pytest.raises(
        EnvironmentProblem, match=r"CUDA does not work in a forked child: start the process with .* spawn"
    ):
        engine(IMAGES)
