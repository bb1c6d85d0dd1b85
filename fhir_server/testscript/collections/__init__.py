"""Requests to try a server with, generated from its CapabilityStatement: for Postman, Bruno and HTTP files."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_server.testscript.collections.bruno import bruno
from fhir_server.testscript.collections.http_file import http_file
from fhir_server.testscript.collections.postman import postman
from fhir_server.testscript.collections.requests import Collection, Folder, Request, collection

#: Form -> what writes it: the files of a collection by their path.
FORMS: Mapping[str, Callable[[Collection], dict[str, str]]] = {
    "postman": postman,
    "bruno": bruno,
    "http": http_file,
}

__all__ = ["FORMS", "Collection", "Folder", "Request", "collection"]
