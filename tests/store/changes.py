"""Small changes and plans that the store's tests write and ask."""

from __future__ import annotations

from fhir_server.access import AccessContext
from fhir_server.access.policy import any_of
from fhir_server.search.entries import IndexDescriptor, IndexEntries, SearchPlan
from fhir_server.store import Store
from fhir_server.store.documents import Change, Method

#: 2026-01-01T00:00:00Z
START = 1_767_225_600_000


def indexes(type_: str) -> tuple[IndexDescriptor, ...]:
    return (
        IndexDescriptor("p_s", (("p", 1), ("s", -1))),
        IndexDescriptor("i.identifier", (("i.identifier", 1),), partial="i.identifier"),
    )


def entries(patient: str | None = "pat", **values) -> IndexEntries:
    return IndexEntries(patient, (), START, values, {})


def create(
    id_: str, *, type_: str = "Observation", at: int = START, body: bytes | None = None, **keys
) -> Change:
    claim, patient = keys.pop("claim", None), keys.pop("patient", "pat")
    body = b'{"id":"%b","n":1}' % id_.encode() if body is None else body
    return Change(Method.POST, type_, id_, 0, at, body, entries(patient, **keys), claim, security={})


def update(id_: str, previous: int, *, type_: str = "Observation", at: int | None = None, **keys) -> Change:
    body = keys.pop("body", b'{"id":"%b","n":%d}' % (id_.encode(), previous + 1))
    at = START + previous if at is None else at
    made = entries(keys.pop("patient", "pat"), **keys)
    return Change(Method.PUT, type_, id_, previous, at, body, made, security={})


def delete(id_: str, previous: int, *, type_: str = "Observation", at: int | None = None) -> Change:
    at = START + previous if at is None else at
    return Change(Method.DELETE, type_, id_, previous, at, security={})


def everything(type_: str = "Observation", **keys) -> SearchPlan:
    return SearchPlan(type_, keys.pop("filter", {}), sort=keys.pop("sort", (("lu", -1),)), **keys)


def own(patient: str) -> AccessContext:
    """Return a caller who sees what is at home with one patient."""
    return AccessContext(patient, lambda _type, _letter: any_of("p", [patient]))


async def connect(uri: str, name: str, **keys) -> Store:
    return await Store.connect(uri, database=name, **{"indexes": indexes, **keys})
