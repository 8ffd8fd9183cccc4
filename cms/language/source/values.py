"""Values as sources see them: read by key, compared without raising, printed escaped, looped in bounds."""

import html
import operator
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from jinja2 import ChainableUndefined, pass_context
from jinja2.runtime import Context, LoopContext
from markupsafe import Markup, escape

from cms.language.source.limits import BUDGET, LOOP_NAMES, MAX_ITEMS, Budget
from cms.language.source.markup import SCHEME


class Empty(ChainableUndefined):
    """What an absent value and null are in a template: nothing, at every depth."""

    __slots__ = ()
    __hash__ = ChainableUndefined.__hash__

    def __eq__(self, other: object) -> bool:
        return other is None or isinstance(other, Empty)

    def __ne__(self, other: object) -> bool:
        return not self == other


def value_at(obj: object, key: object) -> object:
    if isinstance(obj, LoopContext):
        return getattr(obj, str(key)) if key in LOOP_NAMES else None
    if isinstance(obj, Mapping):
        return obj.get(key)
    if isinstance(obj, list | tuple) and isinstance(key, int):
        return obj[key] if 0 <= key < len(obj) else None
    return None


def show(value: object) -> object:
    """Give what is printed for `value`: nothing for null, a list or a mapping."""
    return "" if value is None or isinstance(value, Mapping | list | tuple | LoopContext) else value


def plain(value: object) -> Markup:
    """Escape for an attribute or a title, where HTML is text too."""
    if not isinstance(value, Markup):
        return escape(show(value))
    signs = (("<", "&lt;"), (">", "&gt;"), ('"', "&#34;"), ("'", "&#39;"))
    text = str(value)
    for sign, entity in signs:
        text = text.replace(sign, entity)
    return Markup(text)  # noqa: S704 (its quotes and angle brackets were just replaced)


def address(value: object) -> Markup:
    """Let a web, mail or telephone address and a relative one through; anything else is "#".

    A relative address gets a leading "./" where it has no slash of its own, so that nothing that
    follows it in the attribute can turn it into a scheme.
    """
    raw = html.unescape(str(value)) if isinstance(value, Markup) else str(show(value))
    text = re.sub(r"[\x00-\x1f\x7f]", "", raw).strip()
    head = re.split(r"[/?#]", text.replace("\\", "/"), maxsplit=1)[0]
    if not text or (":" in head and not SCHEME.match(head)):
        return Markup("#")
    return escape(text if ":" in head or len(head) < len(text) else f"./{text}")


def compare(left: object, sign: str, right: object) -> bool:
    """Compare without raising: what cannot be compared is different, and is in no order."""
    if isinstance(left, Empty) or isinstance(right, Empty):
        left, right = (None if isinstance(side, Empty) else side for side in (left, right))
    try:
        return bool(COMPARISONS[sign](left, right))
    except TypeError:
        return sign in {"ne", "notin"}


COMPARISONS: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "eq": operator.eq,
    "ne": operator.ne,
    "lt": operator.lt,
    "lteq": operator.le,
    "gt": operator.gt,
    "gteq": operator.ge,
    "in": lambda item, items: item in items,
    "notin": lambda item, items: item not in items,
}


@pass_context
def rows(context: Context, value: object) -> Iterator[object]:
    """Give the items of a list, 1,000 at most, watching the time."""
    budget: Budget = context[BUDGET]
    for item in items(value):
        budget.look()
        yield Empty() if item is None else item


def items(value: object) -> Sequence[object]:
    return value[:MAX_ITEMS] if isinstance(value, list | tuple) else ()
