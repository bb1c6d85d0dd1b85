"""The sections of a patient summary and of the passport: their codes, titles, and the searches that fill them.

https://hl7.org/fhir/uv/ips/StructureDefinition-Composition-uv-ips.html
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.operations.record import newest_of_each, page_of, query_of
from fhir_server.store.documents import Stored

#: Most resources of one search of a section; the newest are taken, and the section says that there are more.
MOST = 200


@dataclass(frozen=True, slots=True)
class Source:
    """One search for a section; ``each`` takes the newest for each value of this parameter only."""

    type: str
    pairs: tuple[tuple[str, str], ...] = ()
    each: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """A section: its ``name`` here, its LOINC code ("" without), its titles, and what it is filled with.

    ``always`` shows it when it is empty, too; ``note`` is a sentence that always goes with it.
    """

    name: str
    code: str
    titles: Mapping[str, str]
    sources: tuple[Source, ...]
    always: bool = False
    note: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Filled:
    """A section with its resources; ``is_cut`` tells that older ones are not shown."""

    section: Section
    rows: tuple[Stored, ...]
    is_cut: bool


def _not(name: str, values: str) -> tuple[str, str]:
    return f"{name}:not", values


_STATUS = ("status", "final,amended,corrected,preliminary")
_REAL = _not("verification-status", "refuted,entered-in-error")

PROBLEMS = Section(
    "problems", "11450-4", {"en": "Problems", "fr": "Problèmes de santé"},
    (Source("Condition", (_REAL, _not("clinical-status", "inactive,remission,resolved"))),), always=True,
)  # fmt: skip
ALLERGIES = Section(
    "allergies", "48765-2", {"en": "Allergies and intolerances", "fr": "Allergies et intolérances"},
    (Source("AllergyIntolerance", (_REAL, _not("clinical-status", "inactive,resolved"))),), always=True,
)  # fmt: skip
MEDICATIONS = Section(
    "medications", "10160-0", {"en": "Medications", "fr": "Médicaments"},
    (
        Source("MedicationStatement", (("status", "active,intended,on-hold,unknown"),)),
        Source("MedicationRequest", (("status", "active,on-hold"), ("intent:not", "proposal"))),
    ), always=True,
)  # fmt: skip
DIRECTIVES = Section(
    "directives", "42348-3", {"en": "Advance directives", "fr": "Directives anticipées"},
    (Source("Consent", (("scope", "adr"), ("status", "active"))),), always=True,
)  # fmt: skip

#: The sections of the International Patient Summary, in its order: required, recommended, optional.
SUMMARY: tuple[Section, ...] = (
    PROBLEMS,
    ALLERGIES,
    MEDICATIONS,
    Section("immunizations", "11369-6", {"en": "Immunizations", "fr": "Vaccinations"},
            (Source("Immunization", (("status", "completed"),)),), always=True),
    Section("results", "30954-2", {"en": "Results", "fr": "Résultats d'examens"},
            (Source("Observation", (("category", "laboratory,imaging"), _STATUS), "code"),
             Source("DiagnosticReport", (_STATUS,), "code")), always=True),
    Section("procedures", "47519-4", {"en": "Procedures", "fr": "Actes et interventions"},
            (Source("Procedure", (("status", "completed,in-progress"),)),), always=True),
    DIRECTIVES,
    Section("devices", "46264-8", {"en": "Medical devices", "fr": "Dispositifs médicaux"},
            (Source("DeviceUseStatement"),)),
    Section("vital-signs", "8716-3", {"en": "Vital signs", "fr": "Signes vitaux"},
            (Source("Observation", (("category", "vital-signs"), _STATUS), "code"),)),
    Section("past-problems", "11348-0", {"en": "Past problems", "fr": "Antécédents"},
            (Source("Condition", (_REAL, ("clinical-status", "inactive,remission,resolved"))),)),
    Section("social-history", "29762-2", {"en": "Social history", "fr": "Mode de vie"},
            (Source("Observation", (("category", "social-history"), _STATUS), "code"),)),
    Section("plans", "18776-5", {"en": "Plan of care", "fr": "Projet de soins"},
            (Source("CarePlan", (("status", "active"),)),)),
)  # fmt: skip

_ORGAN_DONATION = "https://health-space.example/fhir/CodeSystem/hs-consent-category|organ-donation"

#: The sections of the passport, in the order in which somebody abroad needs them; the last one only if asked for.
PASSPORT: tuple[Section, ...] = (
    Section("identity", "", {"en": "Identity", "fr": "Identité"}, (Source("Patient"),), always=True),
    Section("contacts", "", {"en": "Persons to warn", "fr": "Personnes à prévenir"},
            (Source("RelatedPerson", (("relationship", "ECON"), ("active", "true"))),), always=True),
    ALLERGIES,
    PROBLEMS,
    MEDICATIONS,
    Section("measures", "8716-3", {"en": "Latest measures", "fr": "Dernières mesures"},
            (Source("Observation", (("category", "vital-signs,activity"), _STATUS), "code"),), always=True),
    Section("wish", "42348-3", {"en": "Organ donation", "fr": "Don d'organes"},
            (Source("Consent", (("category", _ORGAN_DONATION), ("status", "active"))),), always=True,
            note={"en": "For information: in France a refusal counts if it is recorded in the national register of "
                        "refusals; without one, the law presumes consent.",
                  "fr": "À titre indicatif : en France, un refus s'exprime par l'inscription au registre national des "
                        "refus ; à défaut, la loi présume le consentement."}),
    Section("documents", "", {"en": "Documents", "fr": "Documents"},
            (Source("DocumentReference", (("status", "current"),)),), always=True),
    Section("reimbursements", "", {"en": "Reimbursements", "fr": "Remboursements"},
            (Source("ExplanationOfBenefit", (("status", "active"),)),), always=True),
)  # fmt: skip


async def filled(
    server: Server, request: FhirRequest, patient: Stored, sections: Sequence[Section]
) -> list[Filled]:
    """Return the sections with what the caller may see of the patient's record."""
    present = frozenset(await server.store.types())
    return list(
        await asyncio.gather(*(_fill(server, request, patient, section, present) for section in sections))
    )


async def _fill(
    server: Server, request: FhirRequest, patient: Stored, section: Section, present: Collection[str]
) -> Filled:
    rows: list[Stored] = []
    is_cut = False
    for source in section.sources:
        if source.type == "Patient":
            rows.append(patient)
        elif source.type in present:
            pairs = (("patient", f"Patient/{patient.id}"), *source.pairs)
            query = await query_of(server, request, source.type, pairs)
            if source.each:
                rows += await newest_of_each(server, request, query, source.each)
            else:
                page = await page_of(server, request, query, MOST)
                rows += page.rows
                is_cut = is_cut or page.next is not None
    return Filled(section, tuple(rows), is_cut)
