"""`zoo.preprocess.preprocess`: one door, the same pixels for one file however it is handed over."""

from __future__ import annotations

import ast
import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.support.places import ROOT
from zoo.errors import InputError
from zoo.preprocess import Preprocessing, preprocess

SMALL = Preprocessing(60, 48, 40)


def photograph(width: int = 640, height: int = 480) -> Image.Image:
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (height // 8, width // 8, 3), dtype=np.uint8)
    return Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)


def saved(image: Image.Image, format: str) -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    image.save(buffer, format, exif=exif)
    return buffer.getvalue()


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_path_bytes_and_a_freshly_opened_image_give_the_same_pixels(decoder, tmp_path, format):
    encoded = saved(photograph(), format)
    path = tmp_path / "picture"
    path.write_bytes(encoded)
    expected, size = preprocess(path, SMALL)
    assert size == (480, 640)  # upright
    with Image.open(path) as opened, Image.open(io.BytesIO(encoded)) as in_memory:
        for picture in (str(path), encoded, opened, in_memory):
            pixels, found = preprocess(picture, SMALL)
            assert np.array_equal(pixels, expected)
            assert found == size


def test_a_freshly_opened_image_is_as_it_was_before(decoder):
    encoded = saved(photograph(), "JPEG")
    with Image.open(io.BytesIO(encoded)) as opened, Image.open(io.BytesIO(encoded)) as untouched:
        preprocess(opened, SMALL)
        assert opened.size == untouched.size
        assert np.array_equal(np.asarray(opened), np.asarray(untouched))


def test_an_image_that_was_changed_is_not_read_from_its_file_again(decoder):
    encoded = saved(photograph(), "JPEG")
    with Image.open(io.BytesIO(encoded)) as opened:
        opened.draft(None, (100, 100))
        small = opened.size
        assert small != (640, 480)
        assert preprocess(opened, SMALL)[1] == small[::-1]
    frames = io.BytesIO()
    first, second = photograph(), Image.new("RGB", (640, 480), "white")
    first.save(frames, "TIFF", save_all=True, append_images=[second])
    with Image.open(frames) as opened:
        opened.seek(1)
        assert (preprocess(opened, SMALL)[0] == 255).all()


def test_an_image_whose_file_is_gone_is_refused(decoder):
    file = io.BytesIO(saved(photograph(), "JPEG"))
    opened = Image.open(file)
    file.close()
    with pytest.raises(InputError, match="cannot read the given image"):
        preprocess(opened, SMALL)


def test_threads_share_the_door(decoder):
    encoded = saved(photograph(), "PNG")
    expected = preprocess(encoded, SMALL)[0]
    with ThreadPoolExecutor(4) as pool:
        for pixels, _ in pool.map(lambda _: preprocess(encoded, SMALL), range(20)):
            assert np.array_equal(pixels, expected)


def test_the_name_that_apps_know_is_the_same_function():
    from zoo import native

    assert native.look is preprocess


def test_nobody_uses_one_decoder_alone():
    """Only the door knows that there are two."""
    for room in ("zoo", "export", "bench", "examples"):
        for path in (ROOT / room).rglob("*.py"):
            if path.parent == ROOT / "zoo" / "preprocess":
                continue
            for node in ast.walk(ast.parse(path.read_text())):
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom) and node.module:
                    names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
                assert not {"zoo.preprocess.pillow", "zoo.preprocess.compiled"} & set(names), path


def test_names_of_earlier_versions_still_work(pictures):
    from zoo.images import Framing, read
    from zoo.native import look

    path = pictures / "cross" / "001.png"
    expected, _ = preprocess(path, Preprocessing.square(16))
    np.testing.assert_array_equal(read(path, Framing.square(16)), expected)
    np.testing.assert_array_equal(look(path, Framing.square(16))[0], expected)
