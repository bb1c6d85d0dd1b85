"""The whole language by closures over the tree; see ../README.md."""
