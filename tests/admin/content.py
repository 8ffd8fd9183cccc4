"""Small content for the admin's tests, loaded the way every bundle is."""

from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group
from django.test import Client
from django.utils import timezone

from cms.errors import errors_among
from cms.roles import ensure_roles
from personalization.bundle import load_bundle

HERO = [
    {"key": "headline", "kind": "text", "title": "Headline", "localized": True, "required": True},
    {"key": "body", "kind": "rich_text", "title": "Text", "localized": True},
    {"key": "price", "kind": "number", "title": "Price"},
    {"key": "big", "kind": "boolean", "title": "Big"},
    {"key": "until", "kind": "date", "title": "Until"},
    {"key": "tone", "kind": "choice", "title": "Tone", "options": [{"key": "sea"}, {"key": "sand"}]},
    {"key": "cta", "kind": "link", "title": "Button", "localized": True},
    {"key": "picture", "kind": "media", "title": "Picture"},
    {"key": "next", "kind": "block", "title": "Next", "types": ["hero"]},
    {"key": "more", "kind": "list", "of": "block", "title": "More", "types": ["hero"]},
    {"key": "tags", "kind": "list", "of": "text", "title": "Tags"},
]
BUNDLE: dict[str, Any] = {
    "tessera": 1,
    "locales": ["en", "de"],
    "block_types": [{"key": "hero", "title": "Hero", "fields": HERO}],
    "blocks": [
        {"key": "hero-home", "type": "hero", "fields": {"headline": {"en": "Hello"}, "price": 5}},
        {"key": "hero-vip", "type": "hero", "fields": {"headline": {"en": "Welcome back"}}},
    ],
    "templates": [
        {"key": "landing", "title": "Landing", "slots": [{"key": "hero", "types": ["hero"], "max": 2}]},
    ],
    "traits": [{"key": "orders", "type": "number", "purpose": "personalization"}],
    "attributes": [{"key": "discount", "default": {"en": "5 %"}}],
    "segments": [
        {"key": "vip", "title": "VIP", "rule": {"orders": {"$exists": True, "$gte": 5}}, "min_size": 0}
    ],
    "pages": [
        {
            "path": "/",
            "template": "landing",
            "title": {"en": "Home", "de": "Start"},
            "meta": {"robots": "index", "description": {"en": "The shop"}},
            "slots": {
                "hero": [
                    {
                        "placement": "home-hero",
                        "variants": [
                            {"key": "vip", "when": {"segments": {"$in": ["vip"]}}, "block": "hero-vip"},
                            {
                                "key": "mobile",
                                "when": {"context.device": {"$eq": "mobile"}},
                                "override": {"price": 4},
                            },
                            {"key": "default", "default": True, "block": "hero-home"},
                        ],
                    }
                ]
            },
        }
    ],
}


def load(*, publish: bool = True) -> None:
    """Load the content and its roles."""
    ensure_roles()
    report = load_bundle(BUNDLE, now=timezone.now(), publish=publish, folder=None)
    assert not errors_among(report.problems), report.problems


def client_of(group: str | None) -> Client:
    """Return the client of somebody in a group; None is a superuser."""
    user, _ = get_user_model().objects.get_or_create(
        username=group or "root", is_staff=True, is_superuser=group is None
    )
    if group:
        user.groups.add(Group.objects.get(name=group))
    client = Client()
    client.force_login(user)
    return client


def form_of(response: Any) -> dict[str, Any]:
    """Return what a browser would send back: every field of the form and its nested rows, as it is shown."""
    sent: dict[str, Any] = {}
    _gather(response.context["adminform"].form, sent)
    for inline in response.context["inline_admin_formsets"]:
        _gather_rows(inline.formset, sent)
    return sent


def _gather_rows(formset: Any, sent: dict[str, Any]) -> None:
    _gather(formset.management_form, sent)
    for form in formset.forms:
        _gather(form, sent)
        for nested in getattr(form, "nested_formsets", ()):
            _gather_rows(nested.formset, sent)


def _gather(form: Any, sent: dict[str, Any]) -> None:
    from html.parser import HTMLParser

    class Inputs(HTMLParser):
        """Reads the successful controls of a form's HTML."""

        select: str | None = None
        area: str | None = None

        def handle_starttag(self, tag: str, attrs: Any) -> None:
            given = dict(attrs)
            name = given.get("name")
            if tag == "template":
                self.skip = True
            if getattr(self, "skip", False):
                return
            if (
                tag == "input"
                and name
                and (given.get("type") not in ("checkbox", "radio") or "checked" in given)
            ):
                if given.get("type") != "file":
                    sent.setdefault(name, []).append(
                        given.get("value", "on" if given.get("type") == "checkbox" else "")
                    )
            elif tag == "select":
                self.select = name
            elif tag == "option" and self.select and "selected" in given:
                sent.setdefault(self.select, []).append(given.get("value", ""))
            elif tag == "textarea" and name:
                self.area = name
                sent.setdefault(name, []).append("")

        def handle_endtag(self, tag: str) -> None:
            if tag == "template":
                self.skip = False
            elif tag == "select":
                if self.select:
                    sent.setdefault(self.select, [""])
                self.select = None
            elif tag == "textarea":
                self.area = None

        def handle_data(self, data: str) -> None:
            if self.area:
                sent[self.area][-1] = (sent[self.area][-1] + data).removeprefix("\n").replace("\n", "\r\n")

    parser = Inputs()
    for field in form:
        parser.feed(str(field))
