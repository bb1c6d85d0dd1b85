"""The engine on a real MongoDB: documents as the store writes them, plans run as the store runs them."""

from __future__ import annotations

import binascii
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from fhir_server.definitions import Definitions
from fhir_server.search import IndexEntries, Indexer, Pager, Position, Registry, SearchPlan, indexes, parse
from fhir_server.search.query import SearchQuery
from tests.search.answers import of_any_type

BASE = "http://localhost/fhir"
NOW = 1_790_000_000_000  # 2026-09-21


@dataclass(frozen=True)
class Found:
    """A row as paging reads it."""

    id: str
    key: int
    fields: Mapping[str, Any] = field(default_factory=dict)


def order_key(milliseconds: int, id_: str) -> int:
    return (milliseconds << 15) | (binascii.crc32(id_.encode()) & 0x7FFF)


def document(id_: str, entries: IndexEntries, updated: int) -> dict[str, Any]:
    made: dict[str, Any] = {"_id": id_, "lu": order_key(updated, id_), "i": entries.values, "x": entries.raw}
    if entries.patient is not None:
        made["p"] = entries.patient
    if entries.other_compartments:
        made["cp"] = list(entries.other_compartments)
    if entries.main_date is not None:
        made["s"] = order_key(entries.main_date, id_)
    return made


class Engine:
    """Indexes resources into a database and searches them."""

    def __init__(self, registry: Registry, indexer: Indexer, database: Database[dict[str, Any]]) -> None:
        self.registry = registry
        self.indexer = indexer
        self.database = database
        self.documents: dict[str, dict[str, dict[str, Any]]] = {}
        self.queries = 0
        #: How many rows a reply may hold.
        self.fitting = 1_000_000

    def put(self, *resources: dict[str, Any], updated: int = NOW) -> None:
        for number, resource in enumerate(resources):
            type_ = resource["resourceType"]
            if type_ not in self.documents:
                self.documents[type_] = {}
                for index in indexes(type_, self.registry):
                    partial = (
                        {"partialFilterExpression": {index.partial: {"$exists": True}}}
                        if index.partial
                        else {}
                    )
                    self.database[type_].create_index(
                        list(index.keys), name=index.name, unique=index.unique, **partial
                    )
            made = document(resource["id"], self.indexer.entries(resource, BASE), updated + number)
            self.documents[type_][resource["id"]] = made
            self.database[type_].replace_one({"_id": made["_id"]}, made, upsert=True)

    def delete(self, type_: str, id_: str) -> None:
        del self.documents[type_][id_]
        self.database[type_].replace_one({"_id": id_}, {"_id": id_, "v": 2, "dl": 1, "del": True})

    def run(self, plan: SearchPlan) -> list[Found]:
        self.queries += 1
        collection = self.database[plan.type]
        if plan.computed:
            sort = [{"$sort": dict(plan.sort)}]
            stages: list[dict[str, Any]] = [{"$match": plan.filter}, *(sort if plan.sorts_first else ())]
            stages += [{"$addFields": plan.computed}, *([{"$match": plan.after}] if plan.after else [])]
            stages += [*(() if plan.sorts_first else sort), {"$limit": plan.limit}]
            rows: Any = collection.aggregate(stages, **({"hint": plan.hint} if plan.hint else {}))
        else:
            rows = collection.find(
                plan.filter, sort=list(plan.sort) or None, limit=plan.limit, hint=plan.hint
            )
        return [Found(r["_id"], r["lu"], {k: r[k] for k in plan.projection if k in r}) for r in rows]

    def parse(self, type_: str, pairs: list[tuple[str, str]], *, lenient: bool = False) -> SearchQuery:
        return of_any_type(parse(pairs, type_, self.registry, base=BASE, now=NOW, lenient=lenient))

    def page(self, query: SearchQuery, position: Position | None = None) -> Pager[Found]:
        pager: Pager[Found] = Pager(query, self.registry, position)
        while (plan := pager.plan()) is not None:
            rows = self.run(plan)
            # As the store does when a reply would be too large: the rows that fit, and the first of the rest.
            is_cut = len(rows) > self.fitting
            pager.add(rows[: self.fitting + 1], is_cut=is_cut)
        return pager

    def pages(self, query: SearchQuery) -> list[Pager[Found]]:
        found = [self.page(query)]
        while found[-1].next is not None:
            found.append(self.page(query, found[-1].next))
        return found

    def ids(self, type_: str, *pairs: tuple[str, str]) -> list[str]:
        """All matches of a search, in order."""
        query = self.parse(type_, [*pairs, ("_count", "1000")])
        return [row.id for pager in self.pages(query) for row in pager.rows]


@pytest.fixture(scope="session")
def definitions() -> Definitions:
    return Definitions()


@pytest.fixture(scope="session")
def registry(definitions: Definitions) -> Registry:
    return Registry(definitions)


@pytest.fixture(scope="session")
def indexer(registry: Registry) -> Indexer:
    return Indexer(registry)


@pytest.fixture(scope="session")
def new_engine(
    registry: Registry, indexer: Indexer, mongo_client: MongoClient[dict[str, Any]]
) -> Callable[[str], Engine]:
    """Makes an engine on a database by name, for modules that share one."""
    return lambda name: Engine(registry, indexer, mongo_client[name])


@pytest.fixture
def engine(new_engine: Callable[[str], Engine], database_name: str) -> Engine:
    return new_engine(database_name)
