"""Purposes, notices, subjects, and the ledger of what each subject decided.

`Subject` is the only table that joins identifiers; everything else knows the opaque subject key.
The ledger is append-only: the database refuses UPDATE, DELETE and TRUNCATE, but for the two columns whose
erasure shreds a payload (`salt`, `payload_enc`).
"""

import uuid

import pgtrigger
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import BrinIndex, GinIndex
from django.db import models
from simple_history.models import HistoricalRecords

CLEAR_COLUMNS = (
    "site_id", "seq", "purpose", "action", "notice_version", "served_id", "method", "actor", "regime", "gpc",
    "tc_string", "gpp_string",
)  # fmt: skip


class Purpose(models.Model):
    class Basis(models.TextChoices):
        CONSENT = "consent", "Consent"
        CONTRACT = "contract", "Contract"
        LEGITIMATE_INTEREST = "legit_interest", "Legitimate interest"
        LEGAL_OBLIGATION = "legal_obligation", "Legal obligation"

    class Mechanism(models.TextChoices):
        OPT_IN = "opt_in", "Off until allowed"
        OPT_OUT = "opt_out", "On until refused"
        NOTICE_ONLY = "notice_only", "Notice only"
        ALWAYS_ON = "always_on", "Always on"

    site_id = models.PositiveBigIntegerField(default=1, editable=False)
    key = models.SlugField(max_length=50)
    title = models.JSONField(default=dict, help_text="Per locale.")
    summary = models.JSONField(default=dict, help_text="One plain sentence, per locale.")
    details = models.JSONField(default=dict, blank=True, help_text="What exactly happens, per locale.")
    legal_basis = models.CharField(max_length=20, choices=Basis.choices, default=Basis.CONSENT)
    mechanism = models.CharField(max_length=20, choices=Mechanism.choices, default=Mechanism.OPT_IN)
    sensitive = models.BooleanField(
        default=False, help_text="Health, finance and the like: masked for editors, marked in the notice."
    )
    sale_or_share = models.BooleanField(
        "Sold or shared", default=False, help_text="In the sense of the CCPA."
    )
    gpc_applies = models.BooleanField(
        "Covered by GPC", default=False, help_text="Global Privacy Control refuses it."
    )
    retention_days = models.PositiveIntegerField(
        "A yes holds, days",
        default=400,
        help_text="Then it has expired, which counts as refused, and is asked again.",
    )
    keep_days = models.PositiveIntegerField(
        "Data are kept, days",
        null=True,
        blank=True,
        help_text="What happened is kept so long for this purpose; empty means the site's own time.",
    )
    min_age = models.PositiveSmallIntegerField(
        "Minimum age",
        null=True,
        blank=True,
        help_text="Who is known to be younger needs somebody who answers for them.",
    )
    consent_mode = ArrayField(
        models.CharField(max_length=30),
        default=list,
        blank=True,
        help_text="The types of Google Consent Mode that this purpose grants, such as analytics_storage.",
    )
    active = models.BooleanField(default=True)
    position = models.PositiveIntegerField(default=0)
    history = HistoricalRecords()

    class Meta:
        ordering = ["position", "key"]
        constraints = [models.UniqueConstraint(fields=["site_id", "key"], name="purpose_key_once")]

    def __str__(self) -> str:
        return str(self.title.get("en") or self.key)

    @property
    def required(self) -> bool:
        return self.mechanism == self.Mechanism.ALWAYS_ON


class NoticeVersion(models.Model):
    """What visitors were asked, word for word; immutable once it exists."""

    site_id = models.PositiveBigIntegerField(default=1)
    n = models.PositiveIntegerField()
    texts = models.JSONField(help_text="Per locale: summary, and each purpose's title, summary and details.")
    sha256 = models.CharField(max_length=64)
    published_at = models.DateTimeField()

    class Meta:
        ordering = ["-n"]
        constraints = [models.UniqueConstraint(fields=["site_id", "n"], name="notice_version_once")]
        triggers = [
            pgtrigger.Protect(name="notice_is_immutable", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"Notice {self.n}"


class Subject(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    site_id = models.PositiveBigIntegerField(default=1)
    age_band = models.CharField(max_length=20, blank=True)
    jurisdiction = models.CharField(max_length=10, blank=True)
    merged_into = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True)
    created_at = models.DateTimeField()

    def __str__(self) -> str:
        return str(self.id)


class SubjectIdentifier(models.Model):
    subject = models.ForeignKey(Subject, on_delete=models.CASCADE, related_name="identifiers")
    kind = models.CharField(max_length=30)
    value_enc = models.BinaryField()
    blind_index = models.CharField(max_length=64)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "blind_index"], name="identifier_once")]

    def __str__(self) -> str:
        return f"{self.kind} of {self.subject_id}"


