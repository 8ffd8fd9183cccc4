"""The one Jinja2 environment of template sources: sandboxed, without globals, values read by key."""

from typing import Any, Final

from jinja2.sandbox import ImmutableSandboxedEnvironment

from cms.language.source.filters import FILTERS
from cms.language.source.values import Empty, address, compare, plain, rows, show, value_at


class SourceEnvironment(ImmutableSandboxedEnvironment):
    """Jinja2 without globals, whose values are read by key or position and never by attribute."""

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Read `attribute` as a key."""
        return self.getitem(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """Read the key or position `argument`; what is not there is `Empty`."""
        value = value_at(obj, argument)
        return Empty(name=str(argument)) if value is None else value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Refuse: there are no attributes."""
        return False

    def is_safe_callable(self, obj: Any) -> bool:
        """Refuse: there are no calls."""
        return False


def environment() -> SourceEnvironment:
    environment = SourceEnvironment(autoescape=True, undefined=Empty, finalize=show)
    environment.globals.clear()
    environment.filters = {name: allowed.apply for name, allowed in FILTERS.items()}
    environment.filters |= {"rows": rows, "compare": compare, "plain": plain, "address": address}
    environment.tests = {
        "defined": lambda value: not isinstance(value, Empty),
        "none": lambda value: value is None or isinstance(value, Empty),
        "odd": lambda value: isinstance(value, int) and value % 2 == 1,
        "even": lambda value: isinstance(value, int) and value % 2 == 0,
    }
    return environment


ENVIRONMENT: Final = environment()
