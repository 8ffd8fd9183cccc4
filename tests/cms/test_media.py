"""Uploads: judged by what they are, written again, and refused when they are anything but a picture."""

import io
import zlib
from contextlib import suppress
from pathlib import Path
from struct import pack

import pytest
from django.conf import settings
from django.test import override_settings
from PIL import Image, PngImagePlugin

from cms.media import MediaError, read_image, set_picture
from cms.models import Media
from tests.builders import make_media, picture, the_site

SCRIPT = b"<script>alert(document.domain)</script>"


def code_of(content: bytes) -> str:
    with pytest.raises(MediaError) as error:
        read_image(content)
    assert error.value.sentence.endswith(".")
    return error.value.code


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_is_taken_and_measured(kind: str) -> None:
    taken = read_image(picture(kind))
    assert (taken.width, taken.height) == (4, 3)
    with Image.open(io.BytesIO(taken.content)) as again:
        assert again.format == kind


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"GIF89a",
        b"\x89PNG\r\n\x1a\n",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><script/></svg>",
        b"<!doctype html>" + SCRIPT,
        b"%PDF-1.7",
        b"PK\x03\x04" + b"\x00" * 40,
        b"GIF89a/*" + SCRIPT + b"*/=1;",
        b"BM" + b"\x00" * 60,
    ],
)
def test_anything_else_is_refused(content: bytes) -> None:
    assert code_of(content) == "not_an_image"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_what_is_glued_to_a_picture_does_not_travel_along(kind: str) -> None:
    assert SCRIPT not in read_image(picture(kind) + SCRIPT + b"PK\x05\x06" + b"\x00" * 18).content


def test_comments_and_text_of_a_picture_do_not_travel_along() -> None:
    out = io.BytesIO()
    Image.new("P", (2, 2)).save(out, format="GIF", comment=SCRIPT)
    assert SCRIPT in out.getvalue()
    assert SCRIPT not in read_image(out.getvalue()).content
    notes, out = PngImagePlugin.PngInfo(), io.BytesIO()
    notes.add_text("note", SCRIPT.decode())
    Image.new("RGB", (2, 2)).save(out, format="PNG", pnginfo=notes)
    assert SCRIPT not in read_image(out.getvalue()).content


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "PNG"])
def test_where_a_picture_was_taken_does_not_travel_along(kind: str) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a secret place"
    out = io.BytesIO()
    Image.new("RGB", (2, 2)).save(out, format=kind, exif=exif, icc_profile=b"a profile with secret notes")
    assert b"secret" in out.getvalue() or kind == "PNG"
    assert b"secret" not in read_image(out.getvalue()).content


def test_a_picture_that_lies_on_its_side_is_set_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    out = io.BytesIO()
    Image.new("RGB", (4, 2)).save(out, format="JPEG", exif=exif)
    assert (read_image(out.getvalue()).width, read_image(out.getvalue()).height) == (2, 4)


def test_transparency_is_kept() -> None:
    out = io.BytesIO()
    Image.new("LA", (2, 2), (9, 0)).save(out, format="PNG")
    with Image.open(io.BytesIO(read_image(out.getvalue()).content)) as again:
        assert again.convert("RGBA").getpixel((0, 0)) == (9, 9, 9, 0)


def chunk(name: bytes, data: bytes) -> bytes:
    return pack(">I", len(data)) + name + data + pack(">I", zlib.crc32(name + data))


@pytest.mark.parametrize("side", [7_000, 10_000, 50_000])
def test_a_bomb_is_refused_before_it_is_unpacked(side: int) -> None:
    header = pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\x00" * 1_000))
    assert code_of(bomb) in ("too_large", "not_an_image")


@override_settings(MEDIA_MAX_BYTES=100)
def test_a_file_that_is_too_large_is_refused() -> None:
    assert code_of(b"x" * 101) == "too_large"


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF"])
def test_a_picture_that_is_cut_or_damaged_is_refused_and_never_an_error(kind: str) -> None:
    whole = picture(kind, (40, 30))
    for end in range(0, len(whole), max(1, len(whole) // 60)):
        damaged = bytearray(whole)
        damaged[end] ^= 0xFF
        for content in (whole[:end], bytes(damaged)):
            with suppress(MediaError):
                read_image(content)


@pytest.mark.django_db
@pytest.mark.parametrize("key", ["../../etc/passwd", "shell.php", "a/b", "x.svg"])
def test_the_name_of_a_file_is_made_here(key: str) -> None:
    row = Media(site=the_site(), key=key)
    set_picture(row, picture())
    stored = Path(row.file.path)
    assert stored.parent == Path(settings.MEDIA_ROOT)
    assert stored.suffix == ".png"
    assert len(stored.stem) == 32


@pytest.mark.django_db
def test_a_media_knows_its_size() -> None:
    row = make_media("ridge", en="A ridge")
    assert (row.width, row.height) == (4, 3)
