"""What `make run` checks, starts and says."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from config.celery import app as celery
from launcher import preparation, run
from launcher.errors import LauncherError

ROOT = Path(__file__).resolve().parents[2]


def test_the_environment_chooses_and_has_defaults(tmp_path: Path) -> None:
    assert run.options({}) == run.Options("127.0.0.1", 8000, ROOT / "var", 1)
    chosen = run.options({"HOST": "0.0.0.0", "PORT": "9001", "TESSERA_VAR": str(tmp_path)})
    assert (chosen.port, chosen.var, chosen.address) == (9001, tmp_path, "http://127.0.0.1:9001")


@pytest.mark.parametrize("port", ["0", "65536", "eighty", "-1", "8000.5"])
def test_a_wrong_port_is_said_in_a_sentence(port: str) -> None:
    with pytest.raises(LauncherError, match="PORT must be a number from 1 to 65535"):
        run.options({"PORT": port})


def test_a_port_in_use_is_one_plain_sentence_and_starts_nothing(tmp_path: Path) -> None:
    var = tmp_path / "var"
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        environ = os.environ | {"PORT": str(port), "TESSERA_VAR": str(var)}
        command = [sys.executable, "-m", "launcher", "run"]
        result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr == f"Port {port} is in use; try PORT={port + 1} make run\n"
    assert not var.exists()


def test_only_the_end_of_the_web_ends_everything() -> None:
    table = {program.name: program.essential for program in run.programs(run.options({}))}
    assert table == {"web": True, "worker": False, "sender": False, "privacy": False, "beat": False}


def test_host_port_and_concurrency_reach_the_programs() -> None:
    chosen = run.options({"HOST": "::1", "PORT": "8123", "WORKER_CONCURRENCY": "3"})
    web, worker, sender, privacy, _ = (" ".join(program.command) for program in run.programs(chosen))
    assert "--host ::1 --port 8123" in web
    assert worker.endswith("--queues celery --concurrency 3")
    assert "--queues outgoing --pool threads" in sender
    assert "--queues privacy --pool threads" in privacy


def test_every_queue_is_worked_on_by_one_program_and_erasures_have_their_own() -> None:
    commands = [program.command for program in run.programs(run.options({}))]
    worked = [command[command.index("--queues") + 1] for command in commands if "--queues" in command]
    assert sorted(worked) == sorted(queue.name for queue in celery.conf.task_queues)
    route = celery.amqp.router.route
    asked_for = [route({}, f"consent.tasks.{name}")["queue"].name for name in ("enforce", "answer_requests")]
    assert asked_for == ["privacy", "privacy"]
    assert route({}, "personalization.tasks.fold_touched")["queue"].name == "celery"


def test_the_greeting_names_addresses_and_logins(tmp_path: Path) -> None:
    chosen = run.options({"TESSERA_VAR": str(tmp_path), "PORT": "8123"})
    logins = {"logins": [{"user": "ada", "password": "secret", "role": "editor"}]}
    assert "Demo logins" not in run.greeting(chosen)
    (tmp_path / "demo-logins.json").write_text(json.dumps(logins))
    text = run.greeting(chosen)
    assert re.findall(r"http://127\.0\.0\.1:8123(\S*)", text) == ["/", "/admin/", "/privacy/", "/api/docs/"]
    assert "ada / secret  (editor)" in text


def test_static_files_are_collected_again_only_when_they_changed(tmp_path: Path) -> None:
    source = tmp_path / "shop" / "static" / "shop.css"
    source.parent.mkdir(parents=True)
    source.write_text("a {}")
    var = tmp_path / "var"
    (var / "static").mkdir(parents=True)
    names = [step.name for step in preparation.steps(tmp_path, var)]
    assert names == ["migrate", "collectstatic", "rotate_keys", "load_demo"]
    preparation.remember_static(tmp_path, var)
    assert [step.name for step in preparation.steps(tmp_path, var)] == ["migrate", "rotate_keys", "load_demo"]
    source.write_text("a { color: red }")
    assert [step.name for step in preparation.steps(tmp_path, var)] == names


def test_scratch_runs_a_command_on_services_of_its_own_and_returns_its_code() -> None:
    code = "import os, psycopg, sys; psycopg.connect(os.environ['DATABASE_URL']).close(); "
    code += "print(os.environ['TESSERA_VAR']); sys.exit(7)"
    environ = {key: value for key, value in os.environ.items() if key not in ("DATABASE_URL", "REDIS_URL")}
    command = [sys.executable, "-m", "launcher", "scratch", sys.executable, "-c", code]
    result = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert result.returncode == 7
    assert not Path(result.stdout.strip()).exists()
