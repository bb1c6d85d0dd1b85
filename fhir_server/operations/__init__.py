"""One file per $operation; ``catalogue`` lists them."""
