"""The compiled preprocessing gives Pillow's pixels: photographs, and every kind of file it reads."""

from __future__ import annotations

import io
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.libzoo import python
from tests.support.places import real_data
from zoo.preprocess import Preprocessing, compiled, pillow, preprocess


@pytest.fixture
def native(library, monkeypatch):
    """`zoo.preprocess.compiled` with the library of this build."""
    monkeypatch.setenv("ZOO_LIBRARY", str(library))
    compiled.library.cache_clear()
    yield compiled
    compiled.library.cache_clear()


def difference(native, picture, preprocessing: Preprocessing) -> int:
    """The largest difference in grey levels; the library has to have done it itself."""
    found = native.preprocess(picture, preprocessing)
    assert found is not None
    expected, size = pillow.preprocess(picture, preprocessing)
    assert found[1] == size
    return int(np.abs(found[0].astype(int) - expected).max())


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def grey(image: Image.Image) -> Image.Image:
    return image.convert("L")


def palette(image: Image.Image, colours: int = 256) -> Image.Image:
    return image.convert("P", palette=Image.Palette.ADAPTIVE, colors=colours)


def see_through(image: Image.Image, mode: str) -> Image.Image:
    layer = image.convert("RGBA")
    layer.putalpha(Image.linear_gradient("L").resize(image.size))
    return layer.convert(mode)


def wide(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(grey(image)).astype(np.uint16) * 251)


