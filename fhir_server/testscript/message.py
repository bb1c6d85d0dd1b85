"""What a script's ids stand for: fixtures, requests and responses, each with headers and a body.

https://hl7.org/fhir/R4/testscript-definitions.html#TestScript.fixture
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from fhir_server.datatypes.json_format import decode, encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.outcome import FhirError


class ScriptError(Exception):
    """The script asks for what can't be done; the step is an error, not a failure of the server."""


@dataclass(frozen=True)
class Message:
    """A fixture, a request or a response; header names are in lower case."""

    xml: XmlFormat
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    method: str = ""
    url: str = ""
    status: int = 0

    @property
    def is_xml(self) -> bool:
        """Tell whether the body is XML: by its content type, or by its first character."""
        declared = self.headers.get("content-type", "")
        return "xml" in declared or ("json" not in declared and self.body.lstrip()[:1] == b"<")

    @cached_property
    def resource(self) -> dict[str, Any]:
        """The resource in the body; raises FhirError when there is none that can be read."""
        return self.xml.decode(self.body) if self.is_xml else decode(self.body)

    def has_resource(self) -> bool:
        """Tell whether the body is a resource that can be read."""
        try:
            return isinstance(self.resource.get("resourceType"), str)
        except FhirError:
            return False

    def as_xml(self) -> bytes:
        """Return the body as XML; raises FhirError when it is no resource."""
        return self.body if self.is_xml else self.xml.encode(self.resource)

    def as_json(self) -> Any:
        """Return the body as JSON with numbers of Python, NDJSON as a list of its lines.

        Raises FhirError or ValueError when it is neither.
        """
        if "ndjson" in self.headers.get("content-type", ""):
            return [json.loads(line) for line in self.body.splitlines() if line.strip()]
        return json.loads(encode(self.resource) if self.is_xml else self.body)
