"""FHIR XML as bytes, read and written without loss.

``XmlFormat.decode`` gives the same plain dicts as ``json_format.decode``; ``encode`` writes them in the order of
elements that the definitions say. Numbers keep their text, narratives their very characters.

Read with expat and not with lxml: it tells the offset of each tag in the bytes, so the narrative is taken over as it
was sent and each issue has its line and column; a DOCTYPE is refused before anything in it is read.

https://hl7.org/fhir/R4/xml.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.datatypes.protocols import Types
from fhir_server.datatypes.xml_reader import Reader
from fhir_server.datatypes.xml_tables import Tables
from fhir_server.datatypes.xml_writer import Writer
from fhir_server.outcome import FhirError, Issue


class XmlFormat:
    """Reads and writes resources of the types that it was given; safe to share between threads."""

    def __init__(self, types: Types) -> None:
        self._tables = Tables(types)

    def decode(self, data: bytes) -> dict[str, Any]:
        """Return the resource in ``data`` (UTF-8, with or without a byte order mark).

        Raises FhirError with status 400 and an issue with expression, line and column for each defect: what isn't
        well-formed, DOCTYPE, processing instructions inside, wrong namespaces, unknown elements and attributes, wrong
        order, text between elements, values that aren't of their type, more than 64 levels.
        """
        resource, issues = self.read(data)
        if issues:
            raise FhirError(*issues, status=400)
        return resource

    def read(self, data: bytes) -> tuple[dict[str, Any], tuple[Issue, ...]]:
        """Return what could be read, and the issues of what could not.

        Raises FhirError with status 400 if nothing could: not well-formed, a DOCTYPE, no resource of R4, too deep.
        """
        return Reader(self._tables, data).read()

    def encode(self, resource: dict[str, Any], *, pretty: bool = False) -> bytes:
        """Return a resource as XML in UTF-8; raise FhirError for properties that its type doesn't have.

        The two characters of JSON that XML doesn't have (U+FFFE, U+FFFF) become U+FFFD.
        """
        return Writer(self._tables, pretty=pretty).write(resource)
