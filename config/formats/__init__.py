"""How dates are spelled in the admin, by language; Django reads these through `FORMAT_MODULE_PATH`."""
