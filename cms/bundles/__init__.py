"""Content as code: the parts of a bundle that are content, in and out."""
