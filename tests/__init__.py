"""The suite; a package, so that `tests.builders` can be imported from everywhere in it."""
