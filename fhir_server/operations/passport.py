"""Patient/[id]/$passport: what a citizen carries abroad, as a document Bundle or as a page to print.

The shape is that of an International Patient Summary, with who the person is, whom to warn, the wish about organs and
the documents beside it (profiles/OperationDefinition-passport.json).
"""

from __future__ import annotations

import re

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.messages import LANGUAGE
from fhir_server.operations.inputs import Inputs, inputs
from fhir_server.operations.passport_page import page
from fhir_server.operations.sections import PASSPORT, Section, filled
from fhir_server.operations.summary_document import answer, told
from fhir_server.outcome import error

_INPUTS = {"language": "text", "sections": "text*"}
_TITLES = {"en": "Medical passport", "fr": "Passeport médical"}
_BY_NAME = {section.name: section for section in PASSPORT}
#: Not shown unless asked for: what insurers paid, and the documents' own content.
_REIMBURSEMENTS, _BINARIES = "reimbursements", "binaries"
_NAMES = (*_BY_NAME, _BINARIES)
#: What is never part of a passport, though something may refer to it.
_WITHOUT = frozenset({"Claim", "Encounter", "ExplanationOfBenefit"})
_HTML = frozenset({"text/html", "application/xhtml+xml"})
_QUALITY = re.compile(r";\s*q=([01](?:\.\d{0,3})?)\s*(?:;|$)", re.IGNORECASE)


async def passport(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with a document Bundle, with a page in both languages when the client prefers HTML."""
    given = inputs(request, _INPUTS)
    language = language_of(given)
    names = names_of(given)
    patient = await current(server, request, target)
    sections: list[Section] = [section for section in PASSPORT if section.name in names]
    found = await filled(server, request, patient, sections)
    without = _WITHOUT if _BINARIES in names else _WITHOUT | {"Binary"}
    told_ = await told(server, request, patient, found, without)
    if "_format" not in request.query and _prefers_html(request.headers.get("accept", "")):
        return page(told_, _TITLES, language, server.clock())
    return answer(server, told_, _TITLES[language], language, is_ips=False)


def _prefers_html(accept: str) -> bool:
    """Tell whether a page is what the client likes best; among equal wishes the first named one counts."""
    best, is_html = 0.0, False
    for entry in accept.split(","):
        found = _QUALITY.search(entry)
        quality = float(found[1]) if found else 1.0
        if quality > best:
            best, is_html = quality, entry.partition(";")[0].strip().lower() in _HTML
    return is_html


def language_of(given: Inputs) -> str:
    """Return the language that is asked for, else that of Accept-Language, else English."""
    if given.has("language"):
        language = given.text("language").partition("-")[0].lower()
        if language not in _TITLES:
            raise error("not-supported", f"The parameter language is one of {', '.join(_TITLES)}.")
        return language
    return LANGUAGE.get() if LANGUAGE.get() in _TITLES else "en"


def names_of(given: Inputs) -> frozenset[str]:
    """Return the names of the sections; all but those that must be asked for when none is named."""
    names = {part.strip() for text in given.texts("sections") for part in text.split(",") if part.strip()}
    for name in sorted(names):
        if name not in _NAMES:
            raise error("value", f"'{name}' is no section of the passport; it has {', '.join(_NAMES)}.")
    return frozenset(names or set(_BY_NAME) - {_REIMBURSEMENTS})
