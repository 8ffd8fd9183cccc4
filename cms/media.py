"""Take in pictures: judged by what they are, decoded and written again, so that nothing else travels along."""

import hashlib
import io
import struct
import zlib
from dataclasses import dataclass

import puremagic
from django.conf import settings
from django.core.files.base import ContentFile
from PIL import Image, ImageOps

from cms.models import Media

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}
_DAMAGED = (
    puremagic.PureError, OSError, SyntaxError, ValueError, EOFError, OverflowError, struct.error, zlib.error,
    Image.DecompressionBombError, Image.DecompressionBombWarning,
)  # fmt: skip  # what the readers of pictures raise over damaged ones


class MediaError(Exception):
    """A file that is not taken: `code` and a sentence."""

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code, self.sentence = code, sentence


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture written anew, the ending of its name, and its size in pixels."""

    content: bytes
    ending: str
    width: int
    height: int


def set_picture(row: Media, content: bytes) -> None:
    """Give a media row its picture (without saving the row); raises MediaError."""
    picture = read_image(content)
    row.checksum = hashlib.sha256(content).hexdigest()
    row.width, row.height = picture.width, picture.height
    row.file.save(f"{row.key}.{picture.ending}", ContentFile(picture.content), save=False)


def read_image(content: bytes) -> Picture:
    """Return a picture written anew; raises MediaError."""
    if len(content) > settings.MEDIA_MAX_BYTES:
        raise MediaError("too_large", f"A picture has at most {settings.MEDIA_MAX_BYTES // 2**20} MB.")
    try:
        if not puremagic.from_string(content, mime=True).startswith("image/"):
            raise _not_an_image()
        with Image.open(io.BytesIO(content), formats=list(FORMATS)) as picture:
            if picture.width * picture.height > settings.MEDIA_MAX_PIXELS:
                pixels = settings.MEDIA_MAX_PIXELS // 1_000_000
                raise MediaError("too_large", f"A picture has at most {pixels} million pixels.")
            return _written(picture)
    except _DAMAGED as error:
        raise _not_an_image() from error


def _not_an_image() -> MediaError:
    return MediaError("not_an_image", "This file is not a picture (JPEG, PNG, WebP or GIF).")


def _written(picture: Image.Image) -> Picture:
    """Write the pixels alone: no comments, no place, no profile, nothing behind the end."""
    kind = picture.format or "PNG"
    upright = ImageOps.exif_transpose(picture)
    has_alpha = "A" in upright.getbands() or "transparency" in upright.info
    plain = upright.convert("RGBA" if has_alpha and kind != "JPEG" else "RGB")
    plain.info = {}
    out = io.BytesIO()
    plain.save(out, format=kind)
    return Picture(out.getvalue(), FORMATS[kind], plain.width, plain.height)


def stored_bytes(row: Media) -> bytes:
    """Return a picture as it is stored; empty when its file is gone."""
    try:
        with row.file.open("rb") as file:
            content: bytes = file.read()
            return content
    except FileNotFoundError:
        return b""
