"""Keys: a person's that is gone, the newest of the ring that is missing (R26), and a ring that changes while serving."""

import json
import secrets
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.conftest import BUNDLE, make_var
from tests.faults.journal import Load, new_person
from tests.faults.system import ROOT, environ, free_port, python, running

pytestmark = pytest.mark.faults


def test_without_the_newest_key_nothing_starts(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    var = make_var(tmp_path_factory)
    with running(var) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        person = new_person(system, system.manage("api_key", "create", "faults", "--scope", "ingest"))
        shred = f"from consent.models import SubjectKey; print(SubjectKey.objects.filter(pk='{person.id}').delete()[0])"
        assert system.manage("shell", "-v", "0", "-c", shred) == "1"
        answer = person.page()
        assert answer.status == 200
        assert b"gAAAA" not in answer.body  # no ciphertext
    secrets = var / "secret.json"
    made = json.loads(secrets.read_text())
    secrets.write_text(json.dumps({**made, "kek": "another key that wrapped nothing"}))
    refused = subprocess.run(
        [sys.executable, "-m", "launcher", "run"],
        cwd=ROOT,
        env=environ(var, PORT=str(free_port())),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    said = refused.stdout + refused.stderr
    say(
        f"exit {refused.returncode}: {next(line for line in said.splitlines() if 'TESSERA_KEKS' in line)[:120]}"
    )
    assert refused.returncode != 0


def test_keys_are_rotated_while_serving(
    tmp_path_factory: pytest.TempPathFactory, say: Callable[[str], None]
) -> None:
    var, new = make_var(tmp_path_factory), secrets.token_urlsafe(32)
    with running(var) as system:
        system.manage("load_bundle", str(BUNDLE), "--publish")
        key = system.manage("api_key", "create", "faults", "--scope", "ingest")
        people = [new_person(system, key) for _ in range(40)]
        for number, person in enumerate(people):
            assert person.declare(sport="hiking", email=f"somebody-{number}@example.org").status == 200
    old = json.loads((var / "secret.json").read_text())["kek"]
    wrapped_by_old = "SELECT count(DISTINCT kek_id)::int FROM consent_subjectkey"
    with running(var, TESSERA_KEKS=f"{new},{old}") as system:
        with Load(replace(people[0], system=system)) as journal:
            late = new_person(system, key)
            assert late.declare(email="late@example.org").status == 200
            said = _manage(var, f"{new},{old}", "rotate_keys")
            assert late.declare(email="later@example.org").status == 200
        assert int(system.rows(wrapped_by_old)[0][0]) == 1
    with running(var, TESSERA_KEKS=new) as system:  # the old one is no longer needed
        read = "from consent.models import SubjectKey; from consent.seal import unwrap; print(sum(bool(unwrap(bytes(k.wrapped_dek))) for k in SubjectKey.objects.all()))"
        readable = int(_manage(var, new, "shell", "-v", "0", "-c", read))
        assert {replace(person, system=system).page().status for person in people} == {200}
    say(
        f"{said} {journal.pages.total()} pages and {journal.events.total()} events meanwhile,"
        f" {journal.failures()} failures; {readable} people's keys are read with the new one alone"
    )
    assert journal.failures() == 0
    assert not journal.broken
    assert set(journal.pages) == set(journal.events) == {200}
    assert journal.pages.total() > 20
    assert readable >= len(people) + 1


def _manage(var: Path, ring: str, *arguments: str) -> str:
    done = python(var, ["manage.py", *arguments], TESSERA_KEKS=ring)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
