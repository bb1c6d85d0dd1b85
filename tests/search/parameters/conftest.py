"""Small resources that are indexed and asked in memory: the shape of entries and their filter are one contract."""

from __future__ import annotations

from collections.abc import Callable
from datetime import tzinfo
from typing import Any

import pytest

from fhir_server.definitions import Definitions
from fhir_server.search import Indexer, Registry, parse
from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Expression
from tests.search.answers import of_any_type

BASE = "http://localhost/fhir"
NOW = 1_577_836_800_000  # 2020-01-01


class Asked:
    """Entries and answers of single resources."""

    def __init__(self, registry: Registry, indexer: Indexer) -> None:
        self.registry = registry
        self.indexer = indexer

    def entries(self, resource: dict[str, Any]) -> IndexEntries:
        return self.indexer.entries({"id": "x", **resource}, BASE)

    def expression(self, type_: str, name: str, value: str) -> Expression:
        return of_any_type(parse([(name, value)], type_, self.registry, base=BASE, now=NOW)).expression

    def matches(self, resource: dict[str, Any], name: str, value: str) -> bool:
        entries = self.entries(resource)
        made: dict[str, Any] = {"_id": "x", "lu": NOW << 15, "i": entries.values, "x": entries.raw}
        if entries.patient:
            made["p"] = entries.patient
        return self.expression(resource["resourceType"], name, value).matches(made)


@pytest.fixture(scope="session")
def asked(registry: Registry, indexer: Indexer) -> Asked:
    return Asked(registry, indexer)


@pytest.fixture(scope="session")
def asked_in(definitions: Definitions) -> Callable[[tzinfo], Asked]:
    """The same in another time zone."""

    def made(zone: tzinfo) -> Asked:
        registry = Registry(definitions, zone)
        return Asked(registry, Indexer(registry))

    return made
