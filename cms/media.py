"""Take in pictures: judged by what they are, decoded and written again, so that nothing else travels along."""

import hashlib
import io
from dataclasses import dataclass

import puremagic
from django.conf import settings
from django.core.files.base import ContentFile
from PIL import Image

from cms.models import Media

FORMATS = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp", "GIF": "gif"}


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
        kind = puremagic.from_string(content, mime=True)
    except (puremagic.PureError, ValueError) as error:
        raise MediaError("not_an_image", "This file is not a picture (JPEG, PNG, WebP or GIF).") from error
    if not kind.startswith("image/"):
        raise MediaError("not_an_image", "This file is not a picture (JPEG, PNG, WebP or GIF).")
    try:
        with Image.open(io.BytesIO(content), formats=list(FORMATS)) as picture:
            if picture.width * picture.height > settings.MEDIA_MAX_PIXELS:
                raise MediaError("too_large", "The picture has more than 40 million pixels.")
            return _written(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise MediaError("not_an_image", "This file is not a picture (JPEG, PNG, WebP or GIF).") from error


def _written(picture: Image.Image) -> Picture:
    kind = picture.format or "PNG"
    out = io.BytesIO()
    picture.load()
    plain = picture if picture.mode in ("RGB", "RGBA", "L", "P") else picture.convert("RGB")
    plain.save(out, format=kind)
    return Picture(out.getvalue(), FORMATS[kind], picture.width, picture.height)
