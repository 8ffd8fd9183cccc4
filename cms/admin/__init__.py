"""The workbench of editors: block types, blocks, media, templates, pages, the site, and who may log in."""

from cms.admin import accounts, block_types, blocks, experiences, media, pages, sites, templates

__all__ = ["accounts", "block_types", "blocks", "experiences", "media", "pages", "sites", "templates"]
