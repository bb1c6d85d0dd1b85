"""Tells how mongod ran the queries of a search: index, keys and documents read, rows, order, milliseconds.

https://www.mongodb.com/docs/manual/reference/explain-results/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bson import Int64

from fhir_server.search.entries import SearchPlan
from fhir_server.store.catalogue import Catalogue
from fhir_server.store.connection import Connection
from fhir_server.store.searching import Searcher

#: A query that reads more keys than this for each row, and this many beside, could do with a better index.
_KEYS_PER_ROW = 3
_KEYS_BESIDE = 50
_QUERIES = {"find": "matches", "count": "number of matches", "aggregate": "computed values"}


class ExplainingSearcher(Searcher):
    """Answers plans as Searcher does, and keeps in ``found`` how each was run; it runs every query twice."""

    def __init__(self, connection: Connection, catalogue: Catalogue) -> None:
        super().__init__(connection, catalogue)
        self.found: list[dict[str, Any]] = []

    async def _complete(self, command: dict[str, Any], plan: SearchPlan) -> None:
        await super()._complete(command, plan)
        reply = await self._connection.query({"explain": command, "verbosity": "executionStats"})
        self.found.append(explained(command, plan, reply))


def explained(command: Mapping[str, Any], plan: SearchPlan, reply: Mapping[str, Any]) -> dict[str, Any]:
    """Return what mongod's answer to ``explain`` says about a command, in words first."""
    if "stages" in reply:  # an aggregation that begins with a cursor
        reply = next(stage["$cursor"] for stage in reply["stages"] if "$cursor" in stage)
    stats = reply["executionStats"]
    stages = tuple(_stages(stats["executionStages"]))
    figures = {
        "query": "a look at the index" if "returnKey" in command else _QUERIES[next(iter(command))],
        "type": plan.type,
        "index": command.get("hint"),
        "keys": stats["totalKeysExamined"],
        "documents": stats["totalDocsExamined"],
        "rows": next((s["nCounted"] for s in stages if "nCounted" in s), stats["nReturned"]),
        "sorted": any("sort" in str(s["stage"]).lower() and s["stage"] != "SORT_MERGE" for s in stages),
        "ms": stats["executionTimeMillis"],
        "filter": command.get("filter", command.get("query", plan.filter)),
    }
    return {"explained": _told(figures), **{name: _plain(value) for name, value in figures.items()}}


def _plain(value: Any) -> Any:
    """Return a value with numbers as JSON has them: those that come from the database may be of a type of its own."""
    if isinstance(value, Mapping):
        return {name: _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return int(value) if isinstance(value, Int64) else value


def _stages(stage: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield a stage and those below it."""
    yield stage
    for value in stage.values():
        for inner in value if isinstance(value, list) else (value,):
            if isinstance(inner, dict) and "stage" in inner:
                yield from _stages(inner)


def _told(figures: Mapping[str, Any]) -> str:
    through = f"the index '{figures['index']}'" if figures["index"] else "the indexes that mongod chose"
    told = (
        f"{figures['type']}, {figures['query']}: {figures['keys']} keys of {through} "
        f"and {figures['documents']} documents were read for {figures['rows']} rows in {figures['ms']} ms"
        f"{', which mongod had to sort' if figures['sorted'] else ''}."
    )
    if figures["keys"] > _KEYS_PER_ROW * figures["rows"] + _KEYS_BESIDE:
        told += " That is much for what was found: a more selective criterion with an index would help."
    return told
