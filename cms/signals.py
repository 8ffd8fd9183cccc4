"""The news that `cms` sends upward. Receivers are wired in `personalization/apps.py` alone.

`site_changed(site_id, epoch)`: something that is delivered changed; sent once the transaction is committed.
`published(page_id, revision)` and `unpublished(page_id)`: sent once the transaction is committed.
"""

from django.db import transaction
from django.dispatch import Signal

site_changed = Signal()
published = Signal()
unpublished = Signal()


def announce(*, site_id: int, epoch: int) -> None:
    """Send `site_changed` when the running transaction commits."""
    transaction.on_commit(lambda: site_changed.send(None, site_id=site_id, epoch=epoch))
