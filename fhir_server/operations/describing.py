"""One line of words for a resource: what, when, details. For people; programs read the resource itself.

https://hl7.org/fhir/R4/narrative.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Resource = Mapping[str, Any]
Resolve = Callable[[Any], Resource]
"""Returns the resource that a Reference leads to, an empty one when it isn't there."""


class Line(NamedTuple):
    """What it is, when it was, and what else matters."""

    what: str
    when: str = ""
    details: str = ""


_MOMENTS = (
    "onsetDateTime", "recordedDate", "performedDateTime", "performedPeriod", "effectiveDateTime", "effectiveInstant",
    "effectivePeriod", "occurrenceDateTime", "occurrenceString", "authoredOn", "dateAsserted", "recordedOn",
    "dateTime", "date", "created", "period", "timingDateTime", "timingPeriod",
)  # fmt: skip

#: The base answers of an organ donation wish (v3-ActCode), by language.
_WISHES = {
    "OPTIN": {"en": "Donates all organs", "fr": "Donne tous ses organes"},
    "OPTINR": {"en": "Donates, except", "fr": "Donne, sauf"},
    "OPTOUT": {"en": "Does not donate", "fr": "Ne donne pas"},
    "OPTOUTE": {"en": "Does not donate, except", "fr": "Ne donne pas, sauf"},
}
_GENDERS = {
    "female": {"en": "female", "fr": "féminin"},
    "male": {"en": "male", "fr": "masculin"},
    "other": {"en": "other", "fr": "autre"},
    "unknown": {"en": "unknown", "fr": "inconnu"},
}


def described(resource: Resource, language: str, resolve: Resolve) -> list[Line]:
    """Return the lines of a resource, one for most; a patient has one for each fact."""
    kind = resource["resourceType"]
    if kind == "Patient":
        return list(_identity(resource, language))
    line = _LINES.get(kind, _plain)(resource, language, resolve)
    return [line._replace(when=line.when or _when(resource))]


def words(concept: Any) -> str:
    """Return the words of a CodeableConcept: its text, else a display, else a code."""
    if not isinstance(concept, dict):
        return ""
    codings = concept.get("coding", ())
    return str(
        concept.get("text")
        or next((one["display"] for one in codings if one.get("display")), "")
        or next((one["code"] for one in codings if one.get("code")), "")
    )


def _shown(coding: Resource) -> str:
    return str(coding.get("display") or coding.get("code", ""))


def name_of(resource: Resource) -> str:
    """Return the name of a person, the official one first."""
    names = resource.get("name", ())
    if isinstance(names, str):
        return names
    ordered = sorted(names, key=lambda name: name.get("use") != "official")
    for name in ordered:
        parts = (*name.get("given", ()), name.get("family"))
        text = name.get("text") or " ".join(part for part in parts if part)
        if text:
            return str(text)
    return ""


def _when(resource: Resource) -> str:
    for name in _MOMENTS:
        value = resource.get(name)
        if isinstance(value, str):
            return _day(value)
        if isinstance(value, dict):
            bounds = [_day(value[part]) for part in ("start", "end") if value.get(part)]
            return " – ".join(dict.fromkeys(bounds))  # noqa: RUF001 (a range of dates)
    return ""


def _day(text: str) -> str:
    return text[:16].replace("T", " ") if "T" in text else text


def _joined(parts: Iterable[Any], separator: str = ", ") -> str:
    return separator.join(dict.fromkeys(str(part) for part in parts if part))


def quantity(value: Any) -> str:
    """Return a Quantity, Range or Money in words."""
    if not isinstance(value, dict):
        return ""
    if "low" in value or "high" in value:
        return _joined((quantity(value.get(end)) for end in ("low", "high")), " – ")  # noqa: RUF001
    unit = value.get("unit") or value.get("code") or value.get("currency", "")
    number = value.get("value")
    return "" if number is None else f"{value.get('comparator', '')}{number} {unit}".strip()


def _value(holder: Resource) -> str:
    """Return the value[x] of an Observation or of a component."""
    for name, value in holder.items():
        if name.startswith("value") and isinstance(value, dict):
            return quantity(value) or words(value)
        if name.startswith("value") and isinstance(value, str | int):
            return str(value)
    return words(holder.get("dataAbsentReason"))


