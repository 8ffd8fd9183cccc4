"""Tests of the language; a package, so that its strategies can be shared."""
