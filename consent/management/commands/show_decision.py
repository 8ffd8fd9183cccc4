"""`show_decision ID`: who decided what, when, how, and which text they read; and whether the ledger still proves it.

The id is a receipt's `receipt_id` or `record_id`. Exit 1 when there is no such decision, or its chain is broken.
"""

import uuid
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from consent.ledger import broken_entries, payload_of
from consent.models import ConsentEvent, ConsentState, NoticeVersion
from consent.proofs import problems_of
from consent.purposes import digest_of
from consent.receipts import receipt_of


class Command(BaseCommand):
    help = "Show one decision with the exact text that was read, and verify its chain (GDPR, article 7(1))."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("id", help="receipt_id or record_id of a receipt")

    def handle(self, *args: Any, **options: Any) -> None:
        entry = _entry(options["id"])
        if entry is None:
            raise CommandError(f"There is no decision '{options['id']}'.")
        made = list(
            ConsentEvent.objects.filter(subject_key=entry.subject_key, at=entry.at).order_by("seq")
        )  # the entries of one decision share its moment
        row = ConsentState.objects.filter(pk=entry.subject_key).first()
        receipt = receipt_of(made, row) if row is not None else None
        self._who_and_when(entry, receipt)
        for one in made:
            self.stdout.write(f"  {one.purpose}: {one.action}")
        notice = self._text(entry, receipt, [one.purpose for one in made])
        problems = _problems_of_text(notice, payload_of(entry)) + [
            f"Entry {one.seq} does not follow from the one before."
            for one in broken_entries(entry.subject_key)
        ]
        problems += problems_of(receipt) if receipt is not None else []
        for problem in problems:
            self.stdout.write(problem)
        if problems:
            raise CommandError("The ledger does not prove it.")
        self.stdout.write("The chain is whole, and proves it.")

    def _who_and_when(self, entry: ConsentEvent, receipt: dict[str, Any] | None) -> None:
        self.stdout.write(f"Who:    {entry.subject_key} (pseudonym)" + ("" if receipt else ", erased since"))
        self.stdout.write(f"When:   {entry.at.isoformat()}")
        self.stdout.write(f"How:    {entry.method}, by {entry.actor}, under {entry.regime}")
        shown = "shown, as its signed statement says" if entry.served_id else "not known to have been shown"
        self.stdout.write(f"Notice: {entry.notice_version or 'none'}, {shown}")

    def _text(
        self, entry: ConsentEvent, receipt: dict[str, Any] | None, purposes: list[str]
    ) -> NoticeVersion | None:
        """Print what was read, in the language in which it was."""
        number = entry.notice_version
        notice = (
            NoticeVersion.objects.filter(site_id=entry.site_id, n=int(number)).first()
            if number.isdecimal()
            else None
        )
        if notice is None:
            return None
        language = (receipt or {}).get("language") or next(iter(notice.texts))
        text = notice.texts.get(language) or next(iter(notice.texts.values()))
        self.stdout.write(f"Text ({language}, SHA-256 {notice.sha256}):")
        self.stdout.write(f"  {text['summary']}")
        for one in text["purposes"]:
            if one["key"] in purposes:
                self.stdout.write(f"  {one['title']}: {one['summary']} {one['details']}".rstrip())
        return notice


def _problems_of_text(notice: NoticeVersion | None, said: dict[str, Any]) -> list[str]:
    """Say whether these are the words that were read: their digest is under the proof of the decision."""
    read = said.get("notice_sha256")
    if read is None or (notice is not None and digest_of(notice.texts) == read):
        return []
    return [f"The notice's text is another than the one that was read (SHA-256 {read})."]


def _entry(name: str) -> ConsentEvent | None:
    """Return the entry of a receipt's id (a hash) or a record's (`SUBJECT:SEQ`)."""
    if len(name) == 64:
        return ConsentEvent.objects.filter(hash=name).first()
    subject, _, seq = name.partition(":")
    try:
        return ConsentEvent.objects.filter(subject_key=uuid.UUID(subject), seq=int(seq)).first()
    except ValueError:
        return None
