"""Permissions of content: what the admin asks before it shows or does something."""

import rules

from cms.roles import AUTHORS, PUBLISHERS

is_author = rules.is_group_member(AUTHORS)
is_publisher = rules.is_group_member(PUBLISHERS)
may_write = rules.is_superuser | is_author | is_publisher
may_publish = rules.is_superuser | is_publisher

for model in (
    "site",
    "blocktype",
    "block",
    "blockrevision",
    "media",
    "template",
    "page",
    "pagetemplate",
    "placement",
    "variant",
    "pagerevision",
    "experience",
):
    rules.add_perm(f"cms.view_{model}", may_write)
for model in (
    "blocktype",
    "block",
    "media",
    "template",
    "page",
    "pagetemplate",
    "placement",
    "variant",
    "experience",
):
    rules.add_perm(f"cms.add_{model}", may_write)
    rules.add_perm(f"cms.change_{model}", may_write)
for model in ("pagetemplate", "placement", "variant"):
    rules.add_perm(f"cms.delete_{model}", may_write)
for model in ("blocktype", "block", "media", "template", "page", "experience"):
    rules.add_perm(f"cms.delete_{model}", may_publish)
rules.add_perm("cms.change_site", rules.is_superuser)
rules.add_perm("cms.publish_page", may_publish)
rules.add_perm("cms.publish_block", may_publish)
rules.add_perm("cms", may_write)
for model in ("segment", "trait", "attribute", "segmentrun", "membership", "eventtype"):
    rules.add_perm(f"personalization.view_{model}", may_write)
for model in ("profile", "webhookendpoint", "webhookdelivery", "triggerrun", "deadletter"):
    rules.add_perm(f"personalization.view_{model}", may_publish)
for action in ("add", "change", "delete"):
    rules.add_perm(f"personalization.{action}_webhookendpoint", may_publish)
rules.add_perm("personalization.replay_deadletter", may_publish)
for model in ("segment", "trait", "attribute", "eventtype"):
    rules.add_perm(f"personalization.add_{model}", may_write)
    rules.add_perm(f"personalization.change_{model}", may_write)
    rules.add_perm(f"personalization.delete_{model}", may_publish)
rules.add_perm("personalization.lower_min_size", may_publish)
rules.add_perm("personalization", may_write)
for model in ("purpose", "noticeversion", "consentevent", "propagationjob", "accesslog", "privacyrequest"):
    rules.add_perm(f"consent.view_{model}", may_publish)
for action in ("add", "change"):
    rules.add_perm(f"consent.{action}_purpose", rules.is_superuser)
rules.add_perm("consent.retry_propagationjob", may_publish)
rules.add_perm("consent.answer_privacyrequest", may_publish)
rules.add_perm("consent", may_publish)
