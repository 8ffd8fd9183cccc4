"""Pictures: uploaded, judged by what they are, described per locale."""

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets as unfold

from cms.admin.base import SiteAdmin
from cms.forms import LocalizedField, SiteForm
from cms.media import MediaError, read_image, set_picture
from cms.models import Media


class MediaForm(SiteForm):
    upload = forms.FileField(
        required=False,
        label="Picture",
        help_text="JPEG, PNG, WebP or GIF. Uploading another one replaces it.",
        widget=unfold.UnfoldAdminFileFieldWidget(),
    )

    class Meta:
        model = Media
        fields = ("key", "alt")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "alt" in self.fields:
            help_text = "What the picture shows, for those who do not see it."
            self.fields["alt"] = LocalizedField(label="Description", help_text=help_text, required=False)

    def clean_upload(self) -> bytes | None:
        file = self.cleaned_data.get("upload")
        if not file:
            if not self.instance.file:
                raise ValidationError("Choose a picture.", "required")
            return None
        content: bytes = file.read()
        try:
            read_image(content)
        except MediaError as error:
            raise ValidationError(error.sentence, error.code) from error
        return content


@admin.register(Media)
class MediaAdmin(SiteAdmin):
    form = MediaForm
    list_display = ("thumbnail", "key", "size", "described")
    list_display_links = ("thumbnail", "key")
    list_select_related = ("site",)
    readonly_fields = ("preview",)
    fields = ("preview", "upload", "key", "alt")

    @admin.display(description="")
    def thumbnail(self, row: Media) -> SafeString:
        return (
            format_html('<img class="thumbnail" src="{}" alt="">', row.file.url)
            if row.file
            else format_html("")
        )

    @admin.display(description="Preview")
    def preview(self, row: Media) -> SafeString:
        if not row.file:
            return format_html("{}", "The picture appears here once it is saved.")
        return format_html('<img class="preview" src="{}" alt="">', row.file.url)

    @admin.display(description="Pixels")
    def size(self, row: Media) -> str:
        return f"{row.width} × {row.height}"

    @admin.display(description="Description")
    def described(self, row: Media) -> str:
        first = row.alt.get(row.site.default_locale) or next(iter(row.alt.values()), "")
        return str(first or "none yet")

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: Media, form: Any, change: bool) -> None:
        if content := form.cleaned_data.get("upload"):
            set_picture(obj, content)
        obj.save()
        obj.site.advance()
