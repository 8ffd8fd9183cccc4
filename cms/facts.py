"""The vocabulary of one site: every fact that a rule or a placeholder may name.

Context facts are here from the start; whoever knows more (traits, segments, scores) registers a provider.
Wired in `personalization/apps.py`.
"""

from collections.abc import Callable

from cms.language.vocabulary import CONTEXT, Vocabulary

Provider = Callable[[int], Vocabulary]
_providers: list[Provider] = []


def register_facts(provider: Provider) -> None:
    """Add a provider: site id → the facts it knows."""
    if provider not in _providers:
        _providers.append(provider)


def vocabulary(site_id: int) -> Vocabulary:
    """Return every fact that rules and placeholders of the site may name."""
    known = Vocabulary(facts=CONTEXT, segments={}, attributes={})
    for provider in _providers:
        known = known.merged(provider(site_id))
    return known
