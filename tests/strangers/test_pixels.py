"""Kinds of pixels beyond 8-bit RGB: scaled as is agreed, or refused by the file's name."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from zoo.data import DataConfig, load
from zoo.errors import InputError
from zoo.preprocess import Preprocessing, preprocess

SIDE = 48
RAMP = np.tile(np.linspace(0, 1, SIDE), (SIDE, 1))
GREY = (RAMP * 255).round()
WHITE_IS_ZERO = {262: 0}


def saved(array: np.ndarray, format: str = "TIFF", **options: object) -> bytes:
    file = io.BytesIO()
    Image.fromarray(array).save(file, format, **options)
    return file.getvalue()


def pixels(content: bytes) -> np.ndarray:
    """uint8 [H, W, 3], the same from bytes and from a PIL image."""
    found, _ = preprocess(content, Preprocessing.square(SIDE))
    with Image.open(io.BytesIO(content)) as opened:
        np.testing.assert_array_equal(preprocess(opened, Preprocessing.square(SIDE))[0], found)
    return found


SCALED = {
    "float": saved(RAMP.astype(np.float32)),
    "float, a little outside": saved((RAMP * 1.001).astype(np.float32)),
    "float, white is zero": saved((1 - RAMP).astype(np.float32), tiffinfo=WHITE_IS_ZERO),
    "16 bits": saved((RAMP * 65535).astype(np.uint16)),
    "16 bits, compressed": saved((RAMP * 65535).astype(np.uint16), compression="tiff_deflate"),
    "16 bits, white is zero": saved((65535 - RAMP * 65535).astype(np.uint16), tiffinfo=WHITE_IS_ZERO),
    "16 bits, PNG": saved((RAMP * 65535).astype(np.uint16), "PNG"),
    "16 bits, PGM": saved((RAMP * 65535).astype(np.uint16), "PPM"),
    "32 bits that fit into 16": saved((RAMP * 65535).astype(np.int32)),
}
REFUSED = {
    "float to 255": (saved((RAMP * 255).astype(np.float32)), "floats from 0 to 255"),
    "float to 65535": (saved((RAMP * 65535).astype(np.float32)), "floats from 0 to 65535"),
    "negative float": (saved((RAMP - 0.5).astype(np.float32)), "floats from -0.5 to 0.5"),
    "NaN": (saved(np.where(RAMP > 0.9, np.nan, RAMP).astype(np.float32)), "floats from nan"),
    "infinity": (saved(np.where(RAMP > 0.9, np.inf, RAMP).astype(np.float32)), "floats from 0 to inf"),
    "24 bits": (saved((RAMP * 2**24).astype(np.int32)), "whole numbers from 0 to 16777216"),
    "negative": (saved((RAMP * 100 - 50).astype(np.int32)), "whole numbers from -50 to 50"),
    "8 bits in 32": (saved(GREY.astype(np.int32)), "32 bits up to 255, which is black"),
    "8 bits in 16": (saved(GREY.astype(np.uint16)), "16 bits up to 255, which is black"),
    "8 bits in 16, PNG": (saved(GREY.astype(np.uint16), "PNG"), "16 bits up to 255, which is black"),
}


@pytest.mark.parametrize("content", SCALED.values(), ids=SCALED.keys())
def test_deep_pixels_are_scaled(decoder, content):
    found = pixels(content)
    assert (found.min(), found.max()) == (0, 255)
    assert np.abs(found.astype(int) - GREY[..., None]).max() <= 1


@pytest.mark.parametrize(("content", "why"), REFUSED.values(), ids=REFUSED.keys())
def test_pixels_of_no_agreed_meaning_are_refused_by_the_files_name(decoder, tmp_path, content, why):
    path = tmp_path / "scan.tif"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot read .*scan\.tif: its pixels are .*{why}"):
        preprocess(path, Preprocessing.square(SIDE))
    with Image.open(path) as opened, pytest.raises(InputError, match=why):
        preprocess(opened, Preprocessing.square(SIDE))


def test_twelve_bits_are_scaled_by_what_their_tag_says():
    twelve = b"II*\0" + (8).to_bytes(4, "little")
    tags = [(256, 4, 1, 4), (257, 4, 1, 2), (258, 3, 1, 12), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 150),
            (277, 3, 1, 1), (278, 4, 1, 2), (279, 4, 1, 12)]  # fmt: skip
    entries = b"".join(
        a.to_bytes(2, "little") + b.to_bytes(2, "little") + c.to_bytes(4, "little") + d.to_bytes(4, "little")
        for a, b, c, d in tags
    )
    row = bytes.fromhex("000 7ff 800 fff".replace(" ", ""))
    content = (twelve + len(tags).to_bytes(2, "little") + entries).ljust(150, b"\0") + row + row
    found, _ = preprocess(content, Preprocessing(2, 2, 4))
    assert found[0, :, 0].tolist() == [0, 127, 127, 255]


def coloured() -> Image.Image:
    grey = Image.fromarray(GREY.astype(np.uint8))
    return Image.merge("RGB", [grey, grey.transpose(Image.Transpose.ROTATE_90), grey])


@pytest.mark.parametrize(
    ("mode", "format", "most"),
    [
        ("CMYK", "TIFF", 0),
        ("CMYK", "JPEG", 12),
        ("YCbCr", "TIFF", 3),
        ("RGBX", "TIFF", 0),
        ("RGBA", "PNG", 0),
        ("P", "TIFF", 0),
        ("P", "PNG", 0),
        ("P", "GIF", 0),
        ("LAB", "TIFF", 40),  # steps of its own, at the edge of what sRGB can show
    ],
)
def test_every_space_of_colours_shows_the_same_picture(decoder, mode, format, most):
    image = coloured()
    if mode == "P":
        image = image.convert("P").convert("RGB")  # in the colours of a palette
    if mode == "LAB":
        profiles = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        converted = ImageCms.applyTransform(image, ImageCms.buildTransform(*profiles, "RGB", "LAB"))
        assert converted is not None
    else:
        converted = image.convert(mode)
    file = io.BytesIO()
    converted.save(file, format, **({"quality": 100, "subsampling": 0} if format == "JPEG" else {}))
    assert np.abs(pixels(file.getvalue()).astype(int) - np.asarray(image)).max() <= most


def test_a_folder_of_float_pictures_is_trained_on_as_they_are_meant(tmp_path, capsys):
    random = np.random.default_rng(0)
    for label, scale in (("dark", 0.3), ("bright", 0.9)):
        (tmp_path / label).mkdir()
        for number in range(4):
            values = random.uniform(0.5, 1, (SIDE, SIDE)) * scale
            (tmp_path / label / f"{number}.tif").write_bytes(saved(values.astype(np.float32)))
    splits = load(DataConfig(path=tmp_path, size=SIDE, test=0.25), 0)
    means = {label: splits.train.images[splits.train.targets == n].mean() for n, label in enumerate(splits.labels)}
    assert means["dark"] == pytest.approx(0.225 * 255, abs=3)
    assert means["bright"] == pytest.approx(0.675 * 255, abs=3)
    (tmp_path / "dark" / "0.tif").write_bytes(saved((RAMP * 65535).astype(np.float32)))
    assert load(DataConfig(path=tmp_path, size=SIDE, test=0.25), 0).skipped == 1
    shown = " ".join(capsys.readouterr().err.split())
    assert "skipped 1 of 8 images: cannot read" in shown
    assert f"{Path('dark') / '0.tif'}: its pixels are floats from 0 to 65535" in shown
