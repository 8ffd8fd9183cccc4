"""Rules as they are stored, compiled. PURE.

In: the JSON of a rule out of a plan or a directory. Out: a program, always. What was published was checked; a rule
that can nevertheless not be read any more raises when it is asked, and `judge` turns that into an answer, so that no
stored rule ever costs a page.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from cms.language.evaluate import Program, Truth, compile_rule
from cms.language.nodes import Condition, RuleError, reads
from cms.language.parse import parse

ERROR: Final = "error"


class UnreadableRule(Exception):
    """The stored rule is not one."""


def compile_stored(rule: Any) -> Program:
    """Compile a stored rule."""
    try:
        return compile_rule(parse(rule))
    except RuleError:
        return _UNREADABLE


def judge(rule: Program, facts: Mapping[str, Any]) -> Truth | Literal["error"]:
    """Say whether a rule holds, None for unknown; `error` when it cannot even be asked."""
    try:
        return rule.evaluate(facts)
    except Exception:  # noqa: BLE001  # whatever a stored rule does, the page is answered, and the reason says so
        return ERROR


def _refuse(facts: Mapping[str, Any]) -> Truth:
    raise UnreadableRule


_NOTHING: Final = Condition(())
_UNREADABLE: Final = Program(_NOTHING, reads(_NOTHING), False, _refuse, ())
