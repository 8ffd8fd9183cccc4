"""Errors that point at the place: raised by writes, shown by forms, answered by the API."""

from collections.abc import Iterable

from cms.language.nodes import Problem


class ContentError(Exception):
    """Content cannot be stored or published as it is; `problems` says where and why."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(f"{p.pointer or '/'}: {p.message}" for p in self.problems))


def errors_among(problems: Iterable[Problem]) -> tuple[Problem, ...]:
    """Return the problems that forbid; the others only warn."""
    return tuple(p for p in problems if p.severity == "error")


def below(pointer: str, problems: Iterable[Problem]) -> list[Problem]:
    """Move problems below a place."""
    return [Problem(p.code, f"{pointer}{p.pointer}", p.message, p.severity) for p in problems]
