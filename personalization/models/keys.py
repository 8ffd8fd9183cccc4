"""API keys with scopes. A key with `ingest` alone is a write key: publishable, it can read nothing."""

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.db import models
from rest_framework_api_key.models import AbstractAPIKey

from cms.models import Site

SCOPES = ("deliver", "preview", "ingest", "profiles", "manage", "privacy")


def _default_scopes() -> list[str]:
    return []


class ApiKey(AbstractAPIKey):
    site = models.ForeignKey(Site, on_delete=models.CASCADE, related_name="api_keys")
    scopes = ArrayField(
        models.CharField(max_length=20, choices=[(s, s) for s in SCOPES]), default=_default_scopes
    )

    class Meta(AbstractAPIKey.Meta):
        verbose_name = "API key"
        verbose_name_plural = "API keys"
        abstract = False

    @property
    def publishable(self) -> bool:
        """Whether the key may be seen by anyone, because it can only send events."""
        return self.scopes == ["ingest"]

    def clean(self) -> None:
        super().clean()
        check_scopes(self.scopes)


def check_scopes(scopes: Any) -> None:
    """Raise ValidationError for a scope that does not exist, or for none."""
    unknown = sorted(set(scopes) - set(SCOPES))
    if unknown or not scopes:
        raise ValidationError(
            f"Scopes are {', '.join(SCOPES)}" + (f"; not {', '.join(unknown)}." if unknown else ".")
        )
