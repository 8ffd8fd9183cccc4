"""Links to exports: whoever has one can fetch the file, once, until it runs out."""

import uuid

from django.core.signing import BadSignature, Signer
from django.urls import reverse


def _signer() -> Signer:
    return Signer(salt="tessera.export", sep=".")


def link_of(request_id: uuid.UUID) -> str:
    """Return the path under which an export is fetched."""
    return reverse("privacy-download", args=[_signer().sign(request_id.hex)])


def export_of_link(signed: str) -> uuid.UUID | None:
    """Return which export a link names; None when it is not one of ours."""
    try:
        return uuid.UUID(hex=_signer().unsign(signed))
    except (BadSignature, ValueError):
        return None
