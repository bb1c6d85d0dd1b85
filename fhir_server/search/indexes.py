"""The MongoDB indexes of each type, declared here and nowhere else.

Every index costs each write about 7 us and 15-30 bytes, so a type has at most 12 beside ``_id``. An index is
partial on its first field: absent values cost nothing, and deletions are in none of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from fhir_server.search.entries import IndexDescriptor
from fhir_server.search.main_dates import MAIN_DATES
from fhir_server.search.registry import Registry
from fhir_server.search.search_parameter import FULL_TEXT, Parameter, TypeParameters

#: Most indexes of a type beside those that every type has.
MOST_INDEXES = 12

#: Written as field names: ``s`` and ``lu`` descending, all others ascending and, but for ``p``, below ``i.``.
_OWN: Mapping[str, Sequence[str]] = {
    "Observation": (
        "p code s", "p category s", "p s", "code s", "identifier", "encounter", "performer s", "subject s",
        "value-quantity.u value-quantity.v", "value-quantity-range.u value-quantity-range.l",
    ),
    "DocumentReference": (
        "p type s", "p s", "identifier", "author s", "period.l", "related", "relatesto", "encounter",
        "subject s",
    ),
    "ExplanationOfBenefit": ("p s", "identifier", "claim", "provider s"),
    "Consent": ("p s", "actor s", "organization", "identifier", "data"),
    "RelatedPerson": ("p", "identifier", "name", "telecom"),
    "Patient": (
        "identifier", "birthdate.l family", "family", "given", "name", "telecom", "general-practitioner",
        "organization", "gender lu",
    ),
}  # fmt: skip

_KINDS: Mapping[str, int | str] = {"s": -1, "lu": -1, "near": "2dsphere"}

#: References that people navigate, in the order in which the template takes the first three of a type.
_NAVIGATED = (
    "encounter", "organization", "practitioner", "location", "based-on", "target", "performer", "author",
    "owner", "actor", "medication", "request", "insurer", "provider", "partof", "part-of", "participant",
    "member", "device",
)  # fmt: skip
_MOST_REFERENCES = 3


def indexes(type_: str, registry: Registry) -> tuple[IndexDescriptor, ...]:
    """Return the indexes of a resource type; raises KeyError for an unknown one."""
    known = registry.parameters(type_)
    always = [
        IndexDescriptor("lu", (("lu", -1),), "lu"),
        IndexDescriptor("dl", (("dl", -1),), "dl"),
        IndexDescriptor("ck", (("ck", 1),), "ck", unique=True),
        IndexDescriptor("_contained", (("i._contained", 1),), "i._contained"),
        IndexDescriptor("_content", (("i._content", 1),), "i._content"),
    ]
    if any(not known.by_name[name].at_home for name in known.compartment if name in known.by_name):
        order = "s" if type_ in MAIN_DATES else "lu"
        always.append(IndexDescriptor(f"cp_{order}", (("cp", 1), (order, -1)), "cp"))
    own = list(_OWN.get(type_) or _template(known))
    customs = [text for p in known.by_name.values() if p.is_custom and (text := _for_custom(p))]
    own += [text for text in customs if text not in own][: max(0, MOST_INDEXES - len(own))]
    return (*always, *(_descriptor(text) for text in own))


def indexed(type_: str, registry: Registry) -> tuple[str, ...]:
    """Return the search parameters of a type that an index begins with."""
    known = registry.parameters(type_)
    found = ["_id", "_lastUpdated"]
    for index in indexes(type_, registry):
        first = index.keys[0][0]
        if first == "p":
            at_home = [parameter.name for parameter in known.by_name.values() if parameter.at_home]
            found += ["patient"] if "patient" in at_home else at_home
        name = first.removeprefix("i.").partition(".")[0].removesuffix("-range")
        if name in known.by_name and name not in FULL_TEXT:
            found.append(name)
    return tuple(dict.fromkeys([*found, *(name for name in FULL_TEXT if name in known.names)]))


def _for_custom(parameter: Parameter) -> str:
    """Return the index of a parameter of this server's own; "" for one that is searched beside others."""
    name = parameter.name
    if not parameter.is_stored or parameter.at_home:
        return ""
    return {
        "date": f"{name}.l",
        "quantity": f"{name}.u {name}.v",
        "token": name,
        "string": name,
        "reference": name,
        "uri": name,
    }.get(parameter.type, "")


def _descriptor(text: str) -> IndexDescriptor:
    keys = tuple((_field(name), _KINDS.get(name, 1)) for name in text.split())
    return IndexDescriptor(text.replace(" ", "_"), keys, keys[0][0])


def _field(name: str) -> str:
    return name if name in {"p", "s", "lu"} else f"i.{name}"


def _template(known: TypeParameters) -> list[str]:
    """Return the indexes of a type without own ones: by patient, code, identifier and reference."""
    order = "s" if known.resource in MAIN_DATES else "lu"
    names = {n: p for n, p in known.by_name.items() if p.searchable and not p.parts and not p.at_home}
    tokens = [n for n in ("code", "type") if n in names and names[n].type == "token"]
    is_about_patients = bool(known.home)
    found = []
    if is_about_patients:
        found += [f"p {name} {order}" for name in tokens[:1]] + [f"p {order}"]
    if known.resource in MAIN_DATES:
        found += [f"{name} s" for name in tokens[:1]]
    found += [n for n in ("near",) if n in names]
    found += [n for n in ("identifier", "url", "name") if n in names and names[n].type != "reference"]
    found += [
        f"subject {order}"
        for p in (known.by_name.get("subject"),)
        if p is not None and p.at_home and p.targets != ("Patient",)
    ]
    references = [n for n in _NAVIGATED if n in names and names[n].type == "reference"]
    return found + references[:_MOST_REFERENCES]
