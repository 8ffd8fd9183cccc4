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


def claim(subject_id: uuid.UUID, kind: str, value: str) -> bool:
    """Attach an identifier to a subject; return whether it is theirs now. Somebody else's is left alone."""
    index = blind_index(kind, value)
    existing = SubjectIdentifier.objects.filter(kind=kind, blind_index=index).first()
    if existing is not None:
        return existing.subject_id == subject_id
    _, made = SubjectIdentifier.objects.get_or_create(
        kind=kind,
        blind_index=index,
        defaults={"subject_id": subject_id, "value_enc": seal(subject_id, value.encode())},
    )
    return made


def subject_of(kind: str, value: str) -> uuid.UUID | None:
    """Return whose identifier it is."""
    found = SubjectIdentifier.objects.filter(kind=kind, blind_index=blind_index(kind, value)).first()
    return found.subject_id if found else None
