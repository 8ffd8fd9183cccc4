"""One line of progress: percentage, rate, time left. On a terminal it is renewed in place, else said every 5 s."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

WIDTH: Final = 24
ON_TERMINAL_SECONDS: Final = 0.2
ELSEWHERE_SECONDS: Final = 5.0


@dataclass
class Progress:
    """A count on its way to `total`; what was `done` before does not count for the rate."""

    title: str
    total: int
    write: Callable[[str], object]
    terminal: bool = False
    done: int = 0
    began_at: float = field(default_factory=time.monotonic)
    said_at: float = 0.0

    def __post_init__(self) -> None:
        self.before = self.done

    def add(self, count: int) -> None:
        """Count what was done, and say so when it is time."""
        self.done += count
        now = time.monotonic()
        if now - self.said_at >= (ON_TERMINAL_SECONDS if self.terminal else ELSEWHERE_SECONDS):
            self.said_at = now
            self._say(now, last=False)

    def end(self) -> float:
        """Say the last line; return how many there were in a second."""
        now = time.monotonic()
        self._say(now, last=True)
        return self._rate(now)

    def _rate(self, now: float) -> float:
        return (self.done - self.before) / max(now - self.began_at, 0.001)

    def _say(self, now: float, *, last: bool) -> None:
        rate = self._rate(now)
        share = self.done / self.total if self.total else 1.0
        bar = "#" * round(WIDTH * share)
        left = "" if last or not rate else f"  {(self.total - self.done) / rate:4.0f} s left"
        line = f"{self.title:<10} [{bar:<{WIDTH}}] {share:4.0%}  {self.done:,}/{self.total:,}  {rate:,.0f}/s{left}"
        if self.terminal:
            self.write(f"\r{line:<100}" + ("\n" if last else ""))
        else:
            self.write(f"{line}\n")
