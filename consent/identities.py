"""Identifiers of subjects: encrypted, found by a blind index, claimed only with proof."""

import hashlib
import hmac
import uuid

from django.conf import settings

from consent.models import SubjectIdentifier
from consent.seal import blind_index, seal


def hash_is_valid(user_id: str, given: str) -> bool:
    """Say whether `given` is the hex HMAC-SHA-256 of the user id with the site's secret."""
    expected = hmac.new(settings.SITE_SECRET.encode(), user_id.encode(), hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, given.lower()) if given.isascii() else False


def claim(subject_id: uuid.UUID, kind: str, value: str) -> uuid.UUID:
    """Attach an identifier to a subject, unless it is somebody else's; return whose it is then."""
    owner = owner_of(kind, value)
    if owner is not None:
        return owner
    row, _ = SubjectIdentifier.objects.get_or_create(
        kind=kind,
        blind_index=blind_index(kind, value),
        defaults={"subject_id": subject_id, "value_enc": seal(subject_id, value.encode())},
    )
    return row.subject_id


def owner_of(kind: str, value: str) -> uuid.UUID | None:
    """Return whose identifier it is; None while it is nobody's."""
    found = SubjectIdentifier.objects.filter(kind=kind, blind_index=blind_index(kind, value))
    return found.values_list("subject_id", flat=True).first()


def has_identifier(subject_id: uuid.UUID, kind: str) -> bool:
    """Say whether a subject has an identifier of this kind."""
    return SubjectIdentifier.objects.filter(subject_id=subject_id, kind=kind).exists()