class SubjectKey(models.Model):
    """The key that encrypts what identifies one subject; destroying it shreds all of that."""

    subject = models.OneToOneField(Subject, on_delete=models.CASCADE, primary_key=True, related_name="key")
    wrapped_dek = models.BinaryField()
    kek_id = models.CharField(
        max_length=16, blank=True, help_text="Which key of the ring wrapped it: the start of its digest."
    )
    destroyed_at = models.DateTimeField(null=True)

    def __str__(self) -> str:
        return f"Key of {self.subject_id}"


class ConsentState(models.Model):
    """What holds for one subject now: one row, the single source at decision time."""

    subject = models.OneToOneField(
        Subject, on_delete=models.CASCADE, primary_key=True, related_name="consent"
    )
    site_id = models.PositiveBigIntegerField(default=1)
    version = models.PositiveBigIntegerField(default=0)
    state = models.JSONField(default=dict, help_text="Purpose → granted, refused, withdrawn or expired.")
    expires = models.JSONField(default=dict, blank=True)
    gpc = models.BooleanField(default=False)
    gpc_seen_at = models.DateTimeField(null=True, blank=True)
    updated_at = models.DateTimeField()
    paused_until = models.DateTimeField(
        null=True, blank=True, help_text="Until then nothing is read, stored or deleted: a pause."
    )
    keep_days = models.PositiveIntegerField(
        null=True, blank=True, help_text="What one did is kept so long at most: the person's own wish."
    )
    remind_days = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="How often one wishes to be reminded of all this; empty: never."
    )
    reminded_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        indexes = [
            models.Index(
                fields=["keep_days"],
                condition=models.Q(keep_days__isnull=False),
                name="consent_with_own_period",
            ),
            models.Index(
                fields=["paused_until"], condition=models.Q(paused_until__isnull=False), name="consent_paused"
            ),
            GinIndex(fields=["state"], name="consent_state_by_purpose"),
        ]

    def __str__(self) -> str:
        return f"Consent of {self.subject_id}"


class ConsentEvent(models.Model):
    """One entry of the ledger; a chain per subject (`consent/ledger.py` says what the hash covers)."""

    subject_key = models.UUIDField(db_index=True)
    site_id = models.PositiveBigIntegerField(default=1)
    seq = models.PositiveBigIntegerField()
    purpose = models.CharField(max_length=50)
    action = models.CharField(max_length=20)
    notice_version = models.CharField(max_length=20, blank=True)
    served_id = models.CharField(max_length=64, blank=True)
    method = models.CharField(max_length=30)
    actor = models.CharField(max_length=30)
    regime = models.CharField(max_length=30, blank=True)
    gpc = models.BooleanField(default=False)
    tc_string = models.TextField(blank=True)
    gpp_string = models.TextField(blank=True)
    at = models.DateTimeField()
    salt = models.BinaryField(null=True)
    payload_enc = models.BinaryField(null=True)
    commitment = models.CharField(max_length=64)
    prev_hash = models.CharField(max_length=64, blank=True)
    hash = models.CharField(max_length=64)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["subject_key", "seq"], name="ledger_entry_once")]
        indexes = [BrinIndex(fields=["at"], name="ledger_by_time")]
        triggers = [
            pgtrigger.Protect(name="ledger_keeps_entries", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="ledger_keeps_columns", exclude=["salt", "payload_enc"]),
            pgtrigger.Trigger(
                name="ledger_shreds_only",
                when=pgtrigger.Before,
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(new__salt__isnull=False) | pgtrigger.Q(new__payload_enc__isnull=False),
                func="RAISE EXCEPTION 'the words of an entry can be taken away, and not changed';",
            ),
            pgtrigger.Trigger(
                name="ledger_keeps_all",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'the consent ledger is append-only';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.purpose}"


class LedgerCheckpoint(models.Model):
    """A root over the ledger's entries up to one; a copy of each line leaves the database (`consent/checkpoints.py`)."""

    site_id = models.PositiveBigIntegerField(default=1)
    n = models.PositiveBigIntegerField(unique=True)
    from_id = models.BigIntegerField(help_text="The last entry of the one before; this one begins after it.")
    to_id = models.BigIntegerField()
    entries = models.PositiveBigIntegerField()
    root = models.CharField(max_length=64)
    prev = models.CharField(max_length=64, blank=True)
    at = models.DateTimeField()
    hash = models.CharField(max_length=64)
    signature = models.CharField(max_length=128)

    class Meta:
        ordering = ["-n"]
        triggers = [
            pgtrigger.Protect(name="checkpoint_is_immutable", operation=pgtrigger.Update | pgtrigger.Delete)
        ]

    def __str__(self) -> str:
        return f"Checkpoint {self.n}"


class PropagationJob(models.Model):
    """What one holder owes after a change of consent; done once, whoever runs it how often."""

    class State(models.TextChoices):
        PENDING = "pending", "Waiting"
        DONE = "done", "Done"
        FAILED = "failed", "Failed"
        UNDONE = "undone", "Taken back"

    consent_event = models.ForeignKey(ConsentEvent, on_delete=models.PROTECT, null=True, related_name="jobs")
    subject_key = models.UUIDField(db_index=True)
    holder = models.CharField(max_length=50)
    purposes = ArrayField(models.CharField(max_length=50))
    state = models.CharField(max_length=10, choices=State.choices, default=State.PENDING)
    attempts = models.PositiveIntegerField(default=0)
    rows_affected = models.PositiveIntegerField(default=0)
    created_at = models.DateTimeField()
    not_before = models.DateTimeField(help_text="When it is tried next.")
    due_at = models.DateTimeField(
        null=True, help_text="From when on it may be done: what is sealed waits for it."
    )
    done_at = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(
                fields=["not_before"], condition=models.Q(state="pending"), name="propagation_waiting"
            )
        ]

    def __str__(self) -> str:
        return f"{self.holder}: {', '.join(self.purposes)}"


