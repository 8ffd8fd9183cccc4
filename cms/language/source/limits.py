"""The bounds of a template source, and the errors that say which one was crossed."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

from cms.language.nodes import Problem

MAX_SOURCE_BYTES: Final = 20_000
MAX_NODES: Final = 500
MAX_DEPTH: Final = 40
MAX_TOKENS: Final = 1_200
MAX_TAG_TOKENS: Final = 150
MAX_BRACKETS: Final = 20
MAX_LOOPS: Final = 2
MAX_ITEMS: Final = 1_000
MAX_LITERALS: Final = 20
MAX_ARGUMENT_CHARS: Final = 200
MAX_NUMBER_CHARS: Final = 15
MAX_OUTPUT_BYTES: Final = 512_000
BUDGET_MS: Final = 50.0
LOOP_NAMES: Final = frozenset({"index", "first", "last"})
TESTS: Final = frozenset({"defined", "none", "odd", "even"})
NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)


class SourceError(Exception):
    """Say why a source may not be used, or why one rendering of it was stopped."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(" ".join(problem.message for problem in problems))
        self.problems = problems


@dataclass(slots=True)
class Budget:
    """What one rendering may still use. It is spent by every piece of output and every loop item."""

    ends_at: float
    clock: Callable[[], float]
    bytes_left: int = MAX_OUTPUT_BYTES

    def spend(self, piece: str) -> None:
        """Pay for `piece`, or raise `SourceError`."""
        self.bytes_left -= len(piece.encode("utf-8", "replace"))
        if self.bytes_left < 0:
            raise stopped("output_too_large", f"The output is larger than {MAX_OUTPUT_BYTES} bytes.")
        self.look()

    def look(self) -> None:
        """Raise `SourceError` if the time is over."""
        if self.clock() > self.ends_at:
            raise stopped("render_too_slow", "The template took too long to render.")


# Names that a source cannot spell, for what a rendering carries beside its context.
BUDGET: Final = "_budget"
LOCALE: Final = "_locale"


def stopped(code: str, message: str) -> SourceError:
    return SourceError((Problem(code, "", message),))


def problem(code: str, line: int, message: str) -> Problem:
    return Problem(code, "", f"Line {line}: {message}")


def refuse(problems: Iterable[Problem]) -> None:
    if found := tuple(dict.fromkeys(islice(problems, 50))):
        raise SourceError(found)
