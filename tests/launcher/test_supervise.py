"""The supervising loop, with small real programs."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from launcher.backoff import Backoff
from launcher.supervise import Program, Supervisor

ROOT = Path(__file__).resolve().parents[2]
SLEEP = ["sleep", "600"]


def supervisor(directory: Path, stop: threading.Event | None = None, grace_seconds: float = 5) -> Supervisor:
    return Supervisor(stop or threading.Event(), directory, os.environ, grace_seconds=grace_seconds)


def ticking(condition: Callable[[], bool], stop: threading.Event, seconds: float = 15) -> Callable[[], None]:
    """Stop as soon as the condition holds, or when time is up."""
    deadline = time.monotonic() + seconds

    def tick() -> None:
        if condition() or time.monotonic() > deadline:
            stop.set()

    return tick


def lines(path: Path) -> list[str]:
    return path.read_text().split() if path.exists() else []


def gone(process_id: int) -> bool:
    try:
        return "State:\tZ" in Path(f"/proc/{process_id}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_the_end_of_an_essential_program_ends_all_with_code_1(tmp_path: Path) -> None:
    other = Program("other", ["sh", "-c", "echo $$ > pid; exec sleep 600"])
    web = Program("web", ["sh", "-c", "while [ ! -s pid ]; do sleep 0.1; done; exit 0"], essential=True)
    assert supervisor(tmp_path).run([other, web]) == 1
    assert gone(int((tmp_path / "pid").read_text()))


def test_another_program_is_started_again_after_a_pause(tmp_path: Path) -> None:
    stop = threading.Event()
    worker = Program("worker", ["sh", "-c", "date +%s.%N >> starts; exit 3"])
    code = supervisor(tmp_path, stop).run(
        [worker, Program("web", SLEEP, essential=True)],
        tick=ticking(lambda: len(lines(tmp_path / "starts")) >= 2, stop),
    )
    first, second = map(float, lines(tmp_path / "starts")[:2])
    assert code == 0
    assert second - first >= 0.45


def test_a_program_that_ignores_sigterm_is_killed_with_its_children(tmp_path: Path) -> None:
    stop = threading.Event()
    script = "trap '' TERM; sh -c 'echo $$ > child; while :; do sleep 1; done' & while :; do sleep 1; done"
    tick = ticking(lambda: bool(lines(tmp_path / "child")), stop)
    supervisor(tmp_path, stop, grace_seconds=0.5).run([Program("deaf", ["sh", "-c", script])], tick=tick)
    child = int(lines(tmp_path / "child")[0])
    time.sleep(0.2)
    assert gone(child)


def test_a_program_may_finish_what_it_does_after_sigterm(tmp_path: Path) -> None:
    stop = threading.Event()
    script = "trap 'sleep 0.5; echo done > finished; exit 0' TERM; echo up > up; while :; do sleep 0.1; done"
    tick = ticking(lambda: bool(lines(tmp_path / "up")), stop)
    assert supervisor(tmp_path, stop).run([Program("polite", ["sh", "-c", script])], tick=tick) == 0
    assert lines(tmp_path / "finished") == ["done"]


def test_what_a_program_prints_carries_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert (
        supervisor(tmp_path).run_once(Program("migrate", ["sh", "-c", "echo out; echo err >&2; exit 4"])) == 4
    )
    assert sorted(capsys.readouterr().out.splitlines()) == ["migrate | err", "migrate | out"]


def test_a_single_program_ends_early_when_told_to_stop(tmp_path: Path) -> None:
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    assert supervisor(tmp_path, stop).run_once(Program("step", SLEEP)) == -signal.SIGTERM


@pytest.mark.skipif(sys.platform != "linux", reason="needs the kernel's parent-death signal")
def test_no_orphans_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    code = """
        import os, sys, threading
        from pathlib import Path
        from launcher.supervise import Program, Supervisor
        child = Program("child", ["sh", "-c", "echo $$ > pid; exec sleep 600"])
        Supervisor(threading.Event(), Path(sys.argv[1]), os.environ).run([child])
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code), str(tmp_path)], cwd=ROOT) as process:
        deadline = time.monotonic() + 15
        while not lines(tmp_path / "pid") and time.monotonic() < deadline:
            time.sleep(0.05)
        child = int(lines(tmp_path / "pid")[0])
        process.kill()
    time.sleep(0.5)
    assert gone(child)


def test_pauses_double_up_to_30_seconds_and_a_minute_of_life_forgives() -> None:
    backoff = Backoff()
    pauses = []
    now = 0.0
    for _ in range(7):
        backoff.started(now)
        assert not backoff.due(now)
        assert backoff.restart_at is not None
        pauses.append(backoff.restart_at - now)
        now = backoff.restart_at
        assert backoff.due(now)
    assert pauses == [0.5, 1, 2, 4, 8, 16, 30]
    backoff.started(now)
    assert not backoff.due(now + 61)
    assert backoff.due(now + 62)
