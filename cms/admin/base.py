"""What every screen of the editor's admin has in common: its styles, its script, and keys that stay."""

from collections.abc import Callable
from typing import Any

from django.db.models import Model
from django.http import HttpRequest
from unfold.admin import ModelAdmin
from unfold.decorators import action

from cms.forms import SiteForm

Button = Callable[[Any, HttpRequest, Any], None]


def submit_button(description: str, *, icon: str) -> Callable[[Button], Button]:
    """Make a method a button next to Save, for those who may publish; it runs after the form is saved."""
    decorate: Callable[[Button], Button] = action(description=description, permissions=["publish"], icon=icon)
    return decorate


class SiteAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """The admin of rows that belong to the site; a key is chosen once, because rules and plans name it."""

    form = SiteForm
    compressed_fields = False
    warn_unsaved_form = True
    list_per_page = 50
    search_fields: tuple[str, ...] = ("key",)

    class Media:
        css = {"all": ["cms/admin.css"]}
        js = ["cms/admin.js"]

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> tuple[str, ...]:
        fixed: tuple[Any, ...] = tuple(super().get_readonly_fields(request, obj))
        return (*fixed, "key") if obj is not None else fixed
