"""Load the demo: its content, its people, its logins. People go the way of every visitor: consent, then events."""

import datetime as dt
import json
import secrets
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.contrib.auth.models import Group

from cms.errors import ContentError, errors_among
from cms.models.site import current_site
from cms.roles import ensure_roles
from consent.decisions import How, decide
from consent.enforcement import enforce
from consent.purposes import current_notice
from demo.state import FOLDER, Demo, personas, remember
from personalization.bundle import load_bundle
from personalization.ingest.message import Message, read
from personalization.ingest.store import Sender, keep
from personalization.lanes import catch_up
from personalization.models import ApiKey
from personalization.segments.directory import rebuild
from personalization.segments.refresh import refresh

LOGINS = (
    ("admin", "administrator", None),
    ("paula", "publisher", "Publishers"),
    ("arthur", "author", "Authors"),
)


def load_demo(*, now: dt.datetime) -> Demo:
    """Load everything; what is there already is updated."""
    report = load_bundle(
        json.loads((FOLDER / "bundle.json").read_text()), now=now, publish=True, folder=FOLDER
    )
    if errors := errors_among(report.problems):
        raise ContentError(errors)
    site = current_site()
    ApiKey.objects.filter(name="demo storefront").delete()
    row, key = ApiKey.objects.create_key(name="demo storefront", site=site, scopes=["ingest"])
    sender = Sender(row.prefix, True, site.pk)
    demo = Demo(key, {p["key"]: _person(p, sender, now) for p in personas()})
    enforce(now=now)
    while catch_up(site, now=now):
        pass
    refresh(site, now=now)
    rebuild(site)
    _logins()
    remember(demo)
    return demo


def _person(persona: Mapping[str, Any], sender: Sender, now: dt.datetime) -> str | None:
    """Let one persona decide, say who they are, and buy; return their visitor id, if they have one."""
    notice = str(current_notice(sender.site_id, now=now).n)
    how = How(method="demo", notice=notice, site_id=sender.site_id)
    first = persona.get("consent_before") or persona["consent"]
    decision = decide(None, first, how=how, now=now)
    if decision.subject_id is None:
        return None
    visitor = str(decision.subject_id)
    keep(list(_messages(persona, visitor, now)), sender=sender, now=now)
    if "consent_before" in persona:
        decide(decision.subject_id, persona["consent"], how=how, now=now)
    return visitor


def _messages(persona: Mapping[str, Any], visitor: str, now: dt.datetime) -> list[Message]:
    raw: list[dict[str, Any]] = [{"type": "identify", "traits": persona.get("traits", {})}]
    for order in persona.get("orders", ()):
        total = sum(p["price"] * p.get("quantity", 1) for p in order["products"])
        happened = (now - dt.timedelta(days=order["days_ago"])).isoformat()
        properties = {
            "order_id": uuid.uuid4().hex[:12],
            "revenue": round(total, 2),
            "products": order["products"],
        }
        raw.append(
            {"type": "track", "event": "Order Completed", "timestamp": happened, "properties": properties}
        )
    return [
        read({**one, "anonymousId": visitor, "messageId": uuid.uuid4().hex}, received_at=now) for one in raw
    ]


def _logins() -> None:
    """Make one login per role, with passwords made here, and write them where `make run` prints them from."""
    ensure_roles()
    users = get_user_model()
    path = Path(settings.VAR) / "demo-logins.json"
    logins = []
    for name, role, group in LOGINS:
        password = secrets.token_urlsafe(9)
        user, _ = users.objects.get_or_create(username=name, defaults={"is_staff": True})
        user.is_staff, user.is_superuser = True, group is None
        user.set_password(password)
        user.save()
        if group:
            user.groups.set([Group.objects.get(name=group)])
        logins.append({"user": name, "password": password, "role": role})
    path.touch(mode=0o600)
    path.write_text(json.dumps({"logins": logins}, indent=1))
