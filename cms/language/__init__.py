"""The language of rules and placeholders. Pure: facts and texts go in, truths and problems come out."""
