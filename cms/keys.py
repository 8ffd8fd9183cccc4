"""Keys: the short names that editors choose and that everything else refers to."""

import re
from typing import Any, Final, TypeGuard

from django.core.validators import RegexValidator
from django.db import models

KEY_PATTERN = re.compile(r"^[a-z0-9](?:[a-z0-9_-]*[a-z0-9])?$")
KEY_LENGTH: Final = 100
KEY_HELP = "Small letters, digits, - and _; rules, bundles and answers use it."

valid_key = RegexValidator(
    KEY_PATTERN, "Use small letters, digits, - and _ only, such as summer-sale.", "invalid_key"
)


def is_key(value: object) -> TypeGuard[str]:
    """Say whether a value can be a key."""
    return isinstance(value, str) and len(value) <= KEY_LENGTH and KEY_PATTERN.fullmatch(value) is not None


def key_field(**options: Any) -> "models.CharField[str, str]":
    """Return the model field of a key."""
    return models.CharField(max_length=KEY_LENGTH, validators=[valid_key], help_text=KEY_HELP, **options)
