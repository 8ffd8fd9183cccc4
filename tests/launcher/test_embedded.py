"""Embedded PostgreSQL and Valkey: real servers in throw-away data directories."""

import json
import os
import pwd
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psycopg
import pytest
import redis

from launcher import embedded, place
from launcher.errors import LauncherError

ROOT = Path(__file__).resolve().parents[2]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has rights to drop")

# Who comes and goes is the same for both services; the one that starts sooner stands for it.
VALKEY_ALONE = {"DATABASE_URL": "postgresql://db.example/x"}

USER = """
    import json, sys
    from pathlib import Path
    from launcher import embedded
    environ = json.loads(sys.argv[3])
    with embedded.session(Path(sys.argv[1]), durable=sys.argv[2] == "durable", environ=environ) as services:
        print(services.started, flush=True)
        sys.stdin.readline()
"""


@pytest.fixture
def var(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "var"
    embedded.stop(tmp_path / "var")
    for name in embedded.KINDS:
        place.remove(tmp_path / "var", name)


@contextmanager
def user(
    var: Path, kind: str = "volatile", environ: Mapping[str, str] = VALKEY_ALONE
) -> Iterator[subprocess.Popen[str]]:
    """A user of the services in a process of its own; it leaves when a line comes in."""
    command = [sys.executable, "-c", textwrap.dedent(USER), str(var), kind, json.dumps(environ)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def started(process: subprocess.Popen[str]) -> bool:
    assert process.stdout is not None
    return process.stdout.readline().strip() == "True"


def leave(process: subprocess.Popen[str]) -> None:
    process.communicate("\n", timeout=60)


def ask(url: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description else []


def valkey(url: str) -> redis.Redis:
    return redis.Redis.from_url(f"{url}?db=2", socket_timeout=5)


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def gone(process_id: int) -> bool:
    status = Path(f"/proc/{process_id}/status")
    try:
        return "State:\tZ" in status.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def listening_sockets(process_id: int) -> set[str]:
    """The inodes of the TCP sockets on which the process listens."""
    listening = {
        fields[9]
        for table in ("tcp", "tcp6")
        for fields in map(str.split, Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    links = [os.readlink(link) for link in Path(f"/proc/{process_id}/fd").iterdir() if link.is_symlink()]
    return {link[8:-1] for link in links if link.startswith("socket:[")} & listening


def test_both_answer_on_unix_sockets_alone_and_are_gone_afterwards(var: Path) -> None:
    with embedded.session(var, durable=False, environ={}) as services:
        assert services.started
        assert ask(services.database_url, "SELECT current_user, current_database()") == [
            ("tessera", "tessera")
        ]
        assert ask(services.database_url, "SHOW listen_addresses") == [("",)]
        with valkey(services.redis_url) as client:
            assert client.ping()
            assert client.config_get("port") == {"port": "0"}
        servers = [ids["server"] for ids in embedded.processes(var).values()]
        assert [listening_sockets(server) for server in servers] == [set(), set()]
        homes = [place.locate(var, name) for name in embedded.KINDS]
    assert embedded.processes(var) == {}
    assert all(gone(server) for server in servers)
    assert not any(home.home.exists() or home.sockets.exists() for home in homes)  # it was volatile


def test_data_outlive_a_durable_session(var: Path) -> None:
    with embedded.session(var, environ={}) as services, valkey(services.redis_url) as client:
        ask(services.database_url, "CREATE TABLE kept AS SELECT 1 AS one")
        client.set("kept", "one")
        assert ask(services.database_url, "SHOW fsync") == [("on",)]
        assert client.config_get("appendonly", "maxmemory-policy") == {
            "appendonly": "yes",
            "maxmemory-policy": "noeviction",
        }
    with embedded.session(var, environ={}) as services, valkey(services.redis_url) as client:
        assert ask(services.database_url, "SELECT one FROM kept") == [(1,)]
        assert client.get("kept") == b"one"


def test_a_second_user_reuses_and_the_last_one_out_stops(var: Path) -> None:
    with user(var) as first:
        assert started(first)
        with embedded.session(var, durable=False, environ=VALKEY_ALONE) as services:
            assert not services.started
            leave(first)
            with valkey(services.redis_url) as client:
                assert client.ping()
        assert embedded.processes(var) == {}


def test_users_who_begin_at_once_start_one_service(var: Path) -> None:
    with user(var) as first, user(var) as second, user(var) as third:
        crowd = (first, second, third)
        assert sorted(started(one) for one in crowd) == [False, False, True]
        keepers = embedded.processes(var)
        leave(first)
        leave(second)
        assert embedded.processes(var) == keepers
        leave(third)
    assert embedded.processes(var) == {}


def test_a_killed_user_counts_as_gone(var: Path) -> None:
    with user(var) as only:
        assert started(only)
        only.kill()
        assert eventually(lambda: not embedded.processes(var))


def test_killed_servers_come_back(var: Path) -> None:
    with embedded.session(var, durable=False, environ={}) as services:
        assert embedded.running(var)
        killed = {ids["server"] for ids in embedded.processes(var).values()}
        for server in killed:
            os.kill(server, signal.SIGKILL)
        assert eventually(lambda: not killed & {ids["server"] for ids in embedded.processes(var).values()})
        assert eventually(lambda: answers(services))


def answers(services: embedded.Services) -> bool:
    try:
        with valkey(services.redis_url) as client:
            return bool(client.ping()) and ask(services.database_url, "SELECT 1") == [(1,)]
    except (psycopg.OperationalError, redis.ConnectionError):
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_a_server_ends_with_its_killed_keeper_and_is_revived_for_its_users(var: Path) -> None:
    with embedded.session(var, durable=False, environ={}) as services:
        before = embedded.processes(var)
        for ids in before.values():
            os.kill(ids["keeper"], signal.SIGKILL)
        assert eventually(lambda: all(gone(ids["server"]) for ids in before.values()))
        embedded.revive(var, environ={})
        assert answers(services)


def test_after_a_kill_of_everything_the_next_start_finds_the_acknowledged_data(var: Path) -> None:
    with user(var, "durable", {}) as only:
        assert started(only)
        url = embedded.KINDS["postgres"]().url(place.locate(var, "postgres"))
        ask(url, "CREATE TABLE kept AS SELECT 1 AS one")
        ids = [number for service in embedded.processes(var).values() for number in service.values()]
        for number in [only.pid, *ids]:
            os.kill(number, signal.SIGKILL)
        assert eventually(lambda: all(gone(number) for number in ids))
    with embedded.session(var, environ={}) as services:
        assert services.started
        assert ask(services.database_url, "SELECT one FROM kept") == [(1,)]


def test_stale_lock_files_with_the_number_of_a_stranger_do_not_hinder(var: Path) -> None:
    with embedded.session(var, environ={}):
        home = place.locate(var, "postgres")
    cluster = home.data / "cluster"
    for stale in (cluster / "postmaster.pid", home.sockets / ".s.PGSQL.5432.lock"):
        stale.write_text(f"{os.getpid()}\n{cluster}\n")
    with embedded.session(var, environ={}) as services:
        assert answers(services)


def test_a_path_too_long_for_a_socket_gets_a_short_one(tmp_path: Path) -> None:
    var = tmp_path / ("long" * 30)
    with embedded.session(var, durable=False, environ={}) as services:
        assert answers(services)


@as_root
def test_as_root_the_servers_run_as_nobody_also_below_a_closed_directory(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    var = tmp_path / "var"
    with embedded.session(var, durable=False, environ={}) as services:
        assert answers(services)
        nobody = pwd.getpwnam("nobody").pw_uid
        for name, ids in embedded.processes(var).items():
            assert os.stat(f"/proc/{ids['server']}").st_uid == nobody
            sockets = place.locate(var, name).sockets.stat()
            assert (sockets.st_uid, sockets.st_mode & 0o777) == (nobody, 0o700)


@as_root
def test_as_root_in_an_open_directory_the_data_stay_in_the_data_directory() -> None:
    with ExitStack() as stack:
        base = Path(subprocess.check_output(["mktemp", "-d"], text=True).strip())
        stack.callback(lambda: subprocess.run(["rm", "-rf", str(base)], check=True))
        base.chmod(0o755)
        with embedded.session(base / "var", durable=False, environ={}) as services:
            assert str(base) in services.database_url


def test_what_the_environment_names_is_not_started(var: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://db.example/x", "REDIS_URL": "redis://cache.example"}
    with embedded.session(var, environ=environ) as services:
        assert services == embedded.Services(environ["DATABASE_URL"], environ["REDIS_URL"], started=False)
        assert embedded.processes(var) == {}
    with embedded.session(var, durable=False, environ=VALKEY_ALONE):
        assert list(embedded.processes(var)) == ["valkey"]


def test_a_home_that_is_gone_is_said_in_a_sentence(var: Path) -> None:
    var.mkdir()
    (var / "postgres.home").write_text("/nonexistent/tessera\n")
    with pytest.raises(LauncherError, match=r"was in /nonexistent/tessera, which is gone"):
        embedded.ensure(var, environ={})
    (var / "postgres.home").unlink()


def test_ensure_keeps_the_services_until_the_process_ends(var: Path) -> None:
    code = "import sys; from pathlib import Path; from launcher import embedded\n"
    code += "environ = {'DATABASE_URL': 'postgresql://db.example/x'}\n"
    code += "print(embedded.ensure(Path(sys.argv[1]), durable=False, environ=environ).started)\n"
    code += "assert embedded.processes(Path(sys.argv[1]))"
    command = [sys.executable, "-c", code, str(var)]
    assert subprocess.check_output(command, cwd=ROOT, text=True).strip() == "True"
    assert embedded.processes(var) == {}
