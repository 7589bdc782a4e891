"""`zoo.preprocess.pillow`: every kind of picture becomes the right pixels."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from zoo.errors import InputError
from zoo.preprocess import Picture, Pixels, Preprocessing
from zoo.preprocess.pillow import preprocess, upright_size

SQUARE = Preprocessing.square(16)


def read(picture: Picture, preprocessing: Preprocessing) -> Pixels:
    """The reference's pixels alone."""
    return preprocess(picture, preprocessing)[0]


def encoded(image: Image.Image, format: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format, **options)
    return buffer.getvalue()


def gradient(size: int = 16) -> np.ndarray:
    ramp = np.linspace(0, 255, size).astype(np.uint8)
    return np.stack(
        [np.tile(ramp, (size, 1)), np.tile(ramp[:, None], (1, size)), np.full((size, size), 90, np.uint8)], -1
    )


def test_pixels_of_the_right_size_pass_unchanged():
    assert np.array_equal(read(gradient(), SQUARE), gradient())
    assert np.array_equal(read(encoded(Image.fromarray(gradient()), "PNG"), SQUARE), gradient())


def test_grey_becomes_three_equal_channels():
    grey = gradient()[..., 0]
    for source in (grey, grey[..., None], encoded(Image.fromarray(grey), "PNG"), Image.fromarray(grey)):
        assert np.array_equal(read(source, SQUARE), np.repeat(grey[..., None], 3, axis=2))


def test_16_bits_are_scaled_and_not_clipped():
    wide = (gradient()[..., 0].astype(np.uint16)) * 257
    assert np.array_equal(read(encoded(Image.fromarray(wide), "PNG"), SQUARE)[..., 0], gradient()[..., 0])


def test_transparency_is_laid_over_white():
    pixels = np.dstack([gradient(), np.zeros((16, 16), np.uint8)])
    pixels[:8, :, 3] = 255
    for source in (pixels, encoded(Image.fromarray(pixels, "RGBA"), "PNG")):
        laid = read(source, SQUARE)
        assert np.array_equal(laid[:8], gradient()[:8])
        assert (laid[8:] == 255).all()


def test_cmyk_jpeg_keeps_its_colours():
    flat = np.full((16, 16, 3), (200, 60, 30), np.uint8)
    pixels = read(encoded(Image.fromarray(flat).convert("CMYK"), "JPEG", quality=100), SQUARE)
    assert np.abs(pixels.astype(int) - flat).max() <= 4


def test_exif_rotation_is_applied():
    image = Image.fromarray(gradient())
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: the picture is to be shown rotated by 270 degrees
    turned = read(encoded(image, "JPEG", quality=100, subsampling=0, exif=exif), SQUARE)
    assert np.abs(turned.astype(int) - np.rot90(gradient(), 3)).max() <= 6


def test_short_side_is_resized_and_the_centre_cropped():
    wide = np.zeros((32, 96, 3), np.uint8)
    wide[:, 32:64] = 255
    assert read(wide, SQUARE)[:, 1:-1].min() > 250  # the middle third, its outermost columns blended by the filter
    assert read(np.zeros((96, 32, 3), np.uint8), Preprocessing(20, 16, 12)).shape == (16, 12, 3)


def test_large_jpeg_is_decoded_small_and_never_below_the_target():
    large = Image.fromarray(gradient(256)).resize((1024, 768))
    pixels = read(encoded(large, "JPEG", quality=95), Preprocessing.square(96))
    reference = read(large, Preprocessing.square(96))
    assert np.abs(pixels.astype(int) - reference).mean() < 2


@pytest.mark.parametrize("format", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("orientation", "size"), [(None, (40, 30)), (3, (40, 30)), (6, (30, 40)), (8, (30, 40))])
def test_the_size_is_that_of_the_upright_picture(tmp_path, format, orientation, size):
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    path = tmp_path / "picture"
    path.write_bytes(encoded(Image.fromarray(gradient()).resize((40, 30)), format, exif=exif))
    assert upright_size(path) == size == preprocess(path, SQUARE)[1]


@pytest.mark.parametrize("damage", ["truncated", "text", "empty"])
def test_a_file_that_is_no_picture_is_named(tmp_path, damage):
    good = encoded(Image.fromarray(gradient(64)), "JPEG", quality=95)
    path = tmp_path / "broken.jpg"
    path.write_bytes({"truncated": good[: len(good) // 2], "text": b"not a picture", "empty": b""}[damage])
    with pytest.raises(InputError, match=r"broken\.jpg"):
        read(path, SQUARE)


def test_missing_file_and_wrong_pixels():
    with pytest.raises(InputError, match="no such image"):
        read("/nowhere/x.png", SQUARE)
    with pytest.raises(InputError, match="uint8"):
        read(np.zeros((4, 4, 3), np.float32), SQUARE)
