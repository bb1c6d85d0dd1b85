"""SearchParameters that are stored here take effect: at once for new resources, then for those that were there.

So do those of installed packages. A stored one takes the place of a package's with its URL; a package's whose name a
type has already does nothing, and the log says so.

Every worker looks twice a second whether a SearchParameter or a job has changed. A new parameter is *written* for
new resources from then on; one worker indexes the older ones in the background, in steps whose progress is kept,
so that another worker goes on after a crash; when all is done, and the index is built, it is *searchable*.
https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from typing import Any

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import Server
from fhir_server.search import SearchPlan
from fhir_server.search.customizing import concerned, customize, defects, digest, is_effective
from fhir_server.search.search_parameter import Custom
from fhir_server.store.documents import Stored, Unavailable

_LOG = logging.getLogger("fhir_server")

KIND = "reindex"
#: Seconds between two looks.
_LOOK_EVERY = 0.5
#: Indexing older resources begins so much later (ms): all workers write the new entries by then.
_DELAY = 2_000
#: Resources of one step.
_STEP = 200
#: Most SearchParameters that take effect.
_MOST = 1_000


class StoredParameters:
    """Follows the stored SearchParameters of a server; ``changed`` is called when those in effect have changed."""

    def __init__(
        self,
        server: Server,
        base: str,
        changed: Callable[[], None],
        packaged: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Take the server, its base URL, what is told of changes, and the SearchParameters of packages."""
        self._server = server
        self._base = base
        self._changed = changed
        self._packaged = packaged
        self._complaints: set[str] = set()
        self._owner = os.urandom(6).hex()
        self._seen: Any = None
        self._working: asyncio.Task[None] | None = None

    async def follow(self) -> None:
        """Look and work until cancelled; an outage of the database only delays it."""
        try:
            while True:
                with suppress(Unavailable):
                    await self.look()
                    self._work()
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            if self._working is not None:
                self._working.cancel()
                with suppress(asyncio.CancelledError):
                    await self._working

    async def look(self) -> None:
        """Bring the parameters in effect up to date with the database."""
        server = self._server
        jobs = await server.store.jobs.all(KIND)
        seen = (
            await self._newest("lu"),
            await self._newest("dl"),
            [(j["_id"], j["digest"], j["state"]) for j in jobs],
        )
        if seen == self._seen:
            return
        stored = await self._definitions()
        definitions: list[Mapping[str, Any]] = [
            definition
            for definition in stored
            if is_effective(definition, server.registry) and not list(defects(definition, server.registry))
        ]
        wanted = {f"{KIND}:{definition['id']}": definition for definition in definitions}
        wanted |= self._of_packages(definitions, {d.get("url") for d in stored})
        for id_, definition in wanted.items():
            await offer(server, id_, definition)
        for job in jobs:
            if job["_id"] not in wanted:
                await server.store.jobs.withdraw(job["_id"])
        done = {(job["_id"], job["digest"]) for job in jobs if job["state"] == "done"}
        customs = [
            Custom(definition, (id_, digest(definition)) in done) for id_, definition in wanted.items()
        ]
        customize(server.registry, server.indexer, customs)
        for type_ in {
            t for custom in customs if custom.is_ready for t in concerned(custom.definition, server.registry)
        }:
            await server.store.refresh_indexes(type_)
        self._changed()
        self._seen = seen

    def _of_packages(
        self, stored: Sequence[Mapping[str, Any]], urls: AbstractSet[Any]
    ) -> dict[str, Mapping[str, Any]]:
        """Return the packages' parameters by the ids of their jobs: those that nothing stored stands in the way of."""
        registry = self._server.registry
        taken = {(type_, d["code"]) for d in stored for type_ in concerned(d, registry)}
        found: dict[str, Mapping[str, Any]] = {}
        for definition in self._packaged:
            url = definition["url"]
            if url in urls or not is_effective(definition, registry):
                continue
            names = {(type_, definition.get("code")) for type_ in concerned(definition, registry)}
            problem = next((text for _, text in defects(definition, registry)), "")
            if names & taken:
                problem = f"The name '{definition.get('code')}' is taken."
            if problem:
                self._complain(url, problem)
                continue
            taken |= names
            found[f"{KIND}:{url}"] = definition
        return found

    def _complain(self, url: str, problem: str) -> None:
        if url not in self._complaints:
            self._complaints.add(url)
            _LOG.warning("the SearchParameter %s of a package takes no effect: %s", url, problem)

    async def _newest(self, field: str) -> int:
        plan = SearchPlan(
            "SearchParameter",
            {field: {"$exists": True}},
            hint=field,
            sort=((field, -1),),
            limit=1,
            keys_only=True,
            deleted=field == "dl",
        )
        rows = (await self._server.store.search(plan, OPEN)).rows
        return rows[0].key if rows else 0

    async def _definitions(self) -> list[dict[str, Any]]:
        plan = SearchPlan(
            "SearchParameter", {"lu": {"$exists": True}}, hint="lu", sort=(("lu", 1),), limit=_MOST
        )
        return [decode(row.body) for row in (await self._server.store.search(plan, OPEN)).rows]

    def _work(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._take_jobs())

    async def _take_jobs(self) -> None:
        server = self._server
        with suppress(Unavailable):
            while job := await server.store.jobs.take(KIND, self._owner, server.clock()):
                try:
                    await self._run(job)
                except Unavailable:
                    raise
                except Exception as problem:  # noqa: BLE001 - whatever it was: the job says so, and does not start again
                    _LOG.exception("%s failed", job["_id"])
                    await server.store.jobs.step(
                        job, {"state": "failed", "problem": str(problem)}, server.clock()
                    )

    async def _run(self, job: dict[str, Any]) -> None:
        """Index the resources of the job's types from where it stands, then build the index."""
        server = self._server
        for type_ in job["types"]:
            after = job["after"].get(type_, "")
            while after is not None:
                rows = await self._step_rows(type_, after)
                await server.store.replace_entries(type_, [(row, self._entries(row)) for row in rows])
                after = rows[-1].id if len(rows) == _STEP else None
                job["after"][type_] = after
                job["indexed"] += len(rows)
                progress = {"after": job["after"], "indexed": job["indexed"]}
                if not await server.store.jobs.step(job, progress, server.clock()):
                    return  # another definition took this one's place
            await server.store.refresh_indexes(type_)
        await server.store.jobs.step(job, {"state": "done", "ended": server.clock()}, server.clock())
        _LOG.info("%s: %s is indexed, %d resources", job["_id"], job["code"], job["indexed"])

    async def _step_rows(self, type_: str, after: str) -> tuple[Stored, ...]:
        plan = SearchPlan(type_, {"_id": {"$gt": after}}, hint="_id_", sort=(("_id", 1),), limit=_STEP)
        return (await self._server.store.search(plan, OPEN)).rows

    def _entries(self, row: Stored) -> Any:
        return self._server.indexer.entries(decode(row.body), self._base)


async def offer(server: Server, id_: str, definition: Mapping[str, Any], *, anew: bool = False) -> bool:
    """Make the job that indexes a parameter for older resources; one for the same definition stays (not ``anew``)."""
    present = set(await server.store.types())
    version = digest(definition)
    fields = {
        "digest": version,
        "code": definition["code"],
        "parameter": id_.removeprefix(f"{KIND}:"),
        "types": [type_ for type_ in concerned(definition, server.registry) if type_ in present],
        "after": {},
        "indexed": 0,
        "begun": server.clock(),
        "due": server.clock() + _DELAY,
    }
    unless = {"digest": version, **({"state": {"$in": ["waiting", "running"]}} if anew else {})}
    return await server.store.jobs.offer(id_, KIND, fields, unless=unless)
