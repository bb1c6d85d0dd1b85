"""From filled sections to a document: the Composition with its narratives, and the Bundle around it.

https://hl7.org/fhir/uv/ips/StructureDefinition-Composition-uv-ips.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any
from uuid import uuid4

from fhir_server import __version__
from fhir_server.datatypes.json_format import decode_own, encode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.steps.searchset import large_of
from fhir_server.operations.describing import Line, Resource, described, name_of
from fhir_server.operations.document import document_bundle, entry_of
from fhir_server.operations.following import followed
from fhir_server.operations.sections import Filled
from fhir_server.outcome import FhirError, Issue
from fhir_server.search.parameters.reference import local
from fhir_server.store.documents import Stored

_IPS = "http://hl7.org/fhir/uv/ips/StructureDefinition/"
_TYPE = {"system": "http://loinc.org", "code": "60591-5", "display": "Patient summary Document"}
_UNAVAILABLE = {
    "system": "http://terminology.hl7.org/CodeSystem/list-empty-reason",
    "code": "unavailable",
    "display": "Unavailable",
}
COLUMNS = {"en": ("What", "When", "Details"), "fr": ("Quoi", "Quand", "Précisions")}
NOTHING = {
    "en": "There is no information in this space.",
    "fr": "Il n'y a pas d'information dans cet espace.",
}
OLDER = {"en": "Older entries are not shown.", "fr": "Les entrées plus anciennes ne sont pas montrées."}


@dataclass(frozen=True, slots=True)
class Told:
    """The sections of a patient's document, with the lines of each."""

    patient: Stored
    sections: Sequence[Filled]
    linked: Sequence[Stored]
    resources: Mapping[str, Resource]
    base: str

    def lines(self, section: Filled, language: str) -> list[Line]:
        """Return the lines of a section."""
        return [
            line
            for row in section.rows
            for line in described(self.resources[f"{row.type}/{row.id}"], language, self._resolve)
        ]

    @property
    def rows(self) -> list[Stored]:
        """All resources of the document, each once, the patient first."""
        rows = [self.patient, *(row for one in self.sections for row in one.rows), *self.linked]
        return list({(row.type, row.id): row for row in rows}.values())

    def _resolve(self, reference: Any) -> Resource:
        text = reference.get("reference", "") if isinstance(reference, dict) else ""
        return self.resources.get(local(text, self.base) or "", {})


async def told(
    server: Server,
    request: FhirRequest,
    patient: Stored,
    sections: Sequence[Filled],
    without: frozenset[str] = frozenset(),
) -> Told:
    """Return the sections with what their resources refer to, without resources of the types ``without``."""
    rows = [patient, *(row for section in sections for row in section.rows)]
    linked, issues = await followed(server, request, rows, patient=patient.id, without=without)
    if issues:
        raise FhirError(*(Issue("error", "too-costly", issue.diagnostics) for issue in issues))
    resources = {
        f"{row.type}/{row.id}": decode_own(row.body) for row in (*rows, *linked) if row.type != "Binary"
    }
    return Told(patient, sections, linked, resources, request.base)


def answer(server: Server, told_: Told, title: str, language: str, *, is_ips: bool) -> FhirResponse:
    """Return 200 with the document Bundle."""
    device, composition = f"urn:uuid:{uuid4()}", f"urn:uuid:{uuid4()}"
    moment = instant(server.clock())
    first = _composition(told_, title, language, moment, device)
    if is_ips:
        first = {**first, "meta": {"profile": [_IPS + "Composition-uv-ips"]}}
    maker = {
        "resourceType": "Device",
        "manufacturer": "fhir-space-server",
        "deviceName": [{"name": "fhir-space-server", "type": "manufacturer-name"}],
        "version": [{"value": __version__}],
    }
    made = [_made(composition, first), entry_of(told_.base, told_.patient), _made(device, maker)]
    entries = made + [entry_of(told_.base, row) for row in told_.rows[1:]]
    body = document_bundle(moment, entries, _IPS + "Bundle-uv-ips" if is_ips else "")
    return FhirResponse(200, (), (body,), large=large_of(told_.rows))


def _made(full_url: str, resource: Mapping[str, Any]) -> bytes:
    return b'{"fullUrl":"%b","resource":%b}' % (full_url.encode(), encode(resource))


def _composition(told_: Told, title: str, language: str, moment: str, author: str) -> dict[str, Any]:
    patient = told_.resources[f"Patient/{told_.patient.id}"]
    about = " · ".join(filter(None, (name_of(patient), str(patient.get("birthDate", "")))))
    return {
        "resourceType": "Composition",
        "language": language,
        "text": _narrative(f"<p>{escape(title)}</p><p>{escape(about)}</p>", language),
        "status": "final",
        "type": {"coding": [_TYPE]},
        "subject": {"reference": f"{told_.base}/Patient/{told_.patient.id}"},
        "date": moment,
        "author": [{"reference": author}],
        "title": title,
        "confidentiality": "N",
        "section": [
            _section(told_, one, language) for one in told_.sections if one.rows or one.section.always
        ],
    }


def _section(told_: Told, filled: Filled, language: str) -> dict[str, Any]:
    section = filled.section
    parts = [
        note_html(section.note.get(language, "")),
        table_html(told_.lines(filled, language), language, escape),
    ]
    if not filled.rows:
        parts[1] = note_html(NOTHING[language])
    if filled.is_cut:
        parts.append(note_html(OLDER[language]))
    code = (
        {"coding": [{"system": "http://loinc.org", "code": section.code}]}
        if section.code
        else {"text": section.name}
    )
    made: dict[str, Any] = {
        "title": section.titles[language],
        "code": code,
        "text": _narrative("".join(parts), language),
    }
    if filled.rows:
        made["entry"] = [{"reference": f"{told_.base}/{row.type}/{row.id}"} for row in filled.rows]
    else:
        made["emptyReason"] = {"coding": [_UNAVAILABLE], "text": NOTHING[language]}
    return made


def _narrative(inside: str, language: str) -> dict[str, str]:
    div = f'<div xmlns="http://www.w3.org/1999/xhtml" lang="{language}">{inside}</div>'
    return {"status": "generated", "div": div}


def note_html(text: str) -> str:
    """Return a paragraph, or nothing."""
    return f"<p>{escape(text)}</p>" if text else ""


def table_html(lines: Sequence[Line], language: str, said: Callable[[str], str]) -> str:
    """Return the lines as a table of XHTML without empty columns; ``said`` writes a cell's text."""
    shown = [number for number in range(3) if any(line[number] for line in lines)]
    heads = "".join(f"<th>{said(COLUMNS[language][number])}</th>" for number in shown)
    rows = "".join(
        f"<tr>{''.join(f'<td>{said(line[number])}</td>' for number in shown)}</tr>" for line in lines
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
