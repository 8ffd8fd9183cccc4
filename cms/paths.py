"""Paths of pages: one spelling for each, whatever slashes a request or an editor writes."""

import re

from django.core.exceptions import ValidationError

MAX_LENGTH = 500
_SEGMENT = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")


def normalise(path: str) -> str:
    """Return the one spelling: a leading slash, no trailing one, `/` for the home page."""
    return "/" + path.strip("/")


def valid_path(path: str) -> None:
    """Raise ValidationError unless the path is in its one spelling and made of plain segments."""
    if path != normalise(path):
        raise ValidationError(f"Write the path as {normalise(path)}.", "path_spelling")
    if len(path) > MAX_LENGTH:
        raise ValidationError(f"A path has at most {MAX_LENGTH} characters.", "path_length")
    for segment in path.strip("/").split("/") if path != "/" else ():
        if not _SEGMENT.fullmatch(segment):
            raise ValidationError(
                f"'{segment}' cannot stand in a path: use letters, digits, - . _ and ~.", "path_characters"
            )
