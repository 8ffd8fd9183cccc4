"""Consent as the office sees it: what is asked for, what was decided, what it led to. All but the purposes is read only."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from django import forms
from django.conf import settings
from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from unfold import widgets as unfold
from unfold.admin import ModelAdmin

from consent.enforcement import remind_worker
from consent.ledger import broken_entries
from consent.models import AccessLog, ConsentEvent, NoticeVersion, PropagationJob, Purpose
from consent.purposes import forget_closing

if TYPE_CHECKING:  # Django's own forms take no type argument when they run
    PurposeModelForm = forms.ModelForm[Purpose]
else:
    PurposeModelForm = forms.ModelForm

TEXTS = {"title": "Title", "summary": "One plain sentence", "details": "What exactly happens"}


def _locales(purpose: Purpose | None) -> list[str]:
    """Return the languages of a purpose: those of the site, and whatever else it is written in."""
    written = {locale for name in TEXTS for locale in getattr(purpose, name, {})} if purpose else set()
    return [*settings.LOCALES, *sorted(written - set(settings.LOCALES))]


def _text_fields(locales: Iterable[str]) -> dict[str, forms.Field]:
    """Return one form field per text and language, such as `summary.de`."""
    fields: dict[str, forms.Field] = {}
    for name, label in TEXTS.items():
        widget = unfold.UnfoldAdminTextInputWidget if name == "title" else unfold.UnfoldAdminTextareaWidget
        for locale in locales:
            required = name != "details" and locale == settings.LOCALES[0]
            made = forms.CharField(
                required=required, label=f"{label} ({locale})", widget=widget({"lang": locale, "rows": 3})
            )
            fields[f"{name}.{locale}"] = made
    return fields


_SWITCHED_OFF = (
    "A purpose that is not active is closed for everybody, and what was kept for it alone is deleted."
)


class PurposeForm(PurposeModelForm):
    """A purpose with its words per language."""

    class Meta:
        model = Purpose
        fields = (
            "key", "legal_basis", "mechanism", "sensitive", "sale_or_share", "gpc_applies", "retention_days",
            "keep_days", "consent_mode", "min_age", "active", "position",
        )  # fmt: skip

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        purpose = kwargs.get("instance")
        texts = {f"{n}.{locale}": text for n in TEXTS for locale, text in getattr(purpose, n, {}).items()}
        kwargs["initial"] = texts | (kwargs.get("initial") or {})
        super().__init__(*args, **kwargs)

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        for name in TEXTS:
            typed = {key.split(".")[1]: text for key, text in cleaned.items() if key.startswith(f"{name}.")}
            setattr(self.instance, name, {locale: text for locale, text in typed.items() if text})
        return cleaned


class QuietAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    """Rows that the product writes and nobody edits; other apps' logs and records are shown by it too."""

    compressed_fields = False
    show_full_result_count = False
    says_when_empty = ""

    class Media:
        css = {"all": ["cms/admin.css"]}

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Purpose)
class PurposeAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    list_display = ("__str__", "key", "legal_basis", "mechanism", "gpc_applies", "active")
    search_fields = ("key",)
    compressed_fields = False

    class Media:
        css = {"all": ["cms/admin.css"]}

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form: Any = type("WordedPurposeForm", (PurposeForm,), _text_fields(_locales(obj)))
        return super().get_form(request, obj, change, form=form, **kwargs)

    def get_fieldsets(self, request: HttpRequest, obj: Purpose | None = None) -> Any:
        words: list[Any] = [tuple(f"{name}.{locale}" for locale in _locales(obj)) for name in TEXTS]
        if not self.has_change_permission(request, obj):
            words = ["words"]
        rules = (
            ("legal_basis", "mechanism"),
            ("retention_days", "keep_days"),
            ("min_age", "consent_mode"),
            ("sensitive", "sale_or_share", "gpc_applies"),
        )
        return (
            (None, {"fields": (("key", "position"), "active"), "description": _SWITCHED_OFF}),
            ("Words", {"fields": words, "description": "A change makes a new version of the notice."}),
            ("Rules", {"fields": rules}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("key", "words") if obj else ("words",)

    @admin.display(description="Words")
    def words(self, purpose: Purpose) -> SafeString:
        """Show the texts to those who may only look."""
        texts = [
            (TEXTS[name], locale, text) for name in TEXTS for locale, text in getattr(purpose, name).items()
        ]
        return format_html_join("", '<p lang="{1}"><b>{0} ({1})</b>: {2}</p>', texts)

    def save_model(self, request: HttpRequest, obj: Purpose, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        forget_closing()
        if "active" in form.changed_data and not obj.active:
            messages.warning(
                request,
                f"Nothing uses {obj} any more, and within a minute what was kept for it alone is deleted.",
            )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # what was decided refers to it; switch it off instead


@admin.register(NoticeVersion)
class NoticeVersionAdmin(QuietAdmin):
    list_display = ("__str__", "published_at", "digest")
    fields = ("n", "published_at", "sha256", "words")
    readonly_fields = fields

    @admin.display(description="SHA-256")
    def digest(self, notice: NoticeVersion) -> str:
        return f"{notice.sha256[:16]}…"

    @admin.display(description="Word for word")
    def words(self, notice: NoticeVersion) -> SafeString:
        rows = (
            (
                locale,
                said["summary"],
                format_html_join("", "<li><b>{}</b>: {} {}</li>", _said(said["purposes"])),
            )
            for locale, said in notice.texts.items()
        )
        return format_html_join("", '<h3 lang="{0}">{0}</h3><p>{1}</p><ul class="problems">{2}</ul>', rows)


def _said(purposes: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(one["title"], one["summary"], one["details"]) for one in purposes]


@admin.register(ConsentEvent)
class ConsentEventAdmin(QuietAdmin):
    says_when_empty = "Every decision of a visitor is written here, and stays."
    list_display = ("at", "subject", "purpose", "action", "method", "short_hash", "chain")
    list_filter = ("action", "purpose", "method")
    search_fields = ("subject_key",)
    search_help_text = "A subject's key, whole"
    fields = (
        "at", "subject", "seq", "purpose", "action", "notice_version", "method", "actor", "regime", "gpc",
        "commitment", "prev_hash", "hash", "chain",
    )  # fmt: skip
    readonly_fields = fields
    ordering = ("-id",)
    list_per_page = 50

    def get_queryset(self, request: HttpRequest) -> "QuerySet[ConsentEvent]":
        self._broken: dict[Any, set[int]] = {}  # chains are checked once per answer
        rows: QuerySet[ConsentEvent] = super().get_queryset(request)
        return rows.defer("payload_enc", "salt")

    @admin.display(description="Subject")
    def subject(self, entry: ConsentEvent) -> str:
        return f"{entry.subject_key.hex[:8]}…"

    @admin.display(description="Hash")
    def short_hash(self, entry: ConsentEvent) -> str:
        return f"{entry.hash[:12]}…"

    @admin.display(description="Chain")
    def chain(self, entry: ConsentEvent) -> SafeString:
        broken = self._broken.get(entry.subject_key)
        if broken is None:
            broken = {one.pk for one in broken_entries(entry.subject_key)}
            self._broken[entry.subject_key] = broken
        look, said = ("bad", "broken here") if entry.pk in broken else ("good", "unbroken")
        return format_html('<span class="badge badge--{}">{}</span>', look, said)


@admin.register(PropagationJob)
class PropagationJobAdmin(QuietAdmin):
    says_when_empty = "A withdrawal makes one for every place that keeps something about people."
    list_display = (
        "created_at",
        "holder",
        "shown_purposes",
        "status",
        "attempts",
        "rows_affected",
        "done_at",
    )
    list_filter = ("state", "holder")
    fields = (
        "created_at", "subject", "holder", "shown_purposes", "status", "attempts", "rows_affected", "done_at",
        "error",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("try_again",)

    @admin.display(description="Subject")
    def subject(self, job: PropagationJob) -> str:
        return f"{job.subject_key.hex[:8]}…"

    @admin.display(description="Purposes")
    def shown_purposes(self, job: PropagationJob) -> str:
        return ", ".join(job.purposes)

    @admin.display(description="State")
    def status(self, job: PropagationJob) -> SafeString:
        look = {"done": "good", "failed": "bad"}.get(job.state, "open")
        return format_html('<span class="badge badge--{}">{}</span>', look, job.get_state_display())

    @admin.action(description="Try the failed ones again", permissions=["retry"])
    def try_again(self, request: HttpRequest, queryset: "QuerySet[PropagationJob]") -> None:
        failed = queryset.filter(state=PropagationJob.State.FAILED)
        count = failed.update(state=PropagationJob.State.PENDING, attempts=0, not_before=timezone.now())
        remind_worker()
        said = f"{count} will be tried again within seconds." if count else "None of these has failed."
        messages.info(request, said)

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("consent.retry_propagationjob"))


@admin.register(AccessLog)
class AccessLogAdmin(QuietAdmin):
    says_when_empty = "Whoever looks at a profile, searches for a person or exports one is written here."
    list_display = ("at", "kind", "actor", "subject", "people", "place", "shown_purposes")
    list_filter = ("kind", "at")
    search_fields = ("actor", "place", "reason", "subject_key")
    search_help_text = "A name such as staff:ada, a screen, a reason, or a subject's key"
    fields = ("at", "kind", "actor", "subject", "people", "shown_purposes", "place", "reason")
    readonly_fields = fields
    ordering = ("-at", "-id")
    list_per_page = 50

    @admin.display(description="Subject")
    def subject(self, row: AccessLog) -> str:
        return f"{row.subject_key.hex[:8]}…" if row.subject_key else "—"

    @admin.display(description="Purposes")
    def shown_purposes(self, row: AccessLog) -> str:
        return ", ".join(row.purposes) or "—"
