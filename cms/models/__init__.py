"""The content model in rows; integrity lives in the constraints."""

from cms.models.content import Block, BlockReference, BlockRevision, BlockType, Media
from cms.models.experience import Experience
from cms.models.layout import Page, PageTemplate, Placement, Template, Variant
from cms.models.publication import PageRevision, Plan
from cms.models.site import Site

__all__ = [
    "Block",
    "BlockReference",
    "BlockRevision",
    "BlockType",
    "Experience",
    "Media",
    "Page",
    "PageRevision",
    "PageTemplate",
    "Placement",
    "Plan",
    "Site",
    "Template",
    "Variant",
]
