"""Every field of every model, declared: personal, with its holder, or nothing of anybody (`consent/registry.py`).

A new field is declared here, or CI fails: the audit asks for each. A personal one is then shown, erased and given away
by the holder that answers for it (`keeping.py`, `consent/holding.py`).
"""

from typing import Final

from consent.registry import Declared

_EDITORS: Final = "Content and settings that editors write; `owner`, `created_by` and the like name staff."
_NUMBERS: Final = "Numbers and states of the system, over nobody or over many."


def _plain(model: str, fields: str, why: str = _EDITORS) -> Declared:
    return Declared(model, plain=tuple(fields.split()), why=why)


def _personal(model: str, holder: str, personal: str, plain: str, purposes: str, kept: str) -> Declared:
    return Declared(model, holder, tuple(personal.split()), tuple(plain.split()), purposes, kept)


_HISTORY: Final = "history_id history_date history_change_reason history_type history_user"
_TRAIT: Final = "id key title type purpose source identifying default label site"
_SEGMENT: Final = "id key title kind rule score tiers attributes purposes label topic priority position min_size site parent"
_PURPOSE: Final = (
    "id site_id key title summary details legal_basis mechanism sensitive sale_or_share gpc_applies retention_days"
    " keep_days min_age consent_mode active position"
)
_UNTIL_ERASED: Final = "until one is erased"
_UNTIL_WITHDRAWN: Final = "until the purpose is withdrawn or one is erased"

