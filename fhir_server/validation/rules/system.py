"""What names of systems and URIs must be beyond their syntax: absolute, and units of UCUM real ones.

The reference implementation refuses all of this; data that is sent to a server breaks it often, so that a resource
which is to be stored only gets warnings.
https://hl7.org/fhir/R4/datatypes.html#uri, https://hl7.org/fhir/R4/datatypes.html#Identifier
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.datatypes.ucum import SYSTEM as UCUM
from fhir_server.datatypes.ucum import unit
from fhir_server.messages import say
from fhir_server.validation.report import Findings, Run

_absolute = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:").match
_system = re.compile(r"https?:|urn:").match
_uuid = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
#: Atoms of UCUM that our table may lack: those in brackets, and the special unit bel.
_rare_unit = re.compile(r"\[|(?<![A-Za-z])[cdm]?B(?![A-Za-z])").search
_URI = "urn:ietf:rfc:3986"

#: The types of URIs.
URIS = frozenset({"uri", "url", "canonical", "oid", "uuid"})


def uri_problem(type_code: str, value: str) -> str:
    """Return what is wrong with a URI that has the right syntax, "" if nothing is."""
    if type_code == "canonical" and value[:1] != "#" and not _absolute(value):
        return "A canonical URL must be absolute, or #id of a contained resource."
    if value.startswith("urn:uuid:"):
        name = re.split(r"[#|]", value[9:], maxsplit=1)[0]
        return "" if _uuid(name) else "The UUID must be written in lowercase."
    if value.startswith(("oid:", "uuid:")):
        return "The URI of an OID begins with urn:oid:, that of a UUID with urn:uuid:."
    return ""


def definition_url(resource: dict[str, Any], run: Run) -> Findings | None:
    """Check the canonical URL that a definition gives itself."""
    if _absolute(resource.get("url", "a:")):
        return None
    return run.judged("value", "The url of a definition must be absolute.", "canonical-url", ".url")


def identifier_system(node: dict[str, Any], run: Run) -> Findings | None:
    """Check that the system of an Identifier is absolute, and its value if the system demands a URI."""
    system = node["system"]
    if not _system(system) and not system.startswith("ldap:"):
        text = "Identifier.system must be absolute: begin with http:, https: or urn:."
        return run.judged("code-invalid", text, "identifier-system", ".system")
    value = node.get("value")
    if system == _URI and value is not None and not _absolute(value):
        text = say(
            "The system {system} says that the value is a URI: give it with its scheme, such as urn:oid:.",
            system=_URI,
        )
        return run.judged("code-invalid", text, "identifier-value", ".value")
    return None


def coding_system(node: dict[str, Any], run: Run) -> Findings | None:
    """Check that the system of a Coding is the URL of a code system, not of a value set; if relative, warn."""
    system = node["system"]
    if not _absolute(system):
        text = "Coding.system must be absolute: begin with http:, https: or urn:."
        return run.warning("code-invalid", text, "coding-system", ".system")
    if "/ValueSet/" in system:
        text = "Coding.system must be the URL of a code system, not that of a value set."
        return run.judged("code-invalid", text, "coding-system", ".system")
    return None


def quantity_system(node: dict[str, Any], run: Run) -> Findings | None:
    """Check that the system of a Quantity is absolute, and its code a unit if it is one of UCUM."""
    system = node["system"]
    if not _system(system):
        text = "Quantity.system must be absolute: begin with http:, https: or urn:."
        return run.judged("code-invalid", text, "quantity-system", ".system")
    code = node.get("code")
    if system == UCUM and code is not None and unit(code) is None and not _rare_unit(code):
        text = "The code isn't a unit of UCUM: mend it (case matters), or write what is counted in braces."
        return run.judged("code-invalid", text, "ucum", ".code")
    return None


def security_labels(meta: dict[str, Any], run: Run) -> Findings | None:
    """Check that no security label is there twice: they are a set."""
    seen = set()
    found: Findings = []
    for index, label in enumerate(meta["security"]):
        key = (label.get("system"), label.get("code"))
        if key in seen:
            text = "The security label is there twice: leave one."
            found += run.judged("business-rule", text, "security-labels", f".security[{index}]")
        seen.add(key)
    return found or None
