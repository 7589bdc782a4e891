"""The teachers that run here: any command, ONNX file or bundle; and what an image is reduced to before it is sent."""

from __future__ import annotations

import io
import json
import sqlite3
import stat
import sys
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import ExifTags, Image

from zoo.errors import EnvironmentProblem, InputError
from zoo.learn.label.config import LabelConfig
from zoo.learn.label.labeller import NoReply, identity, labeller_class
from zoo.learn.label.labelling import label_folder
from zoo.learn.label.pictures import find, reduced


def jpeg(colour: str = "red", size: tuple[int, int] = (32, 24)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, colour).save(file, "JPEG")
    return file.getvalue()


def teacher(**settings: object):
    config = LabelConfig.model_validate(settings)
    return labeller_class(config.teacher)(config)


SIZE_OF_STDIN = "import sys, io; from PIL import Image; w, h = Image.open(io.BytesIO(sys.stdin.buffer.read())).size"
SIZE_OF_FILE = "import sys; from PIL import Image; w, h = Image.open(sys.argv[1]).size"
PRINT = 'import json; print(json.dumps({"Wide": w / 100, "high": h / 100}))'


@pytest.mark.parametrize("words", [(f"{SIZE_OF_STDIN}; {PRINT}",), (f"{SIZE_OF_FILE}; {PRINT}", "{image}")])
def test_a_command_gets_the_image_on_stdin_or_as_a_file(words):
    answer = teacher(teacher="command", command=[sys.executable, "-c", *words]).ask(jpeg())
    assert answer.tags == [("Wide", 0.32), ("high", 0.24)]
    assert json.loads(answer.raw) == {"Wide": 0.32, "high": 0.24}


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        (["false"], "false ended with 1"),
        (["sh", "-c", "echo out of memory >&2; exit 3"], "sh ended with 3: out of memory"),
        (["echo", "cat"], "malformed reply: Invalid JSON"),
        (["echo", '{"cat": 1.5}'], "malformed reply: cat: Input should be less than or equal to 1"),
        (["sleep", "5"], "sleep took longer than 0.2 s"),
    ],
)
def test_a_command_that_gives_no_answer_says_why(command, complaint):
    with pytest.raises(NoReply, match=complaint):
        teacher(teacher="command", command=command, timeout=0.2).ask(jpeg())


def test_a_command_that_does_not_exist_stops_the_work():
    with pytest.raises(EnvironmentProblem, match="cannot run no-such-tagger: No such file"):
        teacher(teacher="command", command=["no-such-tagger"]).ask(jpeg())


def test_a_flaky_command_is_started_again_and_ctrl_c_in_the_terminal_does_not_reach_it(tmp_path, pictures):
    flaky = tmp_path / "flaky.sh"
    flaky.write_text(
        f"#!/bin/sh\n[ -e {tmp_path}/once ] || {{ touch {tmp_path}/once; exit 1; }}\necho '{{\"a\": 1}}'\n"
    )
    flaky.chmod(flaky.stat().st_mode | stat.S_IXUSR)
    config = LabelConfig(teacher="command", command=(str(flaky),), backoff=0, workers=1)
    done = label_folder(config, pictures, tmp_path / "out", limit=3)
    assert (done.answered, done.failures) == (3, {})
    with closing(sqlite3.connect(tmp_path / "out" / "answers.sqlite")) as file:
        assert file.execute("SELECT SUM(attempts), SUM(raw LIKE '{\"a\": 1}%') FROM answers").fetchone() == (4, 3)


def test_a_bundle_answers_as_zoo_predict_does(bundle_path, pictures, tmp_path):
    import pyarrow.parquet

    from zoo import load

    engine = load(bundle_path)
    config = LabelConfig(teacher="onnx", onnx=bundle_path, max_results=2, workers=2)
    done = label_folder(config, pictures, tmp_path, limit=5)
    assert done.answered == 5
    pairs = pyarrow.parquet.read_table(tmp_path / "pairs.parquet").to_pylist()
    assert len(pairs) == 5
    for pair in pairs:
        sent = reduced(pictures / pair["name"], side=config.side, quality=config.quality)
        best = engine.predict(sent).top(2)
        assert pair["tags"] == [label for label, _ in best]
        assert pair["scores"] == pytest.approx([score for _, score in best], abs=1e-6)


