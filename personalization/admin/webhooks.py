"""Webhooks out: endpoints with their health, what was sent, and work that failed for good, to be replayed.

A secret is shown once, when it is made or changed. An endpoint's address is checked when it is saved and again when it
is called.
"""

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from unfold import widgets as unfold
from unfold.admin import ModelAdmin
from unfold.decorators import action

from cms.admin.notes import badge, when
from cms.forms import AnyModelForm
from cms.models.site import current_site
from consent.admin import QuietAdmin
from consent.models import Purpose
from personalization.addresses import Refused, checked, target_of
from personalization.dead_letters import replay
from personalization.endpoints import new_secret, policy, rotate_secret, switch_on
from personalization.models import DeadLetter, TriggerRun, WebhookDelivery, WebhookEndpoint
from personalization.outgoing import Answer, Unreachable, resolve
from personalization.webhooks import send_test

KINDS = [("segment.entered", "Somebody entered a segment"), ("segment.left", "Somebody left a segment")]
_SHOWN_ONCE = '<strong>Copy this secret now: it is not shown again.</strong> <code class="key">{}</code>'


class EndpointForm(AnyModelForm):
    url = forms.URLField(
        max_length=500,
        assume_scheme="https",
        label="Address",
        widget=unfold.UnfoldAdminURLInputWidget(),
        help_text="Begins with https://. It is called with a signed POST.",
    )
    kinds = forms.MultipleChoiceField(choices=KINDS, widget=unfold.UnfoldAdminCheckboxSelectMultipleWidget())
    purpose = forms.ChoiceField(widget=unfold.UnfoldAdminSelectWidget())

    class Meta:
        model = WebhookEndpoint
        fields = ("title", "url", "kinds", "segments", "purpose", "active")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "purpose" in self.fields:
            choices = [(one.key, str(one)) for one in Purpose.objects.all()]
            self.fields["purpose"].choices = choices  # type: ignore[attr-defined]  # a choice
            self.fields["purpose"].help_text = WebhookEndpoint._meta.get_field("purpose").help_text

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            target = target_of(url, policy=policy())
            checked(resolve(target.host, target.port), policy=policy())
        except Refused as refused:
            raise ValidationError(refused.sentence, "refused") from refused
        except Unreachable:
            return url  # a name that is not known yet; it is checked again whenever it is called
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(ModelAdmin):  # type: ignore[misc]  # unfold ships no types
    says_when_empty = "An endpoint is called when somebody enters or leaves a segment."
    form = EndpointForm
    list_display = ("title", "url", "health", "purpose", "waiting")
    list_filter = ("active",)
    search_fields = ("title", "url")
    fields = ("title", "url", "kinds", "segments", "purpose", "active", "health")
    readonly_fields = ("health",)
    filter_horizontal = ("segments",)
    compressed_fields = False
    actions_detail = ("send_a_test", "change_secret")

    class Media:
        css = {"all": ["cms/admin.css"]}

    @admin.display(description="Health")
    def health(self, row: WebhookEndpoint) -> SafeString | str:
        if row.pk is None:
            return "Not called yet."
        if not row.active:
            return badge(
                f"off: {row.disabled_reason}" if row.disabled_reason else "off",
                "bad" if row.disabled_reason else "",
            )
        if row.failing_since is not None:
            return badge(f"failing since {when(row.failing_since)}", "bad")
        return badge("in order", "good")

    @admin.display(description="Waiting")
    def waiting(self, row: WebhookEndpoint) -> int:
        return row.deliveries.filter(state=WebhookDelivery.State.WAITING).count()

    def save_model(self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool) -> None:
        """Save; a new endpoint's secret is told to its maker now and never again."""
        if change:
            obj.save()
            if "active" in form.changed_data and obj.active:
                switch_on(obj)
            return
        obj.site = current_site()
        made = new_secret(obj)
        obj.save()
        messages.warning(request, format_html(_SHOWN_ONCE, made))

    @action(description="Send a test", icon="send", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold ships no types
    def send_a_test(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Send a message that tells of nobody, and show what came back."""
        came_back = send_test(WebhookEndpoint.objects.get(pk=object_id), now=timezone.now())
        if isinstance(came_back, Answer):
            tell = messages.success if came_back.ok else messages.error
            tell(request, f"It answered HTTP {came_back.status}. {came_back.text[:200]}".strip())
        else:
            messages.error(request, came_back.sentence)
        return self._back(object_id)

    @action(description="Change the secret", icon="key", permissions=["change"])  # type: ignore[untyped-decorator]  # unfold ships no types
    def change_secret(self, request: HttpRequest, object_id: int) -> HttpResponse:
        """Make a new secret; the one before signs beside it for a day."""
        made = rotate_secret(WebhookEndpoint.objects.get(pk=object_id), now=timezone.now())
        messages.warning(request, format_html(_SHOWN_ONCE, made))
        return self._back(object_id)

    def _back(self, pk: int) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:personalization_webhookendpoint_change", args=[pk]))


_STATES = {"done": "good", "waiting": "open", "failed": "bad", "withheld": ""}


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(QuietAdmin):
    says_when_empty = "Every message to a webhook is listed here, with what came back."
    list_display = ("message_id", "endpoint", "kind", "segment", "shown_state", "attempts", "at", "done_at")
    list_filter = ("state", "kind", "endpoint")
    list_select_related = ("endpoint", "segment")
    fields = (
        "message_id",
        "endpoint",
        "kind",
        "segment",
        "at",
        "shown_state",
        "attempts",
        "next_at",
        "status",
        "error",
        "done_at",
    )

    @admin.display(description="State")
    def shown_state(self, row: WebhookDelivery) -> SafeString:
        return badge(row.get_state_display(), _STATES[row.state])


@admin.register(TriggerRun)
class TriggerRunAdmin(QuietAdmin):
    says_when_empty = "Work that begins when somebody enters or leaves a segment is listed here."
    list_display = ("trigger", "segment", "entered", "shown_state", "attempts", "at", "done_at")
    list_filter = ("state", "trigger")
    list_select_related = ("segment",)
    fields = ("trigger", "segment", "entered", "at", "shown_state", "attempts", "next_at", "error", "done_at")

    @admin.display(description="State")
    def shown_state(self, row: TriggerRun) -> SafeString:
        return badge(row.get_state_display(), _STATES[row.state])


@admin.register(DeadLetter)
class DeadLetterAdmin(QuietAdmin):
    says_when_empty = "What fails for good is listed here, to be begun again."
    list_display = ("kind", "reference", "attempts", "error", "created_at", "state")
    list_filter = ("kind",)
    fields = ("kind", "reference", "attempts", "error", "created_at", "replayed_at")
    actions = ("replay_selected",)

    @admin.display(description="State")
    def state(self, row: DeadLetter) -> SafeString:
        return (
            badge(f"replayed {when(row.replayed_at)}", "good") if row.replayed_at else badge("failed", "bad")
        )

    def has_replay_permission(self, request: HttpRequest) -> bool:
        return bool(request.user.has_perm("personalization.replay_deadletter"))

    @admin.action(description="Begin again", permissions=["replay"])
    def replay_selected(self, request: HttpRequest, letters: "QuerySet[DeadLetter]") -> None:
        """Begin the chosen work anew."""
        begun = sum(replay(letter, now=timezone.now()) for letter in letters)
        left = letters.count() - begun
        messages.success(request, f"{begun} begun again.")
        if left:
            messages.warning(request, f"Of {left} nothing is left, such as after an erasure.")
