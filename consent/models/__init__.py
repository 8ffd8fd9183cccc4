"""Purposes, notices, subjects, the ledger of what each decided, and the rights that they exercise."""

from consent.models.ledger import (
    CLEAR_COLUMNS,
    AccessLog,
    ConsentEvent,
    ConsentState,
    LedgerCheckpoint,
    NoticeVersion,
    PropagationJob,
    Purpose,
    Subject,
    SubjectIdentifier,
    SubjectKey,
)
from consent.models.rights import Feeling, PrivacyRequest

__all__ = [
    "CLEAR_COLUMNS",
    "AccessLog",
    "ConsentEvent",
    "ConsentState",
    "Feeling",
    "LedgerCheckpoint",
    "NoticeVersion",
    "PrivacyRequest",
    "PropagationJob",
    "Purpose",
    "Subject",
    "SubjectIdentifier",
    "SubjectKey",
]
