"""Keep a few programs alive together, and end them together.

In: the table of programs and an event that says "stop". Out: an exit code. Rules:
- a program that dies is restarted after 0.5, 1, 2 … 30 s; when an `essential` one dies, all end and the code is 1;
- each runs in a session of its own, so that Ctrl-C reaches the supervisor alone;
- the end is SIGTERM to every program, then, after 15 s, SIGKILL to what is left of its process group;
- if the supervisor itself is killed, the kernel sends SIGTERM to every program (Linux).
What they print is passed on line by line, with the program's name in front.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from launcher.backoff import Backoff
from launcher.lifeline import tie

TICK_SECONDS = 0.2
GRACE_SECONDS = 15.0
LAST_WORDS_SECONDS = 1.0


@dataclass(frozen=True)
class Program:
    """A name to print, a command line, and whether everything ends with it."""

    name: str
    command: Sequence[str]
    essential: bool = False


@dataclass
class Child:
    """A program under way."""

    program: Program
    process: subprocess.Popen[bytes]
    backoff: Backoff = field(default_factory=Backoff)


@dataclass(frozen=True)
class Supervisor:
    """Where programs run and with which environment, until `stop` is set."""

    stop: threading.Event
    directory: Path
    environ: Mapping[str, str]
    grace_seconds: float = GRACE_SECONDS
    readers: list[threading.Thread] = field(default_factory=list)

    def run(self, programs: Sequence[Program], *, tick: Callable[[], None] = lambda: None) -> int:
        """Run programs until told to stop (0) or until an essential one ends (1); call `tick` in between."""
        children: list[Child] = []
        try:
            for program in programs:
                children.append(self._begin(program))
            return self._watch(children, tick)
        finally:
            self._end([child.process for child in children])

    def run_once(self, program: Program) -> int:
        """Run one program to its end and return its code; told to stop, end it early."""
        process = self._start(program)
        try:
            while process.poll() is None and not self.stop.wait(0.05):
                pass
        finally:
            self._end([process])
        return process.returncode

    def _watch(self, children: list[Child], tick: Callable[[], None]) -> int:
        while not self.stop.wait(TICK_SECONDS):
            for child in children:
                if child.process.poll() is None:
                    continue
                if child.program.essential:
                    say(child.program.name, f"ended with code {child.process.returncode}; everything ends")
                    return 1
                self._restart(child)
            tick()
        return 0

    def _begin(self, program: Program) -> Child:
        child = Child(program, self._start(program))
        child.backoff.started(time.monotonic())
        return child

    def _restart(self, child: Child) -> None:
        """Restart a dead child when its pause is over, without the leftovers of the old one."""
        if not child.backoff.due(time.monotonic()):
            return
        _kill_group(child.process)
        say(child.program.name, f"ended with code {child.process.returncode}; started again")
        child.process = self._start(child.program)
        child.backoff.started(time.monotonic())

    def _start(self, program: Program) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            program.command,
            cwd=self.directory,
            env=self.environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=tie(signal.SIGTERM),
        )
        self._read(program.name, process.stdout)
        return process

    def _read(self, name: str, output: IO[bytes] | None) -> None:
        """Pass a program's output on from a thread of its own."""
        reader = threading.Thread(target=_pass_on, args=(name, output), daemon=True)
        reader.start()
        self.readers[:] = [reader, *(other for other in self.readers if other.is_alive())]

    def _end(self, processes: list[subprocess.Popen[bytes]]) -> None:
        for process in processes:
            if process.poll() is None:
                process.terminate()
        deadline = time.monotonic() + self.grace_seconds
        while any(process.poll() is None for process in processes) and time.monotonic() < deadline:
            time.sleep(0.05)
        for process in processes:
            _kill_group(process)
            process.wait()
        for reader in self.readers:
            reader.join(LAST_WORDS_SECONDS)


def say(name: str, line: str) -> None:
    """Print one line under a name; a terminal that is gone is no reason to fall."""
    try:
        sys.stdout.write(f"{name:<8}| {line}\n")
        sys.stdout.flush()
    except (OSError, ValueError):  # nobody reads any more: closed pipe, closed file
        return


def _pass_on(name: str, output: IO[bytes]) -> None:
    with output:
        for line in output:
            say(name, line.decode(errors="replace").rstrip())


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):  # nobody left (macOS says "not permitted" of the dead)
        return
