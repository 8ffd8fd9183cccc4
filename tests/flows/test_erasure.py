"""Somebody is erased: nothing of them is found anywhere, the ledger stays whole, and a restored backup forgets them again."""

import datetime as dt
import uuid
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.fernet import Fernet
from django.conf import settings as configured
from django.core.management import CommandError, call_command
from django.db import connection

from consent import erasure, tombstones
from consent.audit import audit
from consent.checkpoints import make
from consent.enforcement import enforce
from consent.holders import holders
from consent.identities import owner_of
from consent.ledger import broken_entries
from consent.models import AccessLog, ConsentEvent, ConsentState, PropagationJob, Subject, SubjectKey
from consent.seal import kek_id, missing_keks, refuse_without_keys, rewrap
from personalization.endpoints import new_secret, rotate_secret, secrets_of
from personalization.lanes import catch_up
from personalization.models import Event, Profile, WebhookEndpoint
from tests.builders import committing, the_site, unprotected
from tests.flows.front import Front, agreed
from tests.flows.test_joining import logs_in

pytestmark = pytest.mark.usefixtures("shop")
CANARY = "Canary-Ada-7f3"
CANARY_USER = "canary-user-91"


@pytest.fixture(autouse=True)
def outside(tmp_path: Path, settings: Any) -> Path:
    settings.LEDGER_DIR = tmp_path / "ledger"
    return tmp_path / "ledger"


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


def work() -> None:
    with committing():
        enforce(now=now() + dt.timedelta(seconds=1))


@pytest.fixture
def ada(write_key: str) -> Front:
    front = agreed(personalization=True, analytics=True)
    logs_in(front, write_key, CANARY_USER, traits={"first_name": CANARY, "kids": 2})
    front.send(write_key, "track", event="Searched", properties={"query": CANARY})
    front.buys(write_key, times=3)
    with committing():
        catch_up(the_site(), now=now())
    assert front.variant() == ("loyal", "matched")
    return front


def everywhere() -> str:
    """Return the text of every table and every key of Redis, as somebody would search them."""
    found = []
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f"SELECT coalesce(string_agg(t::text, E'\\n'), '') FROM \"{table}\" t")
            found.append(cursor.fetchone()[0])
    client = redis.Redis.from_url(configured.REDIS_HOT_URL)
    for key in client.scan_iter("*"):
        found.append(key.decode())
        if client.type(key) == b"string":
            found.append((client.get(key) or b"").decode("utf-8", "replace"))
        elif client.type(key) == b"list":
            found += [one.decode("utf-8", "replace") for one in client.lrange(key, 0, -1)]
    client.close()
    return "\n".join(found)


def erase(front: Front) -> None:
    with committing():
        assert erasure.erase(uuid.UUID(str(front.visitor)), now=now())


def test_nothing_of_somebody_erased_is_found_and_the_ledger_stays_whole(ada: Front) -> None:
    assert CANARY in everywhere()
    subject = uuid.UUID(str(ada.visitor))
    make(now=now())
    erase(ada)
    assert ada.variant() == ("default", "no_consent")  # before any worker ran
    work()
    text = everywhere()
    assert CANARY not in text
    assert CANARY_USER not in text
    assert not list(broken_entries(subject))
    make(now=now())
    assert [one for one in audit(now=now()) if one.invariant in ("ledger", "state", "purpose")] == []
    entries = ConsentEvent.objects.filter(subject_key=subject)
    assert entries.exists()
    assert not entries.exclude(payload_enc=None).exists()
    jobs = PropagationJob.objects.filter(subject_key=subject)
    assert set(jobs.values_list("state", flat=True)) == {"done"}
    assert set(jobs.values_list("holder", flat=True)) == {one.name for one in holders()}
    assert AccessLog.objects.filter(kind="erased", subject_key=None).count() == 1
    for model in (Profile, Event):
        assert not model.objects.filter(subject_key=subject).exists()


def test_erasing_twice_and_erasing_nobody_is_no_erasure(ada: Front) -> None:
    subject = uuid.UUID(str(ada.visitor))
    erase(ada)
    assert erasure.erase(subject, now=now()) is False
    assert erasure.erase(uuid.uuid4(), now=now()) is False


def test_the_token_is_nobody_and_who_comes_back_is_somebody_new(ada: Front, write_key: str) -> None:
    before = ada.visitor
    erase(ada)
    assert ada.get("/api/v1/consent", headers={"X-Visitor": ada.token}).json()["visitor_id"] is None
    assert ada.send(write_key, "track", event="Seen").json()["dropped"] == {"no_consent": 1}
    ada.decide(personalization=True)
    assert ada.visitor != before
    logs_in(ada, write_key, CANARY_USER)
    assert str(owner_of("user", CANARY_USER)) == ada.visitor


def test_whoever_was_joined_goes_along(ada: Front, write_key: str) -> None:
    laptop = agreed(personalization=True)
    logs_in(laptop, write_key, CANARY_USER)
    erase(ada)
    work()
    assert not Subject.objects.exists()
    assert laptop.variant() == ("default", "no_consent")
    assert CANARY not in everywhere()


