"""The HTTP edge: bytes in, bytes out; see README.md."""
