"""The rules of validation, one file per facet of an element."""
