"""Pictures are turned upright by their orientation tag alone, whatever stands in the tags beside it."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

import zoo
from zoo.preprocess import Preprocessing, preprocess
from zoo.preprocess.pillow import upright_size

ORIENTATION, GPS, EXIF, COPYRIGHT, DATE, X_RESOLUTION, UNIT, MAKER = (
    0x0112, 0x8825, 0x8769, 0x8298, 0x0132, 0x011A, 0x0128, 0x010F,
)  # fmt: skip
ASCII, SHORT, LONG, RATIONAL, UNDEFINED, SIGNED_SHORT, SIGNED_RATIONAL = 2, 3, 4, 5, 7, 8, 10
NOWHERE = 0x7FFFFFF0
Tag = tuple[int, int, int, int]  # its number, its type, how many values, the value or where it is
TURNED: Tag = (ORIENTATION, SHORT, 1, 6)

TURNED_BY = {
    "alone": [TURNED],
    "four bytes": [(ORIENTATION, LONG, 1, 6)],
    "GPS at nowhere": [TURNED, (EXIF, LONG, 1, NOWHERE), (GPS, LONG, 1, NOWHERE)],
    "GPS at itself": [TURNED, (EXIF, LONG, 1, 8), (GPS, LONG, 1, 8)],
    "GPS in words": [TURNED, (GPS, ASCII, 4, 0x434241)],
    "long copyright": [TURNED, (COPYRIGHT, ASCII, 70000, 60)],
    "undefined date": [TURNED, (DATE, UNDEFINED, 20, 60)],
    "signed rationals": [TURNED, (X_RESOLUTION, SIGNED_RATIONAL, 1, 60), (UNIT, SHORT, 1, 2)],
    "resolution at nowhere": [TURNED, (X_RESOLUTION, RATIONAL, 1, NOWHERE), (UNIT, ASCII, 4, 0x434241)],
    "unknown type": [(MAKER, 99, 5, 60), TURNED],
    "too many values": [(MAKER, ASCII, 0xFFFFFFFF, 60), TURNED],
}
NOT_TURNED_BY = {
    "ASCII": [(ORIENTATION, ASCII, 2, ord("6"))],
    "signed": [(ORIENTATION, SIGNED_SHORT, 1, 6)],
    "rational": [(ORIENTATION, SIGNED_RATIONAL, 1, 60)],
    "nine": [(ORIENTATION, SHORT, 1, 9)],
}
CASES = [(name, tags, True) for name, tags in TURNED_BY.items()] + [
    (name, tags, False) for name, tags in NOT_TURNED_BY.items()
]


def exif(tags: list[Tag]) -> bytes:
    """A block of tags, with the number 6/1 at byte 60 and zeros after it."""
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    block = b"II*\0" + struct.pack("<IH", 8, len(tags)) + entries + bytes(4)
    return block.ljust(60, b"\0") + struct.pack("<ii", 6, 1) + bytes(80)


def stored() -> Image.Image:
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    return Image.fromarray(small).resize((80, 60))


def saved(format: str, **options: object) -> bytes:
    file = io.BytesIO()
    stored().save(file, format, **options)
    return file.getvalue()


def png(block: bytes) -> bytes:
    """Its chunk as it is: Pillow would write it without a header."""
    chunk = struct.pack(">I", len(block)) + b"eXIf" + block + struct.pack(">I", zlib.crc32(b"eXIf" + block))
    plain = saved("PNG")
    return plain[:33] + chunk + plain[33:]


def raw_profile(block: bytes) -> bytes:
    """As ImageMagick writes it."""
    digits = (b"Exif\0\0" + block).hex()
    lines = "\n".join(digits[start : start + 72] for start in range(0, len(digits), 72))
    info = PngInfo()
    info.add_text("Raw profile type exif", f"\nexif\n{len(digits) // 2:8d}\n{lines}\n", zip=True)
    return saved("PNG", pnginfo=info)


def tiff(tags: list[Tag]) -> bytes:
    """An uncompressed TIFF with these tags beside those that it needs; 6/1 at byte 300."""
    pixels = np.asarray(stored())
    height, width, _ = pixels.shape
    own = [(256, LONG, 1, width), (257, LONG, 1, height), (258, SHORT, 3, 308), (259, SHORT, 1, 1), (262, SHORT, 1, 2),
           (273, LONG, 1, 400), (277, SHORT, 1, 3), (278, LONG, 1, height), (279, LONG, 1, pixels.nbytes)]  # fmt: skip
    moved = [(number, kind, count, 300 if place == 60 else place) for number, kind, count, place in tags]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in sorted(own + moved))
    block = b"II*\0" + struct.pack("<IH", 8, len(own + moved)) + entries + bytes(4)
    extra = struct.pack("<ii3H", 6, 1, 8, 8, 8)
    return (block.ljust(300, b"\0") + extra).ljust(400, b"\0") + pixels.tobytes()


def files(tags: list[Tag]) -> dict[str, bytes]:
    block = exif(tags)
    return {
        "a.jpg": saved("JPEG", quality=100, subsampling=0, exif=b"Exif\0\0" + block),
        "twice.jpg": saved("JPEG", quality=100, subsampling=0, exif=b"Exif\0\0Exif\0\0" + block),
        "a.png": png(block),
        "headed.png": png(b"Exif\0\0" + block),
        "magick.png": raw_profile(block),
        "a.webp": saved("WEBP", lossless=True, exif=block),
        "a.tif": tiff(tags),
    }


@pytest.mark.parametrize(("tags", "turned"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_the_orientation_tag_alone_turns_a_picture(decoder, tmp_path, tags, turned):
    upright = np.asarray(stored())
    upright = np.rot90(upright, 3) if turned else upright
    height, width, _ = upright.shape
    preprocessing = Preprocessing(60, height, width)
    for name, content in files(tags).items():
        path = tmp_path / name
        path.write_bytes(content)
        assert upright_size(path) == (width, height), name
        with Image.open(path) as opened:
            for picture in (path, content, opened):
                pixels, size = preprocess(picture, preprocessing)
                assert size == (width, height), name
                difference = np.abs(pixels.astype(int) - upright).max()
                assert difference <= (12 if name.endswith("jpg") else 0), (name, type(picture))


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_an_image_that_its_owner_turned_is_not_turned_again(tmp_path):
    from PIL import ImageOps

    path = tmp_path / "a.jpg"
    path.write_bytes(files([TURNED])["a.jpg"])
    with Image.open(path) as opened:
        turned = ImageOps.exif_transpose(opened)
        assert preprocess(turned, Preprocessing(60, 80, 60))[1] == (60, 80)
        copied = opened.copy()  # loaded as stored: its tag still says what to do
        assert preprocess(copied, Preprocessing(60, 80, 60))[1] == (60, 80)
        copied.getexif()[ORIENTATION] = 1
        assert preprocess(copied, Preprocessing(60, 60, 80))[1] == (80, 60)


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_predictions_of_path_bytes_and_image_are_the_same(bundle_path, tmp_path):
    engine = zoo.load(bundle_path)
    for name, content in files(TURNED_BY["GPS at nowhere"]).items():
        path: Path = tmp_path / name
        path.write_bytes(content)
        with Image.open(path) as opened:
            first, *others = (engine.predict(picture).scores for picture in (path, content, opened))
        for other in others:
            np.testing.assert_array_equal(other, first)
