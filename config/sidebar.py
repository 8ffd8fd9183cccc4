"""The admin's menu: which screens it names, in which order, and who sees which.

In: nothing but the names of the admin's urls. Out: unfold's `UNFOLD["SIDEBAR"]["navigation"]`. An entry without a
permission is shown to everybody who may enter the admin; a screen itself still asks for its own permission.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest
from django.urls import reverse, reverse_lazy

Allowed = Callable[[HttpRequest], bool]


class Entry(NamedTuple):
    """One line of the menu; `url` is a name within the admin, `badge` the path of a function of a request, to a text."""

    title: str
    icon: str
    url: str
    allowed: Allowed | None = None
    badge: str = ""


def _may_see_people(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("personalization.view_profile"))


def _may_see_consent(request: HttpRequest) -> bool:
    return bool(request.user.has_perm("consent.view_purpose"))


def _is_superuser(request: HttpRequest) -> bool:
    return bool(request.user.is_superuser)


MENU: dict[str, tuple[Entry, ...]] = {
    "Content": (
        Entry("Pages", "web", "cms_page_changelist"),
        Entry("Blocks", "widgets", "cms_block_changelist"),
        Entry("Media", "image", "cms_media_changelist"),
        Entry("Experiences", "auto_awesome", "cms_experience_changelist"),
    ),
    "Structure": (
        Entry("Block types", "category", "cms_blocktype_changelist"),
        Entry("Templates", "dashboard", "cms_template_changelist"),
        Entry("Site", "language", "cms_site_changelist"),
    ),
    "Readers": (
        Entry("Segments", "groups", "personalization_segment_changelist"),
        Entry("Traits", "badge", "personalization_trait_changelist"),
        Entry("Attributes", "sell", "personalization_attribute_changelist"),
        Entry("Recipes", "menu_book", "personalization_segment_recipes"),
        Entry("Segment runs", "history", "personalization_segmentrun_changelist"),
        Entry("Profiles", "person_search", "personalization_profile_changelist", _may_see_people),
    ),
    "What happens": (
        Entry("Events", "bolt", "personalization_eventtype_changelist"),
        Entry("Live events", "sensors", "personalization_event_live", _may_see_people),
        Entry("Webhooks", "webhook", "personalization_webhookendpoint_changelist", _may_see_people),
        Entry("Messages sent", "outbox", "personalization_webhookdelivery_changelist", _may_see_people),
        Entry("Triggers", "flash_on", "personalization_triggerrun_changelist", _may_see_people),
        Entry("Failed for good", "report", "personalization_deadletter_changelist", _may_see_people),
    ),
    "Consent": (
        Entry("Privacy desk", "shield_person", "consent_desk", _may_see_consent),
        Entry(
            "Requests",
            "mark_email_unread",
            "consent_privacyrequest_changelist",
            _may_see_consent,
            badge="personalization.admin.privacy_requests.open_badge",
        ),
        Entry("Purposes", "task", "consent_purpose_changelist", _may_see_consent),
        Entry("Notices", "article", "consent_noticeversion_changelist", _may_see_consent),
        Entry("Ledger", "lock", "consent_consentevent_changelist", _may_see_consent),
        Entry("Effects", "cleaning_services", "consent_propagationjob_changelist", _may_see_consent),
        Entry("Log of accesses", "visibility", "consent_accesslog_changelist", _may_see_consent),
    ),
    "Access": (
        Entry("API keys", "key", "personalization_apikey_changelist", _is_superuser),
        Entry("People", "person", "auth_user_changelist", _is_superuser),
        Entry("Roles", "badge", "auth_group_changelist", _is_superuser),
    ),
}


def navigation() -> list[dict[str, Any]]:
    """Return the menu as unfold reads it."""
    return [{"title": title, "items": [_item(entry) for entry in entries]} for title, entries in MENU.items()]


def _is_here(url: str, request: HttpRequest) -> bool:
    """Say whether a line leads to where one is: the one whose address is the longest beginning of this one."""
    links = (reverse(f"admin:{entry.url}") for entries in MENU.values() for entry in entries)
    nearest = max((link for link in links if request.path.startswith(link)), key=len, default="")
    return nearest == reverse(url)


def _item(entry: Entry) -> dict[str, Any]:
    item: dict[str, Any] = {
        "title": entry.title,
        "icon": entry.icon,
        "link": reverse_lazy(f"admin:{entry.url}"),
        "active": partial(_is_here, f"admin:{entry.url}"),
    }
    item |= {"permission": entry.allowed} if entry.allowed else {}
    return item | ({"badge": entry.badge} if entry.badge else {})
