"""Old pickled datasets: what is data is read, from any protocol and Python; what is not is named and never run."""

from __future__ import annotations

import copyreg
import datetime
import gzip
import json
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from tests.support.command import one_line
from zoo.data.legacy import read_legacy_pairs
from zoo.errors import InputError

RANDOM = np.random.default_rng(0)
X = RANDOM.integers(0, 256, (5, 6, 4, 3), dtype=np.uint8)
BOTH = ["sea", "sky"]
Y = RANDOM.random((5, 2)).astype(np.float32)


def packed(folder: Path, data: bytes) -> Path:
    path = folder / "old.pkl.gz"
    path.write_bytes(gzip.compress(data))
    return path


def refused(folder: Path, data: bytes, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as error:
        read_legacy_pairs(packed(folder, data))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("protocol", range(6))
def test_pairs_of_every_protocol_come_back_as_they_were(tmp_path, protocol):
    kinds = [X[0], np.asfortranarray(Y), Y[::2, ::-1], np.array(["sofa", "Öl"]), np.array([b"x"]), np.zeros((0, 3))]
    kinds += [
        Y.astype(">f8"),
        np.array([True, False]),
        np.array(3 + 4j),
        np.float32(0.25),
        np.int64(-7),
        np.bool_(True),
    ]
    rest = (1, -(2**70), 2.5, True, "ü\n'\\", b"\x00\xff", b"", [], (), [(1,), ["a", b"b"]])
    x, y = read_legacy_pairs(packed(tmp_path, pickle.dumps((kinds, rest), protocol)))
    for read, written in zip(x, kinds, strict=True):
        np.testing.assert_array_equal(read, written)
        assert np.asarray(read).dtype == np.asarray(written).dtype.newbyteorder("=")
        assert type(read) is type(written)
    assert y == rest
    assert type(y[3]) is bool


def test_pickles_of_python_2_are_read(tmp_path):
    """What Python 2 and numpy 1 wrote: array bytes are a str, with protocol 0 an escaped one."""
    array = (
        b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\ndtype\n(S'u1'\nI0\nI1\n"
        b"tR(I3\nS'|'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x07\\xff'\ntb"
    )
    x, y = read_legacy_pairs(packed(tmp_path, b"(" + array + b"(lp5\nS'caf\\xe9'\naL12L\natp6\n."))
    assert x.tolist() == [7, 255]
    assert y == ["café", 12]
    short = b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x02\x85"
    short += (
        b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xff"
        b"J\xff\xff\xff\xffK\x00tb\x89U\x02\x07\xfftbU\x01z\x86."
    )
    x, y = read_legacy_pairs(packed(tmp_path, short))
    assert (x.tolist(), y) == ([7, 255], "z")


def test_a_file_need_not_be_compressed(tmp_path):
    path = tmp_path / "old.pkl"
    path.write_bytes(pickle.dumps([X, Y]))
    np.testing.assert_array_equal(read_legacy_pairs(path)[0], X)


class Runs:
    """Pickles as a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (__import__("os").system, r"posix\.system"),
        (eval, r"(__builtin__|builtins)\.eval"),
        (getattr, r"(__builtin__|builtins)\.getattr"),
        (np.load, r"numpy\.load"),
        (np.save, r"numpy\.save"),
    ],
)
def test_a_call_is_refused_by_name_and_not_made(tmp_path, function, name, protocol):
    mark = tmp_path / "was here"
    words = {"system": f"touch '{mark}'", "eval": f"open({str(mark)!r}, 'w')"}.get(function.__name__, str(mark))
    data = pickle.dumps((X, [Y, Runs(function, words, *([0] if function is np.save else []))]), protocol)
    refused(tmp_path, data, f"refused: it wants to use '{name}'")
    assert not mark.exists()


HIDDEN = {
    "os.system": b"cos\nsystem\n(S'touch \"%s\"'\ntR.",
    "os.system by INST": b"(S'touch \"%s\"'\nios\nsystem\n.",
    "os.system from the memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94000h\x00h\x01\x93\x8c\x01x\x85R.",
    "os.system over a popped string": b"\x80\x04\x8c\x02os\x8c\x06system\x8c\x01x0\x93(S'touch \"%s\"'\ntR.",
}


@pytest.mark.parametrize("how", HIDDEN)
def test_a_hidden_name_is_still_refused(tmp_path, how):
    mark = tmp_path / "was here"
    data = HIDDEN[how].replace(b"%s", str(mark).encode())
    with pytest.raises(InputError, match="refused: "):
        read_legacy_pairs(packed(tmp_path, data))
    assert not mark.exists()


def test_a_name_that_is_put_together_while_it_runs_is_refused(tmp_path):
    """Two names on the stack, two more that are dropped: what is used is not what was written last."""
    data = b"\x80\x04\x8c\x02os\x8c\x06system(\x8c\x05numpy\x8c\x05dtype1\x93."
    refused(tmp_path, data, "refused: STACK_GLOBAL at byte 30 hides which name it wants to use")


def test_names_of_the_extension_registry_and_persistent_ids_are_refused(tmp_path):
    copyreg.add_extension("os", "system", 240)
    try:
        refused(tmp_path, b"\x80\x02\x82\xf0U\x04true\x85R.", "EXT1 at byte 2 builds something that is no array")
    finally:
        copyreg.remove_extension("os", "system", 240)
    refused(tmp_path, b"Psomething outside\n.", "PERSID at byte 0")
    refused(tmp_path, b"\x80\x02U\x01xQ.", "BINPERSID at byte 5")


@pytest.mark.parametrize(
    ("thing", "complaint"),
    [
        ({1, 2}, "(EMPTY_SET at byte|__builtin__.set)"),
        (None, "it holds a NoneType"),
        (np.array([None, "x"]), r"array of type 'O8'"),
        (np.zeros(2, dtype="i4,f4"), "array of type 'V8'"),
        (np.array(["2020-01-01"], dtype="M8[D]"), r"(array of type 'M8'|_pickle_|DICT|array of type)"),
        (np.dtype("f4"), "it holds a Type"),
        (np.ndarray, "it holds a type"),
        (np.ma.zeros(2), "numpy.ma"),
        (OrderedDict(), "collections.OrderedDict"),
        (datetime.date(2020, 1, 1), "datetime.date"),
    ],
)
def test_what_is_neither_array_number_nor_text_is_refused(tmp_path, thing, complaint):
    for protocol in (2, 4):
        refused(tmp_path, pickle.dumps((X, thing), protocol), complaint)


def crafted(kind: str, shape: str, raw: str) -> bytes:
    """An array whose parts do not fit each other."""
    return (
        f"(cnumpy\nndarray\n(I0\ntS'b'\nt(I1\n{shape}cnumpy\ndtype\n(S'{kind}'\nI0\nI1\ntR"
        f"(I3\nS'<'\nNNNI-1\nI-1\nI63\ntbI00\nS'{raw}'\nt"
    ).encode()


def test_an_array_is_made_of_its_own_bytes_alone(tmp_path):
    """Sizes that lie, and the flag that makes numpy take the bytes for pointers."""

    def of(kind: str, shape: str, raw: str) -> bytes:
        text = crafted(kind, shape, raw).replace(b"(cnumpy", b"(cnumpy.core.multiarray\n_reconstruct\n(cnumpy", 1)
        return text.replace(b"tS'b'\nt", b"tS'b'\ntR", 1) + b"bI1\nt."

    x, _ = read_legacy_pairs(packed(tmp_path, of("i8", "(I1\nt", "\\x01" + 7 * "\\x00")))
    assert (x.tolist(), x.dtype.hasobject) == ([1], False)
    refused(tmp_path, of("i8", "(I1000000000000\nt", "\\x01"), "1 bytes do not make an array of")
    refused(tmp_path, of("i8", "(I-1\nt", "\\x01"), "1 bytes do not make an array of")
    refused(tmp_path, of("O8", "(I1\nt", 8 * "A"), "array of type 'O8'")


def test_bombs_are_refused(tmp_path):
    bomb = packed(tmp_path, pickle.dumps((np.zeros(3_000_000), 1)))
    assert bomb.stat().st_size < 100_000
    with pytest.raises(InputError, match=r"old\.pkl\.gz unpacks to more than 0\.000977 GiB, which is the limit"):
        read_legacy_pairs(bomb, limit=2**20)
    refused(tmp_path, b"\x80\x02K\x01r" + struct.pack("<I", 2**31) + b".", "LONG_BINPUT at byte 4 is damaged")
    doubled = b"]"
    for number in range(60):  # a list of two lists of two lists ...: 2^60 of them, in 400 bytes
        doubled += b"q" + bytes([number]) + b"]h" + bytes([number]) + b"ah" + bytes([number]) + b"a"
    x, y = read_legacy_pairs(packed(tmp_path, b"\x80\x02" + doubled + b"."))
    assert x is y
    refused(tmp_path, b"\x80\x02]q\x00h\x00aK\x01a.", "a list that holds itself")
    refused(tmp_path, b"(" * 2 + b"I1\n" + b"\x85" * 100_000 + b"I1\nt.", "nested too deeply")


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (pickle.dumps((X, Y))[:-40], "not a pickle, or a damaged one"),
        (b"PK\x03\x04 a zip", "not a pickle, or a damaged one"),
        (b"", "not a pickle, or a damaged one"),
        (pickle.dumps(X), r"does not hold a pair \(X, y\)"),
        (pickle.dumps((X, Y, Y)), r"does not hold a pair \(X, y\)"),
    ],
)
def test_what_is_no_pair_is_an_error(tmp_path, data, complaint):
    refused(tmp_path, data, complaint)


def test_a_truncated_or_missing_file_is_an_error(tmp_path):
    path = packed(tmp_path, pickle.dumps((X, Y)))
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(InputError, match="cannot read"):
        read_legacy_pairs(path)
    with pytest.raises(InputError, match="no such file"):
        read_legacy_pairs(tmp_path / "gone")


@pytest.mark.parametrize(
    ("images", "answers", "tags"),
    [
        (X, np.float32([[1, 0], [0.5, 0.25], [0, 0], [0, 1], [1, 1]]), [["sea"], BOTH, [], ["sky"], BOTH]),
        (X / 255, np.array([0, 1, 1, 0, 1]), [["sea"], ["sky"], ["sky"], ["sea"], ["sky"]]),
        (X.transpose(0, 3, 1, 2).astype(np.float32), ["Sea", "sky", b"sky", "dawn", "dusk"], None),
        ([image[: 3 + n] for n, image in enumerate(X)], [["sea", "Sky"], [], ["sea"], ("sky",), ["a", "b"]], None),
        (X[..., 0], [[0, 1]] * 5, [["sky"]] * 5),
    ],
)  # fmt: skip
def test_old_pairs_become_images_and_tags(zoo_command, tmp_path, images, answers, tags):
    from zoo.data.tags import read_pairs
    from zoo.preprocess import Preprocessing

    packed(tmp_path, pickle.dumps((images, answers), 2))
    (tmp_path / "names.txt").write_text("sea\nsky\n")
    done = zoo_command("import", "old.pkl.gz", "--out", "new", "--names", "names.txt", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"out": "new", "images": 5}
    pixels, targets, _, labels = read_pairs(
        tmp_path / "new" / "pairs.parquet", tmp_path / "new" / "images", Preprocessing(4, 6, 4), tags=9
    )
    found = [[labels[column] for column in np.flatnonzero(row)] for row in targets]
    tags = tags or [
        [t.decode() if isinstance(t, bytes) else t for t in ([a] if isinstance(a, str | bytes) else a)] for a in answers
    ]
    assert [sorted(row) for row in found] == [sorted(tag.casefold() for tag in row) for row in tags]
    if not isinstance(images, list):
        np.testing.assert_array_equal(pixels, X if images.ndim == 4 else np.repeat(X[..., :1], 3, axis=3))


@pytest.mark.parametrize(
    ("pair", "complaint"),
    [
        ((X, Y[:3]), "as many labels as images"),
        ((X.astype(float) - 100, Y), "numbers from -100 to"),
        ((X, Y + 3), "neither scores from 0 to 1"),
        ((X[..., :2], Y), "has the shape"),
        ((["a"], ["b"]), "X does not hold images"),
        ((X, [7] * 5), "number 7 and there are 2 names"),
        ((X, [Runs(print, "hello")] * 5), "refused: it wants to use"),
    ],
)  # fmt: skip
def test_pairs_that_cannot_be_converted_are_one_line(zoo_command, tmp_path, pair, complaint):
    packed(tmp_path, pickle.dumps(pair))
    (tmp_path / "names.json").write_text('["sea", "sky"]')
    done = zoo_command("import", "old.pkl.gz", "--out", "new", "--names", "names.json")
    assert done.returncode == 2, done.stderr
    assert complaint in one_line(done.stderr)
    assert not (tmp_path / "new").exists()
