"""One file per $operation; see README.md."""
