"""One file per RESTful interaction; see README.md."""
