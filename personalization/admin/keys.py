"""API keys: made here, shown once, revoked; superusers alone see them."""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.http import HttpRequest
from django.utils.html import format_html
from unfold import widgets as unfold
from unfold.admin import ModelAdmin

from cms.forms import AnyModelForm
from cms.models.site import current_site
from personalization.models import ApiKey
from personalization.models.keys import SCOPES

_MEANING = {
    "deliver": "published pages, with a context of its own",
    "preview": "drafts, as anybody",
    "ingest": "send events; alone, it may be seen by anyone",
    "profiles": "read and correct profiles",
    "manage": "content and catalogue",
    "privacy": "answer for a person",
}


class ApiKeyForm(AnyModelForm):
    scopes = forms.MultipleChoiceField(
        choices=[(one, f"{one}: {_MEANING[one]}") for one in SCOPES],
        widget=unfold.UnfoldAdminCheckboxSelectMultipleWidget(),
    )

    class Meta:
        model = ApiKey
        fields = ("name", "scopes", "expiry_date", "revoked")


@admin.register(ApiKey)
class ApiKeyAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    form = ApiKeyForm
    list_display = ("name", "prefix", "shown_scopes", "created", "expiry_date", "revoked")
    list_filter = ("revoked",)
    search_fields = ("name", "prefix")
    compressed_fields = False

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("name", "scopes", "expiry_date", "revoked") if obj else ("name", "scopes", "expiry_date")

    @admin.display(description="Scopes")
    def shown_scopes(self, key: ApiKey) -> str:
        return ", ".join(key.scopes)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("revoked",) if obj and obj.revoked else ()

    def save_model(self, request: HttpRequest, obj: ApiKey, form: Any, change: bool) -> None:
        """Save; a new key is told to its maker now and never again."""
        if change:
            obj.save()
            return
        obj.site = current_site()
        key = ApiKey.objects.assign_key(obj)
        obj.save()
        said = '<strong>Copy this key now: it is not shown again.</strong> <code class="key">{}</code>'
        messages.warning(request, format_html(said, key))
