"""Template sources: what an editor may write in Jinja2. `program` says which rules hold."""

from cms.language.source.limits import SourceError
from cms.language.source.program import ROOTS_BLOCK, ROOTS_PAGE, Source, check_source, compile_source

__all__ = ["ROOTS_BLOCK", "ROOTS_PAGE", "Source", "SourceError", "check_source", "compile_source"]
