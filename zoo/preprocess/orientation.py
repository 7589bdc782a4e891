"""Which way up a picture is to be shown: what its orientation tag says, whatever else stands beside it.

EXIF's orientation is a whole number, 1 to 8; one of another type, or of another value, is no orientation. Where EXIF
has none, that of the XMP packet counts. libzoo reads the same, in native/src/decode/orientation.cpp.
"""

from __future__ import annotations

import re

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import TiffImageFile

TAG = int(ExifTags.Base.Orientation)
SHORT, LONG = 3, 4  # TIFF's types of a whole number that is not negative
UPRIGHT, SIDEWAYS = 1, range(5, 9)  # the latter swap width and height
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
XMP = re.compile(rb'tiff:Orientation(?:="|>)([0-9])')
HEADER = re.compile(rb"^(?:Exif\0\0){1,2}")


class Tiff(TiffImageFile):
    """A TIFF as it is stored, with what its orientation tag says in `orientation`.

    Pillow turns one while it loads it, and reads all blocks of tags on the way: one that lies outside of the file would
    end that.
    """

    orientation = UPRIGHT

    def _setup(self) -> None:
        value = self.tag_v2.get(TAG)
        if value is not None:
            if self.tag_v2.tagtype.get(TAG) in (SHORT, LONG) and value in TURNS:
                self.orientation = int(value)
            del self.tag_v2[TAG]
        super()._setup()

    def load_end(self) -> None:
        """Nothing is left to be done."""


def of_file(image: Image.Image) -> int:
    """The orientation, 1 to 8, of an image that was just opened. A PNG has to be loaded: its tags may come last."""
    if isinstance(image, Tiff):
        return image.orientation
    return in_exif(_exif(image)) or _in_xmp(image) or UPRIGHT


def of_image(image: Image.Image) -> int:
    """The orientation of an image that somebody else opened, and may have turned or given another one since."""
    try:
        value = image.getexif().get(TAG)
        stored = Image.Exif()
        stored.load(_exif(image))
        changed = value != stored.get(TAG)
    except Exception:  # whatever Pillow stumbles over in other tags
        changed = False
    if not changed:
        return of_file(image)
    return value if type(value) is int and value in TURNS else UPRIGHT


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """The image, turned as its orientation says."""
    turn = TURNS.get(orientation)
    return image if turn is None else image.transpose(turn)


def in_exif(block: bytes) -> int:
    """The orientation in a block of EXIF tags, with or without its header; 0 where it has none."""
    tiff = HEADER.sub(b"", block)
    if len(tiff) < 8 or tiff[:4] not in (b"II*\0", b"MM\0*"):
        return 0

    def number(place: int, size: int) -> int:
        return int.from_bytes(tiff[place : place + size], "little" if tiff[0] == ord("I") else "big")

    start, found = number(4, 4), 0
    if start > len(tiff) - 2:
        return 0
    for entry in range(start + 2, start + 2 + 12 * number(start, 2), 12):
        if entry + 12 > len(tiff):
            break
        kind, count = number(entry + 2, 2), number(entry + 4, 4)
        if number(entry, 2) == TAG and count == 1 and kind in (SHORT, LONG):
            value = number(entry + 8, 2 if kind == SHORT else 4)
            found = value if value in TURNS else UPRIGHT  # then XMP is not asked
    return found


def _exif(image: Image.Image) -> bytes:
    block = image.info.get("exif")
    if isinstance(block, bytes):
        return block
    profile = image.info.get("Raw profile type exif")  # ImageMagick's, in a PNG: a name, a length, and digits
    if not isinstance(profile, str):
        return b""
    try:
        return bytes.fromhex("".join(profile.split("\n")[3:]))
    except ValueError:
        return b""


def _in_xmp(image: Image.Image) -> int:
    packet = image.info.get("XML:com.adobe.xmp") or image.info.get("xmp") or b""
    found = XMP.search(packet.encode() if isinstance(packet, str) else packet)
    value = int(found[1]) if found else 0
    return value if value in TURNS else 0
