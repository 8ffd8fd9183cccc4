"""What each refresh of the segments found. Read only."""

from django.contrib import admin
from django.utils.safestring import SafeString

from cms.admin.notes import badge
from consent.admin import QuietAdmin
from personalization.models import SegmentRun


def duration_of(run: SegmentRun) -> str:
    """Return how long a run took."""
    if run.finished_at is None:
        return "not finished"
    return f"{(run.finished_at - run.started_at).total_seconds():.2f} s"


@admin.register(SegmentRun)
class SegmentRunAdmin(QuietAdmin):
    says_when_empty = "All segments are counted once a day; each run is listed here."
    list_display = ("started_at", "scope", "shown_state", "duration", "profiles", "entered", "left", "found")
    list_filter = ("scope", "state")
    fields = (
        "scope",
        "shown_state",
        "started_at",
        "duration",
        "profiles",
        "entered",
        "left",
        "found",
        "error",
    )
    readonly_fields = fields

    @admin.display(description="State")
    def shown_state(self, run: SegmentRun) -> SafeString:
        """Show how a run ended, or how far it is."""
        if run.state == run.State.RUNNING:
            far = f"{100 * run.profiles // run.total} %" if run.total else "running"
            return badge(f"running: {far}", "open")
        return badge(run.get_state_display(), "good" if run.state == run.State.DONE else "bad")

    @admin.display(description="Took")
    def duration(self, run: SegmentRun) -> str:
        return duration_of(run)

    @admin.display(description="Differences")
    def found(self, run: SegmentRun) -> str:
        parts = (f"{key} +{one['entered']} −{one['left']}" for key, one in run.differences.items())
        return ", ".join(parts) or "none"
