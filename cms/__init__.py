"""What editors write: content, templates, pages, display rules, publishing. Works alone."""
