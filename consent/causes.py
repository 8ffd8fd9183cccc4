"""What failed and where, in words that quote nobody."""

import traceback


def cause_of(error: Exception) -> str:
    """Say what failed and where; never its message, which may quote what is known of a person."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {place.name}, line {place.lineno}"