class AccessLog(models.Model):
    """Who looked at personal data or worked on it; rows are added, shortened by an erasure, and deleted when old.

    The database refuses any other change: a row keeps what it said, but for the subject key, which an erasure takes
    out; none younger than thirty days can be deleted.
    """

    class Kind(models.TextChoices):
        PROFILE_SEEN = "profile_seen", "A profile was looked at"
        IDENTIFIER_SEARCHED = "identifier_searched", "Somebody was looked up by an identifier"
        SAMPLE_SEEN = "sample_seen", "Events of people were looked at"
        PROFILE_READ = "profile_read", "A profile was read by a back end"
        PROFILE_CHANGED = "profile_changed", "A profile was changed by a back end"
        EXPORT_MADE = "export_made", "Data were exported"
        DATA_SENT = "data_sent", "Data were sent to somebody else"
        MODEL_TRAINED = "model_trained", "A model was trained"
        RECOMPUTED = "recomputed", "Many profiles were worked out again"
        ERASED = "erased", "Somebody was erased"
        REQUEST_ANSWERED = "request_answered", "A privacy request was worked on"

    site_id = models.PositiveBigIntegerField(default=1)
    at = models.DateTimeField(db_index=True)
    kind = models.CharField(max_length=30, choices=Kind.choices)
    actor = models.CharField(max_length=150, help_text="staff:NAME, key:NAME, task:NAME or visitor.")
    subject_key = models.UUIDField(null=True, db_index=True, help_text="Empty: many, or erased since.")
    people = models.PositiveBigIntegerField(help_text="How many people it was about.")
    purposes = ArrayField(models.CharField(max_length=50), default=list)
    place = models.CharField(max_length=200, blank=True, help_text="The screen, address or task.")
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = "access"
        verbose_name_plural = "accesses"
        triggers = [
            pgtrigger.ReadOnly(name="access_log_keeps_columns", exclude=["subject_key"]),
            pgtrigger.Protect(
                name="access_log_keeps_subjects",
                operation=pgtrigger.Update,
                condition=pgtrigger.Condition(
                    "OLD.subject_key IS DISTINCT FROM NEW.subject_key AND NEW.subject_key IS NOT NULL"
                ),
            ),
            pgtrigger.Protect(
                name="access_log_keeps_rows",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Condition("OLD.at > now() - interval '30 days'"),
            ),
            pgtrigger.Trigger(
                name="access_log_keeps_all",
                level=pgtrigger.Statement,
                when=pgtrigger.Before,
                operation=pgtrigger.Truncate,
                func="RAISE EXCEPTION 'the log of accesses is append-only';",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.actor}"
