"""The personalization application, and every coupling between the packages, on one screen.

News travels upward by three registries: the vocabulary (facts a rule may name), the holders (who keeps personal
data), and the signals of what is delivered. Work that can fail for good says how it is begun anew; code that is called
when somebody enters or leaves a segment is registered by whoever wrote it (`personalization/triggers.py`).
"""

from typing import Any

from django.apps import AppConfig


class PersonalizationConfig(AppConfig):
    name = "personalization"
    verbose_name = "Readers"

    def ready(self) -> None:
        from cms.facts import register_facts
        from cms.signals import site_changed
        from consent import access_log, holding, registry
        from consent.holders import register_holder
        from consent.readers import register_reader, register_recipients
        from consent.seal import register_wrapped
        from personalization import data_map, lanes, readers, retention, triggers, webhooks
        from personalization.dead_letters import register_work
        from personalization.keeping import HOLDERS
        from personalization.models import WebhookEndpoint
        from personalization.segments.directory import facts_of_site

        register_facts(facts_of_site)
        for holder in (*HOLDERS, *holding.HOLDERS, access_log.HOLDER):
            register_holder(holder)
        registry.declare(*data_map.DECLARED)
        register_wrapped(WebhookEndpoint, "secret", "previous_secret")
        registry.watch_retention("events", retention.overdue)
        register_reader("pages", readers.purposes_of_pages)
        register_reader("facts", readers.purposes_of_facts)
        register_reader("events", readers.purposes_of_events)
        register_reader("tellings", readers.purposes_of_tellings)
        register_recipients("tellings", readers.recipients_of_tellings)
        register_work(lanes.WORK, lanes.replay_claim)
        register_work(webhooks.WORK, webhooks.replay_delivery)
        register_work(triggers.WORK, triggers.replay_run)
        site_changed.connect(announce, dispatch_uid="announce-epoch")


def announce(sender: Any, *, epoch: int, **_: Any) -> None:
    """Tell every process that something it delivers has changed."""
    from personalization.plans import announce_epoch

    announce_epoch(epoch)