@pytest.fixture(scope="module")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three plain graphs that answer with the mean of each channel: float NCHW, uint8 NHWC and one of no fixed size."""
    import onnx
    from onnx import TensorProto, helper

    folder = tmp_path_factory.mktemp("graphs")
    for name, kind, shape, axes in (
        ("float", TensorProto.FLOAT, ["N", 3, 8, 8], [2, 3]),
        ("bytes", TensorProto.UINT8, ["N", 8, 8, 3], [1, 2]),
        ("open", TensorProto.FLOAT, ["N", 3, "H", "W"], [2, 3]),
    ):
        nodes = [
            helper.make_node("Cast", ["image"], ["numbers"], to=TensorProto.FLOAT),
            helper.make_node("ReduceMean", ["numbers", "axes"], ["logits"], keepdims=0),
        ]
        graph = helper.make_graph(
            nodes,
            name,
            [helper.make_tensor_value_info("image", kind, shape)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["N", 3])],
            [helper.make_tensor("axes", TensorProto.INT64, [2], axes)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
        onnx.save(model, folder / f"{name}.onnx")
    (folder / "labels.txt").write_text("red\ngreen\nblue\n")
    (folder / "labels.json").write_text('["red", "green"]')
    return folder


def plain(graphs: Path, name: str, **settings: object):
    labels = graphs / "labels.txt"
    return teacher(teacher="onnx", **{"onnx": graphs / f"{name}.onnx", "labels": labels, "max_results": 2} | settings)


def test_a_plain_graph_is_fed_as_its_input_says_and_scored_as_its_task_says(graphs):
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    red = jpeg("red")
    sigmoid, softmax = 1 / (1 + np.exp(-1)), np.exp(1) / (np.exp(1) + 2 * np.exp(-1))
    (label, score), _ = plain(graphs, "float", **half).ask(red).tags
    assert (label, score) == ("red", pytest.approx(sigmoid, abs=0.01))
    (label, score), _ = plain(graphs, "float", task="classification", **half).ask(red).tags
    assert (label, score) == ("red", pytest.approx(softmax, abs=0.01))
    (label, score), _ = plain(graphs, "bytes", task="classification").ask(red).tags
    assert (label, score) == ("red", pytest.approx(1, abs=0.01))


@pytest.mark.parametrize("task", ["classification", "tagging"])
@pytest.mark.parametrize("last", ["Softmax", "LogSoftmax", "Sigmoid"])
def test_a_graph_that_ends_in_scores_is_taken_at_its_word(graphs, tmp_path, last, task):
    """No softmax is applied to a softmax, nor a sigmoid to a sigmoid, whatever the recipe says of the task."""
    import onnx
    from onnx import helper

    model = onnx.load(graphs / "float.onnx")
    model.graph.node[-1].output[0] = "inner"
    model.graph.node.append(helper.make_node(last, ["inner"], ["logits"]))
    onnx.save(model, tmp_path / "scores.onnx")
    half = {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)}
    given = {"onnx": tmp_path / "scores.onnx", "task": task, "max_results": 3, **half}
    tags = dict(plain(graphs, "float", **given).ask(jpeg("red")).tags)
    logits = np.array([1, -1, -1])
    expected = 1 / (1 + np.exp(-logits)) if last == "Sigmoid" else np.exp(logits) / np.exp(logits).sum()
    assert tags == pytest.approx(dict(zip(("red", "green", "blue"), expected, strict=True)), abs=0.01)
    about = identity(LabelConfig(teacher="onnx", **given))
    assert about["ending"] == {"Softmax": "softmax", "LogSoftmax": "log-softmax", "Sigmoid": "sigmoid"}[last]


def test_a_plain_graph_that_cannot_be_asked_says_why(graphs, tmp_path):
    with pytest.raises(InputError, match=r"open.onnx takes float32 \[\?, 3, \?, \?\], pictures of any size"):
        plain(graphs, "open")
    with pytest.raises(InputError, match=r"2 names do not fit the graph's output \[3\]"):
        plain(graphs, "float", labels=graphs / "labels.json").ask(jpeg())
    with pytest.raises(InputError, match=r"needs label\.labels"):
        plain(graphs, "float", labels=None)
    with pytest.raises(InputError, match="no bundle and no ONNX file at"):
        plain(graphs, "gone")


def test_another_graph_is_another_teacher(graphs):
    def of(name: str, **settings: object) -> dict[str, str]:
        return identity(LabelConfig(teacher="onnx", onnx=graphs / f"{name}.onnx", **settings))

    assert of("float") == of("float", rate=3.0, workers=1)
    assert of("float")["onnx"] != of("bytes")["onnx"]
    assert of("float") != of("float", task="classification")


def test_an_image_is_sent_upright_small_and_without_its_metadata(tmp_path):
    stored = Image.new("RGB", (400, 300), "black")
    stored.paste("white", (0, 0, 400, 30))  # its first rows are the right edge when upright
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    exif[ExifTags.Base.Artist] = "somebody"
    stored.save(tmp_path / "sideways.jpg", exif=exif)
    sent = reduced(tmp_path / "sideways.jpg", side=100, quality=90)
    with Image.open(io.BytesIO(sent)) as image:
        assert (image.format, image.size, dict(image.getexif())) == ("JPEG", (75, 100), {})
        assert image.getpixel((72, 50)) > (200, 200, 200)
        assert image.getpixel((10, 50)) < (50, 50, 50)
    assert b"somebody" not in sent


@pytest.mark.parametrize(("size", "expected"), [((20, 10), (20, 10)), ((1000, 3), (100, 1)), ((50, 200), (25, 100))])
def test_an_image_is_never_enlarged_and_keeps_its_shape(tmp_path, size, expected):
    Image.new("L", size).save(tmp_path / "x.png")
    with Image.open(io.BytesIO(reduced(tmp_path / "x.png", side=100, quality=50))) as image:
        assert image.size == expected


def test_images_are_found_below_the_folder_in_the_order_of_their_names(tmp_path):
    for name in ("b/2.PNG", "a.jpg", "b/1.webp", ".hidden.jpg", "notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert find(tmp_path) == ["a.jpg", "b/1.webp", "b/2.PNG"]
    with pytest.raises(InputError, match="no images below"):
        find(tmp_path / "gone")