XMP = b"http://ns.adobe.com/xap/1.0/\0<x tiff:Orientation='1' tiff:Orientation=\"6\"/>"
KINDS = {
    "jpeg 4:4:4": lambda image: encoded(image, "JPEG", subsampling=0),
    "jpeg 4:2:0": lambda image: encoded(image, "JPEG", subsampling=2, quality=60),
    "progressive jpeg": lambda image: encoded(image, "JPEG", progressive=True),
    "grey jpeg": lambda image: encoded(grey(image), "JPEG"),
    "cmyk jpeg": lambda image: encoded(image.convert("CMYK"), "JPEG"),
    "jpeg with XMP": lambda image: encoded(image, "JPEG", xmp=XMP.partition(b"\0")[2]),
    **{f"exif {value}": lambda image, value=value: encoded(image, "JPEG", exif=exif(value)) for value in range(10)},
    "png": lambda image: encoded(image, "PNG"),
    "png exif": lambda image: encoded(image, "PNG", exif=exif(8)),
    "grey png": lambda image: encoded(grey(image), "PNG"),
    "1-bit png": lambda image: encoded(image.convert("1"), "PNG"),
    "16-bit png": lambda image: encoded(wide(image), "PNG"),
    "palette png": lambda image: encoded(palette(image), "PNG"),
    "2-bit palette png": lambda image: encoded(palette(image, 4), "PNG", bits=2),
    "rgba png": lambda image: encoded(see_through(image, "RGBA"), "PNG"),
    "la png": lambda image: encoded(see_through(image, "LA"), "PNG"),
    "palette png, one colour clear": lambda image: encoded(palette(image), "PNG", transparency=3),
    "palette png, alphas": lambda image: encoded(palette(image), "PNG", transparency=bytes(range(256))),
    "grey png, one grey clear": lambda image: encoded(grey(image), "PNG", transparency=grey(image).getpixel((0, 0))),
    "1-bit png, white clear": lambda image: encoded(image.convert("1"), "PNG", transparency=1),
    "rgb png, one colour clear": lambda image: encoded(image, "PNG", transparency=image.getpixel((0, 0))),
    "pixels": lambda image: np.asarray(image),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_at_many_sizes(native, kind):
    random = np.random.default_rng(7)
    for _ in range(12):
        width, height = (int(side) for side in random.integers(2, 300, 2))
        coarse = random.integers(0, 256, (height // 5 + 1, width // 5 + 1, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        preprocessing = Preprocessing(*(int(side) for side in random.integers(1, 120, 3)))
        # CMYK and the rest go through other arithmetic in other versions of libjpeg: one grey level is allowed.
        assert difference(native, KINDS[kind](image), preprocessing) <= 1, (width, height, preprocessing)


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_decoding_only_what_the_crop_keeps_changes_no_pixel(native, subsampling, progressive):
    """A byte behind the end of the file makes the library decode all of it."""
    random = np.random.default_rng(8)
    for width, height in ((701, 403), (402, 699), (511, 1300), (1500, 333), (640, 480)):
        coarse = random.integers(0, 256, (height // 4, width // 4, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC)
        whole = encoded(image, "JPEG", quality=90, subsampling=subsampling, progressive=progressive)
        for preprocessing in (
            Preprocessing(256, 224, 224),
            Preprocessing(224, 224, 224),
            Preprocessing(400, 30, 50),
            Preprocessing(96, 80, 7),
        ):
            part = native.preprocess(whole, preprocessing)
            every = native.preprocess(whole + b"\0", preprocessing)
            assert part[1] == every[1] == (width, height)
            assert np.array_equal(part[0], every[0]), (width, height, preprocessing)


def test_plain_code_gives_the_same_pixels(library, tmp_path):
    """ZOO_CPU=plain turns vector code off."""
    path = tmp_path / "x.png"
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (90, 130, 3), dtype=np.uint8)).save(path)
    code = "import sys, hashlib; from zoo.preprocess import Preprocessing, preprocess;"
    code += "print(hashlib.sha256(preprocess(sys.argv[1], Preprocessing(50, 48, 40))[0]).hexdigest())"

    plain = python("-c", code, path, ZOO_LIBRARY=str(library), ZOO_CPU="plain")
    assert plain == python("-c", code, path, ZOO_LIBRARY=str(library))


def test_what_the_library_does_not_read_goes_through_pillow(native, tmp_path):
    from zoo.errors import InputError

    image = Image.fromarray(np.random.default_rng(2).integers(0, 256, (40, 50, 3), dtype=np.uint8))
    preprocessing = Preprocessing.square(16)
    for source in (encoded(image, "BMP"), encoded(image, "WEBP"), image, np.asarray(image)[..., 0]):
        assert native.preprocess(source, preprocessing) is None
        assert np.array_equal(preprocess(source, preprocessing)[0], pillow.preprocess(source, preprocessing)[0])
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(encoded(image, "JPEG")[:300])
    with pytest.raises(InputError, match=r"broken\.jpg"):
        preprocess(broken, preprocessing)
    with pytest.raises(InputError, match="no such image"):
        preprocess(tmp_path / "none.jpg", preprocessing)


def test_without_a_library_everything_goes_through_pillow(monkeypatch):
    monkeypatch.setattr(compiled, "library", lambda: None)
    picture = np.random.default_rng(3).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    assert np.array_equal(
        preprocess(picture, Preprocessing.square(16))[0], pillow.preprocess(picture, Preprocessing.square(16))[0]
    )


def test_the_photographs_are_pillows_to_the_grey_level(native, tmp_path):
    subprocess.run(["tar", "xf", real_data("photos"), "-C", tmp_path], check=True)
    photographs = sorted(path for path in tmp_path.rglob("*") if path.suffix.lower() in {".jpeg", ".jpg"})
    assert len(photographs) >= 60
    worst = Counter(difference(native, path, Preprocessing(256, 224, 224)) for path in photographs)
    assert set(worst) <= {0, 1}, worst


def test_threads_have_memory_of_their_own(native):
    from concurrent.futures import ThreadPoolExecutor

    picture = Path(__file__).parent  # a folder: refused in every thread without harm
    pixels = np.random.default_rng(4).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    expected = pillow.preprocess(pixels, Preprocessing.square(24))[0]

    def ask(_: int) -> bool:
        assert native.preprocess(picture, Preprocessing.square(24)) is None
        return bool(np.array_equal(preprocess(pixels, Preprocessing.square(24))[0], expected))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(100)))