def test_a_restored_backup_forgets_them_again_and_leaves_others_and_who_came_back(
    ada: Front, write_key: str
) -> None:
    ben = agreed(personalization=True)
    ben.tells(write_key, kids=1)
    subject = uuid.UUID(str(ada.visitor))
    backup = {
        model: list(model.objects.all()) for model in (Subject, SubjectKey, ConsentState, Profile, Event)
    }
    ledger = list(ConsentEvent.objects.values("pk", "salt", "payload_enc"))
    erase(ada)
    work()
    ada.decide(personalization=True)
    back = ada.visitor
    for model, rows in backup.items():  # somebody restores last night's backup
        model.objects.bulk_create(rows, ignore_conflicts=True)
    with unprotected():
        for entry in ledger:
            words = {"salt": entry["salt"], "payload_enc": entry["payload_enc"]}
            ConsentEvent.objects.filter(pk=entry["pk"]).update(**words)
    assert Profile.objects.filter(pk=subject).exists()
    out = StringIO()
    with committing():
        call_command("replay_erasures", stdout=out)
    assert out.getvalue().startswith("1 erased again")
    assert CANARY not in everywhere()
    assert set(Subject.objects.values_list("pk", flat=True)) == {
        uuid.UUID(str(ben.visitor)),
        uuid.UUID(str(back)),
    }
    assert Profile.objects.get(pk=ben.visitor).traits == {"kids": 1}
    assert erasure.replay(now=now()) == 0


def test_a_tombstone_names_nobody(ada: Front, outside: Path) -> None:
    erase(ada)
    text = (outside / "tombstones.jsonl").read_text()
    assert str(ada.visitor) not in text
    assert uuid.UUID(str(ada.visitor)).hex not in text
    assert CANARY_USER not in text
    (stone,) = tombstones.read()
    assert tombstones.of_subject(uuid.UUID(str(ada.visitor))) in stone.digests


def test_what_is_not_on_the_disk_is_not_erased(ada: Front, settings: Any, tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    settings.LEDGER_DIR = blocked
    with pytest.raises(OSError):
        erasure.erase(uuid.UUID(str(ada.visitor)), now=now())
    assert Subject.objects.filter(pk=ada.visitor).exists()
    assert ada.variant() == ("loyal", "matched")


def test_the_command_erases_by_id_and_by_user(ada: Front) -> None:
    with pytest.raises(CommandError):
        call_command("erase", "user:nobody")
    out = StringIO()
    with committing():
        call_command("erase", f"user:{CANARY_USER}", "--reason", "asked by letter", stdout=out)
    assert out.getvalue().startswith("Erased")
    assert CANARY not in everywhere()


class TestKeys:
    def test_a_shredded_subject_reads_as_erased(self, ada: Front) -> None:
        SubjectKey.objects.filter(pk=ada.visitor).delete()
        redis.Redis.from_url(configured.REDIS_HOT_URL).flushdb()
        answer = ada.page()
        assert answer.status_code == 200
        assert CANARY not in answer.content.decode()
        assert "Bye there" in answer.content.decode()  # the default of a placeholder, and no ciphertext

    def test_keys_are_wrapped_anew_while_serving(self, ada: Front, settings: Any) -> None:
        old, new = settings.TESSERA_KEKS[0], Fernet.generate_key().decode()
        settings.TESSERA_KEKS = [new, old]
        assert missing_keks() == set()
        assert ada.variant() == ("loyal", "matched")
        assert rewrap() == 1
        assert rewrap() == 0
        settings.TESSERA_KEKS = [new]
        assert missing_keks() == set()
        redis.Redis.from_url(configured.REDIS_HOT_URL).flushdb()
        assert f"Bye {CANARY}" in ada.page().content.decode()

    def test_the_secrets_of_endpoints_change_keys_with_them(self, db: None, settings: Any) -> None:
        endpoint = WebhookEndpoint(
            site=the_site(), title="CRM", url="https://crm.example", purpose="personalization"
        )
        secret = new_secret(endpoint)
        endpoint.save()
        second = rotate_secret(endpoint, now=dt.datetime.now(dt.UTC))
        old, new = settings.TESSERA_KEKS[0], Fernet.generate_key().decode()
        settings.TESSERA_KEKS = [new]
        assert missing_keks() == {"the key of webhook endpoints"}
        settings.TESSERA_KEKS = [new, old]
        call_command("rotate_keys")
        settings.TESSERA_KEKS = [new]
        assert missing_keks() == set()
        endpoint.refresh_from_db()
        assert secrets_of(endpoint, now=dt.datetime.now(dt.UTC)) == [second, secret]

    def test_without_a_key_that_is_needed_nothing_starts(self, ada: Front, settings: Any) -> None:
        lost = settings.TESSERA_KEKS[0]
        settings.TESSERA_KEKS = [Fernet.generate_key().decode()]
        assert missing_keks() == {kek_id(lost)}
        with pytest.raises(CommandError, match=kek_id(lost)):
            call_command("rotate_keys", "--check")
        with pytest.raises(SystemExit, match=kek_id(lost)):
            refuse_without_keys()
