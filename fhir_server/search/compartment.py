"""Compartment search: a query restricted to what belongs to a patient, an encounter, a practitioner, ...

Membership is exactly what the CompartmentDefinition says; whether the caller may see a member is another
question, answered by access. https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from dataclasses import replace

from fhir_server.outcome import error
from fhir_server.search.combining import all_of, any_of
from fhir_server.search.expression import Equal, Expression
from fhir_server.search.query import SearchQuery
from fhir_server.search.registry import Registry

#: What a CompartmentDefinition writes for the resource that the compartment belongs to.
_ITSELF = "{def}"


def members(compartment: str, registry: Registry) -> tuple[str, ...]:
    """Return the types that can be in a compartment; raises FhirError 404 when there is no such one."""
    found = registry.compartment(compartment)
    if not found:
        raise error(
            "not-found",
            f"There is no {compartment} compartment; R4 has those of {', '.join(registry.compartments)}.",
        )
    return tuple(type_ for type_, names in found.items() if names)


def in_compartment(query: SearchQuery, compartment: str, id_: str, registry: Registry) -> SearchQuery:
    """Return the query restricted to the compartment of ``compartment/id_``.

    Raises FhirError 404 when resources of the query's type are never in such a compartment.
    """
    names = registry.compartment(compartment).get(query.type, ())
    if not names:
        raise error("not-found", f"{query.type} is not part of the {compartment} compartment.")
    if compartment == "Patient":
        member = _of_patient(query.type, names, id_, registry)
    else:
        parameters = registry.parameters(query.type).by_name
        reference = (f"{compartment}/{id_}",)
        found: list[Expression] = [Equal(parameters[n].field, reference) for n in names if n in parameters]
        if _ITSELF in names and query.type == compartment:
            found.append(Equal("_id", (id_,)))
        member = any_of(found)
    return replace(query, expression=all_of([member, query.expression]))


def _of_patient(type_: str, names: tuple[str, ...], id_: str, registry: Registry) -> Expression:
    """Return the patient's own resources, and those that name the patient otherwise (the field ``cp``)."""
    parameters = registry.parameters(type_).by_name
    home = Equal("p", (id_,))
    if all(parameters[name].at_home for name in names if name in parameters):
        return home
    return any_of([home, Equal("cp", (f"Patient/{id_}",))])
