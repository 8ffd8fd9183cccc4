"""How long a process that died waits for its restart: 0.5, 1, 2 … 30 s; a minute of life forgives."""

from dataclasses import dataclass

LONGEST_SECONDS = 30.0
FORGIVEN_AFTER_SECONDS = 60.0


@dataclass
class Backoff:
    """The pauses of one process; every moment is given in seconds of a monotonic clock."""

    deaths: int = 0
    started_at: float = 0.0
    restart_at: float | None = None

    def started(self, now: float) -> None:
        """Note a start."""
        self.started_at, self.restart_at = now, None

    def due(self, now: float) -> bool:
        """Tell of a dead process whether its pause is over; the first call begins the pause."""
        if self.restart_at is None:
            self.restart_at = now + self._pause(now)
        return now >= self.restart_at

    def _pause(self, now: float) -> float:
        lived_long = now - self.started_at > FORGIVEN_AFTER_SECONDS
        self.deaths = 1 if lived_long else self.deaths + 1
        return min(LONGEST_SECONDS, 2.0 ** (self.deaths - 2))