def _plain(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001 (as all lines)
    what = words(resource.get("code")) or words(resource.get("type")) or str(resource.get("title", ""))
    return Line(what or resource["resourceType"], details=words(resource.get("clinicalStatus")))


def _observation(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    parts = [f"{words(part.get('code'))}: {_value(part)}" for part in resource.get("component", ())]
    seen = _joined(words(one) for one in resource.get("interpretation", ()))
    return Line(words(resource.get("code")), details=_joined((_value(resource), *parts, seen)))


def _allergy(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    reactions = [words(one) for row in resource.get("reaction", ()) for one in row.get("manifestation", ())]
    return Line(words(resource.get("code")), details=_joined((resource.get("criticality"), *reactions)))


def _medication(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    reference = resource.get("medicationReference", {})
    inside = {f"#{one.get('id')}": one for one in resource.get("contained", ())}
    medication = inside.get(reference.get("reference", "")) or resolve(reference)
    what = words(resource.get("medicationCodeableConcept")) or words(medication.get("code"))
    doses = resource.get("dosage") or resource.get("dosageInstruction") or ()
    return Line(what or reference.get("display", ""), details=_joined(dose.get("text") for dose in doses))


def _immunization(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    doses = [dose.get("doseNumberPositiveInt") for dose in resource.get("protocolApplied", ())]
    return Line(words(resource.get("vaccineCode")), details=_joined(f"n° {dose}" for dose in doses if dose))


def _device_use(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    device = resolve(resource.get("device"))
    names = [one.get("name") for one in device.get("deviceName", ())]
    return Line(_joined(names) or words(device.get("type")) or resource.get("device", {}).get("display", ""))


def _consent(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    rule = resource.get("policyRule", {})
    code = next((one.get("code") for one in rule.get("coding", ()) if one.get("code") in _WISHES), "")
    what = _WISHES[code][language] if code else _joined(words(one) for one in resource.get("category", ()))
    exceptions = [
        _joined((*map(words, row.get("code", ())), *map(_shown, row.get("purpose", ()))))
        for row in resource.get("provision", {}).get("provision", ())
    ]
    return Line(what, details=_joined(exceptions))


def _contact(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    ways = [one.get("value") for one in resource.get("telecom", ())]
    kinds = [words(one) for one in resource.get("relationship", ())]
    return Line(name_of(resource), when=_joined(ways), details=_joined(kinds))


def _document(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    titles = [one.get("attachment", {}).get("title") for one in resource.get("content", ())]
    what = words(resource.get("type")) or resource.get("description", "")
    return Line(what or _joined(titles), details=_joined((resource.get("description"), *titles)))


def _benefit(resource: Resource, language: str, resolve: Resolve) -> Line:  # noqa: ARG001
    totals = [
        f"{words(one.get('category'))}: {quantity(one.get('amount'))}" for one in resource.get("total", ())
    ]
    return Line(words(resource.get("type")), details=_joined(totals))


def _identity(patient: Resource, language: str) -> Iterable[Line]:
    labels = {
        "en": ("Name", "Birth date", "Sex", "Identifier"),
        "fr": ("Nom", "Date de naissance", "Sexe", "Identifiant"),
    }[language]
    gender = _GENDERS.get(patient.get("gender", ""), {}).get(language, "")
    facts = [name_of(patient), patient.get("birthDate", ""), gender]
    for label, fact in zip(labels, facts, strict=False):
        if fact:
            yield Line(label, details=str(fact))
    for identifier in patient.get("identifier", ()):
        if identifier.get("value") and identifier.get("use") != "old":
            kind = words(identifier.get("type")) or identifier.get("system", "")
            yield Line(labels[3], details=_joined((identifier["value"], kind and f"({kind})"), " "))


_LINES: Mapping[str, Callable[[Resource, str, Resolve], Line]] = {
    "AllergyIntolerance": _allergy,
    "Consent": _consent,
    "DeviceUseStatement": _device_use,
    "DocumentReference": _document,
    "ExplanationOfBenefit": _benefit,
    "Immunization": _immunization,
    "MedicationRequest": _medication,
    "MedicationStatement": _medication,
    "Observation": _observation,
    "RelatedPerson": _contact,
}
