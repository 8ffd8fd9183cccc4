"""`make run`: services, preparation, then web, workers and beat, until SIGTERM or Ctrl-C.

In: `PORT` (8000), `HOST` (127.0.0.1), `TESSERA_VAR` (var/), `WORKER_CONCURRENCY` (1), and `DATABASE_URL` and
`REDIS_URL` for services of one's own. Out: exit code 0 after a wanted end, 1 with one plain sentence otherwise.
"""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from launcher import embedded, preparation
from launcher.errors import LauncherError
from launcher.supervise import Program, Supervisor, say

ROOT = Path(__file__).resolve().parent.parent
MOST_WEB_WORKERS = 2
REVIVE_EVERY_SECONDS = 1.0
PAGES = {"Storefront": "/", "Admin": "/admin/", "Privacy": "/privacy/", "API": "/api/docs/"}


@dataclass(frozen=True)
class Options:
    """What the environment chooses."""

    host: str
    port: int
    var: Path
    worker_concurrency: int

    @property
    def near_host(self) -> str:
        """The address under which this machine reaches itself."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)  # noqa: S104 - compared, not bound

    @property
    def address(self) -> str:
        """The web address, as a person types it."""
        host = f"[{self.near_host}]" if ":" in self.near_host else self.near_host
        return f"http://{host}:{self.port}"


def main(environ: Mapping[str, str] | None = None) -> int:
    """Run everything in the foreground."""
    stop = _stop_on_signals()
    try:
        return _run(os.environ if environ is None else environ, stop)
    except LauncherError as error:
        print(error, file=sys.stderr)
        return 1


def options(environ: Mapping[str, str]) -> Options:
    """Read and check what the environment chooses."""
    return Options(
        host=environ.get("HOST") or "127.0.0.1",
        port=_number(environ, "PORT", 8000, highest=65535),
        var=Path(environ.get("TESSERA_VAR") or ROOT / "var").resolve(),
        worker_concurrency=_number(environ, "WORKER_CONCURRENCY", 1, highest=64),
    )


def programs(chosen: Options) -> list[Program]:
    """Return the process table."""
    celery = [sys.executable, "-m", "celery", "--quiet", "-A", "config"]
    worker = [*celery, "worker", "--loglevel=warning"]
    concurrency = str(chosen.worker_concurrency)
    threads = ["--pool", "threads", "--concurrency"]
    schedule = ["--schedule", str(chosen.var / "beat-schedule"), "--pidfile="]
    scheduler = ["--scheduler", "django_celery_beat.schedulers:DatabaseScheduler"]
    return [
        Program("web", _web(chosen), essential=True),
        Program("worker", [*worker, "--queues", "celery", "--concurrency", concurrency]),
        # Waits for other people's servers, so in threads, and apart from what readers wait for.
        Program("sender", [*worker, "--hostname", "sender@%h", "--queues", "outgoing", *threads, "4"]),
        # What people asked to be deleted or copied never waits behind what is to be folded; copies and the sweep take
        # one thread each at most (`consent/tasks.py`), erasures the rest.
        Program("privacy", [*worker, "--hostname", "privacy@%h", "--queues", "privacy", *threads, "3"]),
        Program("beat", [*celery, "beat", "--loglevel=warning", *scheduler, *schedule]),
    ]


def _web(chosen: Options) -> list[str]:
    workers = min(MOST_WEB_WORKERS, os.cpu_count() or 1)
    return [
        *(sys.executable, "-m", "granian", "--interface", "wsgi", "config.wsgi:application"),
        *("--host", chosen.host, "--port", str(chosen.port)),
        *("--workers", str(workers), "--blocking-threads", "4"),
        # A worker process that crashes is replaced at once; the address stays open meanwhile.
        *("--respawn-failed-workers", "--respawn-interval", "0.5"),
        *("--workers-kill-timeout", "12", "--log-level", "warning"),
    ]


def _run(environ: Mapping[str, str], stop: threading.Event) -> int:
    _check_python()
    chosen = options(environ)
    _check_port(chosen)
    chosen.var.mkdir(parents=True, exist_ok=True)
    with embedded.session(chosen.var, environ=environ) as services:
        supervisor = Supervisor(stop, ROOT, _child_environment(environ, chosen, services))
        _prepare(supervisor, chosen)
        return 0 if stop.is_set() else supervisor.run(programs(chosen), tick=_tick(chosen, environ))


def _prepare(supervisor: Supervisor, chosen: Options) -> None:
    for step in preparation.steps(ROOT, chosen.var):
        code = supervisor.run_once(step)
        if supervisor.stop.is_set():
            return
        if code != 0:
            raise LauncherError(f"`manage.py {step.name}` failed (code {code}); nothing was started.")
        if step.name == "collectstatic":
            preparation.remember_static(ROOT, chosen.var)


def _child_environment(
    environ: Mapping[str, str], chosen: Options, services: embedded.Services
) -> dict[str, str]:
    given = {"TESSERA_VAR": str(chosen.var), "PORT": str(chosen.port), "PYTHONUNBUFFERED": "1"}
    return {"DJANGO_SETTINGS_MODULE": "config.settings", **environ, **given, **services.environment()}


def _tick(chosen: Options, environ: Mapping[str, str]) -> Callable[[], None]:
    """Return what happens between looks at the children: greet once the web answers, mend the services."""
    greeted = False
    revived_at = time.monotonic()

    def tick() -> None:
        nonlocal greeted, revived_at
        if not greeted and _answers(chosen):
            greeted = True
            print(greeting(chosen), flush=True)
        if time.monotonic() - revived_at > REVIVE_EVERY_SECONDS:
            _revive(chosen, environ)
            revived_at = time.monotonic()

    return tick


def _revive(chosen: Options, environ: Mapping[str, str]) -> None:
    try:
        embedded.revive(chosen.var, environ=environ)
    except (LauncherError, OSError) as error:
        say("services", str(error))


def greeting(chosen: Options) -> str:
    """Say where everything is and who may log in."""
    lines = [f"  {title:<12}{chosen.address}{path}" for title, path in PAGES.items()]
    logins = [f"  {login['user']} / {login['password']}  ({login['role']})" for login in _logins(chosen.var)]
    heading = ["", "Demo logins:"] if logins else []
    return "\n".join(["", "Tessera is running.", *lines, *heading, *logins, "", "Ctrl-C ends it.", ""])


def _logins(var: Path) -> list[dict[str, str]]:
    path = var / "demo-logins.json"
    if not path.exists():
        return []
    logins: list[dict[str, str]] = json.loads(path.read_text())["logins"]
    return logins


def _answers(chosen: Options) -> bool:
    """Ask the web for a sign of life; any answer is one."""
    connection = http.client.HTTPConnection(chosen.near_host, chosen.port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        connection.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _check_python() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036 - says so in a sentence instead of a traceback
        raise LauncherError("Tessera needs Python 3.11 or newer.")


def _check_port(chosen: Options) -> None:
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(
            socket.SOL_SOCKET, socket.SO_REUSEADDR, 1
        )  # as the server will: closed ones do not count
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError as error:
            raise LauncherError(_port_sentence(chosen, error)) from error


def _port_sentence(chosen: Options, error: OSError) -> str:
    if isinstance(error, PermissionError):
        return f"Port {chosen.port} needs root; try PORT=8000 make run"
    if isinstance(error, socket.gaierror):
        return f"HOST={chosen.host} is no address of this machine."
    return f"Port {chosen.port} is in use; try PORT={chosen.port % 65535 + 1} make run"


def _number(environ: Mapping[str, str], name: str, default: int, *, highest: int) -> int:
    text = environ.get(name) or str(default)
    if not text.isdecimal() or not 1 <= int(text) <= highest:
        raise LauncherError(f"{name} must be a number from 1 to {highest}, not {text!r}.")
    return int(text)


def _stop_on_signals() -> threading.Event:
    """Let SIGTERM, Ctrl-C and a closed terminal set an event; a second signal changes nothing."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    return stop