DECLARED: Final = (
    # -- content
    _plain(
        "cms.Site",
        "id key title host locales time_zone requires_key offer_cap counts_when_seen strict_events recalculated_at epoch"
        " directory_version catalogue_version",
    ),
    _plain("cms.BlockType", "id site key title fields catalogue source version"),
    _plain("cms.HistoricalBlockType", f"id key title fields catalogue source version site {_HISTORY}"),
    _plain("cms.Block", "id site uid key type data published live owner updated_at"),
    _plain("cms.BlockRevision", "id block n data created_at created_by"),
    _plain("cms.BlockReference", "id source target"),
    _plain("cms.Media", "id site key file alt width height checksum"),
    _plain("cms.Experience", "id site key title cap min_interval"),
    _plain("cms.Template", "id site key title slots source"),
    _plain("cms.HistoricalTemplate", f"id key title slots source site {_HISTORY}"),
    _plain("cms.Page", "id site path title meta go_live_at expire_at published compile_cause updated_at"),
    _plain("cms.PageTemplate", "id page position template rule is_default"),
    _plain("cms.Placement", "id page slot position key min_interval rotation"),
    _plain(
        "cms.Variant",
        "id placement position key kind block overrides base_revision rule starts_at ends_at cap offer weight"
        " experience is_default",
    ),
    _plain("cms.PageRevision", "id page n content cause published_at published_by"),
    _plain("cms.Plan", "id page revision locale program checksum starts_at ends_at active blocks"),
    # -- consent
    _plain("consent.Purpose", _PURPOSE),
    _plain("consent.HistoricalPurpose", f"{_PURPOSE} {_HISTORY}"),
    _plain("consent.NoticeVersion", "id site_id n texts sha256 published_at"),
    _plain(
        "consent.LedgerCheckpoint", "id site_id n from_id to_id entries root prev at hash signature", _NUMBERS
    ),
    _personal(
        "consent.Subject",
        "identity",
        "id age_band jurisdiction merged_into created_at",
        "site_id",
        "necessary",
        _UNTIL_ERASED,
    ),
    _personal(
        "consent.SubjectIdentifier",
        "identity",
        "subject kind value_enc blind_index",
        "id",
        "necessary",
        _UNTIL_ERASED,
    ),
    _personal(
        "consent.SubjectKey",
        "identity",
        "subject wrapped_dek",
        "kek_id destroyed_at",
        "necessary",
        _UNTIL_ERASED,
    ),
    _personal(
        "consent.ConsentState",
        "decisions",
        "subject state expires gpc gpc_seen_at updated_at paused_until keep_days remind_days reminded_at",
        "site_id version",
        "necessary",
        _UNTIL_ERASED,
    ),
    _personal(
        "consent.ConsentEvent",
        "decisions",
        "subject_key purpose action gpc tc_string gpp_string at salt payload_enc",
        "id site_id seq notice_version served_id method actor regime commitment prev_hash hash",
        "necessary",
        "rows and hashes for ever; what they say in words until one is erased",
    ),
    _personal(
        "consent.PropagationJob",
        "decisions",
        "subject_key purposes",
        "id consent_event holder state attempts rows_affected created_at not_before due_at done_at error",
        "necessary",
        "as the receipt of an erasure",
    ),
    _personal(
        "consent.AccessLog",
        "access_log",
        "subject_key purposes",
        "id site_id at kind actor people place reason",
        "necessary",
        "ACCESS_LOG_DAYS",
    ),
    _personal(
        "consent.PrivacyRequest",
        "requests",
        "subject_key details said_enc result_enc",
        "id site_id kind regime channel verification state received_at due_at not_before done_at parts_done parts attempts"
        " error answer result_expires",
        "necessary",
        "as the proof that a right was answered; words until they are answered, an export until it is fetched",
    ),
    _plain("consent.Feeling", "id site_id day level count", _NUMBERS),
    # -- people
    _personal(
        "personalization.Profile",
        "profile",
        "subject_key traits sealed orders revenue first_order_at last_order_at categories features behaviour segments due_at"
        " excluded first_seen_at last_seen_at",
        "site behaviour_version folded_id held version snapshot_version",
        "each trait's own; personalization for what is computed",
        _UNTIL_WITHDRAWN,
    ),
    _personal(
        "personalization.Event",
        "events",
        "subject_key name properties happened_at purposes",
        "id site key_prefix message_id kind received_at",
        "as stamped at receipt",
        "the purpose's own time, else EVENT_RETENTION_DAYS",
    ),
    _plain("personalization.EventSeen", "digest seen_at", _NUMBERS),
    _plain(
        "personalization.EventType",
        "id site key title description schema purposes from_server declared retention_days sample sampled_at"
        " first_seen_at last_seen_at",
    ),
    _plain("personalization.EventCount", "id site day name reason count last_at", _NUMBERS),
    _personal(
        "personalization.Exposure",
        "exposures",
        "subject_key placement variant decision at",
        "id key site counters purposes",
        "personalization",
        _UNTIL_WITHDRAWN,
    ),
    _plain("personalization.DeadLetter", "id kind reference attempts error created_at replayed_at", _NUMBERS),
    _plain("personalization.ApiKey", "id prefix hashed_key created name revoked expiry_date site scopes"),
    _personal(
        "personalization.Touched",
        "touched",
        "subject_key at",
        "id site attempts next_at since until last_id",
        "personalization",
        "seconds",
    ),
    _plain("personalization.ItemSales", "id site item category quantity", _NUMBERS),
    _plain("personalization.Trait", _TRAIT),
    _plain("personalization.HistoricalTrait", f"{_TRAIT} {_HISTORY}"),
    _plain("personalization.Attribute", "id site key default"),
    _plain("personalization.Segment", f"{_SEGMENT} size open refreshed_at"),
    _plain("personalization.HistoricalSegment", f"{_SEGMENT} {_HISTORY}"),
    _personal(
        "personalization.Membership",
        "memberships",
        "segment subject_key entered_at",
        "id",
        "the list's own",
        _UNTIL_WITHDRAWN,
    ),
    _personal(
        "personalization.SegmentChange",
        "changes",
        "segment subject_key entered at cause event",
        "id site announced_at",
        "the segment's",
        _UNTIL_WITHDRAWN,
    ),
    _plain("personalization.SegmentSize", "id segment at size", _NUMBERS),
    _plain(
        "personalization.SegmentRun",
        "id site scope state started_at alive_at finished_at total error profiles entered left differences decides",
        _NUMBERS,
    ),
    _plain("personalization.Directory", "id site version program"),
    _plain(
        "personalization.WebhookEndpoint",
        "id site title url secret kinds purpose active previous_secret previous_until failing_since failures paused_until"
        " disabled_at disabled_reason segments",
    ),
    _plain("personalization.WebhookEndpoint_segments", "id webhookendpoint segment"),
    _personal(
        "personalization.WebhookDelivery",
        "webhooks",
        "kind segment subject_key at",
        "id endpoint message_id change state attempts next_at status error done_at",
        "the segment's and the endpoint's",
        "30 days",
    ),
    _personal(
        "personalization.TriggerRun",
        "triggers",
        "trigger segment subject_key entered at",
        "id change state attempts next_at error done_at",
        "the segment's and the trigger's",
        "30 days",
    ),
)
