"""Expressions on statically typed JSON become Python source; see ../README.md."""
