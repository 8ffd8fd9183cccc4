"""Who may do what with content: authors write, publishers publish. Predicates of django-rules.

Registered when the application starts (`cms/rules.py` is discovered); the groups are made by the first migration and
by `ensure_roles`.
"""

from django.contrib.auth.models import Group

AUTHORS, PUBLISHERS = "Authors", "Publishers"


def ensure_roles() -> None:
    """Make the groups that the rules speak of."""
    for name in (AUTHORS, PUBLISHERS):
        Group.objects.get_or_create(name=name)
