"""$ingest: measures of health apps as a stream of NDJSON, answered line by line.

``POST Observation/$ingest``; docs/measures.md is the contract. The lines are independent. A measure's id is made from
its natural key, so that the database itself keeps a second one out: whoever sends again, at the same moment or later,
gets the version that is there. Reading waits for writing: memory holds two chunks, whatever the stream's length.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.guard import secured
from fhir_server.interactions.steps.identity import NaturalIds
from fhir_server.interactions.steps.integrity import kept_references
from fhir_server.interactions.steps.prepare import instant, stamped
from fhir_server.interactions.steps.recurrence import another_content, check_same
from fhir_server.interactions.steps.terminology import prefetch_codings
from fhir_server.operations.ingest_parties import Parties, parties
from fhir_server.operations.ingest_shares import Shares
from fhir_server.operations.inputs import inputs
from fhir_server.operations.measure import Measured, measured
from fhir_server.operations.ndjson import CONTENT_TYPE, Outcome, check_content_type, chunks
from fhir_server.outcome import FhirError, error
from fhir_server.space.ingestion import provenance
from fhir_server.store.documents import Change, Method, Unavailable, VersionConflict

#: Lines that are validated and committed together.
CHUNK = 500
#: So many lines are validated before other requests have their turn.
_TURN = 20
_DAY_MS = 86_400_000


async def ingest(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with one outcome a line; 429 when the quota was used up before the first one."""
    if request.incoming is None:
        raise error("not-supported", "Observation/$ingest is a request of its own with NDJSON in its body.")
    check_content_type(request.headers)
    app = inputs(request, {"app": "text"}).text("app")
    batch = Batch(
        server, request, await parties(server, request, app), await server.store.secret("natural-id")
    )
    try:
        async for chunk in chunks(request.incoming, CHUNK, server.policy.ingest_lines):
            await batch.take(chunk)
            if batch.is_broken:
                break
    except FhirError as problem:
        await batch.settle()
        if not batch.outcomes:
            raise
        batch.outcomes.append(Outcome(batch.outcomes[-1].line + 1, problem.status, "", problem.issues))
    finally:
        await batch.settle()
        await batch.finish()
    return batch.answer()


@dataclass(slots=True)
class Line:
    """A measure on its way into the store, and what is told about it."""

    outcome: Outcome
    made: Measured
    change: Change
    quota: str


class Batch:
    """The lines of one request: what was found out about them, and what is still under way."""

    def __init__(self, server: Server, request: FhirRequest, about: Parties, secret: bytes) -> None:
        self._server = server
        self._request = request
        self._parties = about
        self._ids = NaturalIds(secret, server.new_id)
        self._shares = Shares(server.store.quotas, server.policy.measures_per_day)
        self._writing: asyncio.Task[None] | None = None
        #: Versions that were made, by patient and app.
        self._made: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
        self.outcomes: list[Outcome] = []
        self.is_broken = False

    async def take(self, chunk: Sequence[tuple[int, bytes | FhirError]]) -> None:
        """Judge a chunk while the one before is being written; return when that is done."""
        bodies = [_decoded(line) for _, line in chunk]
        resources = [body for body in bodies if isinstance(body, dict)]
        if self._server.code_sets.has_imported:
            await prefetch_codings(self._server, resources)
        await self._parties.fetch(resources)
        lines = []
        now = self._server.clock()
        for position, ((number, _), body) in enumerate(zip(chunk, bodies, strict=True)):
            outcome = Outcome(number)
            self.outcomes.append(outcome)
            try:
                if isinstance(body, FhirError):
                    raise body
                lines.append(self._line(outcome, measured(self._server, body, self._parties), now))
            except FhirError as problem:
                outcome.refuse(problem)
            if position % _TURN == _TURN - 1:
                await asyncio.sleep(0)
        await self.settle()
        self._writing = asyncio.create_task(self._write(lines))

    async def settle(self) -> None:
        """Return when everything that was taken is written."""
        writing, self._writing = self._writing, None
        if writing is not None:
            await writing

    def _line(self, outcome: Outcome, made: Measured, now: int) -> Line:
        server, base = self._server, self._request.base
        id_ = self._ids.of(made.patient, made.key)
        entries = server.indexer.entries(made.resource, base)
        change = Change(
            Method.POST,
            "Observation",
            id_,
            0,
            now,
            stamped(made.resource, "Observation", id_, 1, now),
            entries,
            security=secured(self._request, made.resource, entries),
            references=kept_references(server, made.resource, base),
        )
        outcome.issues = made.warnings
        return Line(outcome, made, change, f"{now // _DAY_MS}\n{made.app}\n{made.patient}")

    async def _write(self, lines: Sequence[Line]) -> None:
        """Store what is new and within the quota; what is not new finds what is there."""
        try:
            left = await self._shares.take(Counter(line.quota for line in lines))
            allowed: list[Line] = []
            others: list[Line] = []
            for line in lines:
                (allowed if left[line.quota] > 0 else others).append(line)
                left[line.quota] -= 1
            taken = await self._create(allowed)
            await self._find(taken, is_there=True)
            await self._find(others, is_there=False)
            self._shares.give_back(Counter(line.quota for line in allowed if line.outcome.status != 201))
        except Unavailable:
            pass  # said below, line by line
        for line in lines:
            if not line.outcome.status:
                self.is_broken = True
                text = "The database can't be reached; send the lines from this one on again."
                line.outcome.refuse(error("transient", text))

    async def _create(self, lines: Sequence[Line]) -> list[Line]:
        """Store measures, each for itself; return those whose id is taken."""
        taken: list[Line] = []
        problems = await self._server.store.create_each([line.change for line in lines])
        for line, problem in zip(lines, problems, strict=True):
            if problem is None:
                line.outcome.status = 201
                line.outcome.location = f"Observation/{line.change.id}/_history/1"
                self._made[line.made.patient, line.made.app].append(line.outcome.location)
            elif isinstance(problem, VersionConflict):
                taken.append(line)
            elif isinstance(problem, FhirError):
                line.outcome.refuse(problem)
            else:
                raise problem
        return taken

    async def _find(self, lines: Sequence[Line], *, is_there: bool) -> None:
        """Answer with the version that is there; refuse another content under its key, or else what is too much."""
        ids = {line.change.id for line in lines}
        known = await self._server.store.read_each("Observation", ids, self._request.access)
        for line in lines:
            found = known.get(line.change.id)
            if found is None:
                # Where it is there, this caller may not see it.
                line.outcome.refuse(another_content(line.change.id) if is_there else self._throttled())
                continue
            try:
                await check_same(self._server, self._request, line.made.resource, found)
            except FhirError as problem:
                line.outcome.refuse(problem)
            else:
                line.outcome.status, line.outcome.issues = 200, ()
                line.outcome.location = f"Observation/{found.id}/_history/{found.version}"

    def _throttled(self) -> FhirError:
        return error(
            "throttled",
            f"An app stores {self._server.policy.measures_per_day:,} measures of one citizen a day at most; "
            f"send this one again in {self._seconds_left()} seconds.",
            headers={"Retry-After": str(self._seconds_left())},
        )

    def _seconds_left(self) -> int:
        return (_DAY_MS - self._server.clock() % _DAY_MS) // 1000 + 1

    async def finish(self) -> None:
        """Write one Provenance for each citizen and app of whose measures some were stored; give back unused shares."""
        made, self._made = self._made, defaultdict(list)
        rows = [self._provenance(patient, app, targets) for (patient, app), targets in made.items()]
        for start in range(0, len(rows), CHUNK):
            for problem in await self._server.store.create_each(rows[start : start + CHUNK]):
                if problem is not None:
                    raise problem
        await self._shares.settle()

    def _provenance(self, patient: str, app: str, targets: list[str]) -> Change:
        now = self._server.clock()
        resource = provenance(targets, patient, app, instant(now))
        id_ = self._server.new_id(patient)
        body = stamped(resource, "Provenance", id_, 1, now)
        entries = self._server.indexer.entries(resource, self._request.base)
        made = secured(replace(self._request, access=OPEN), resource, entries)
        return Change(Method.POST, "Provenance", id_, 0, now, body, entries, security=made)

    def answer(self) -> FhirResponse:
        """Return the outcomes in the order of the lines."""
        statuses = {outcome.status for outcome in self.outcomes}
        if statuses == {429}:
            raise self._throttled()
        headers = (("Retry-After", str(self._seconds_left())),) if 429 in statuses else ()
        body = tuple(outcome.encoded() for outcome in self.outcomes)
        return FhirResponse(200, headers, body, content_type=CONTENT_TYPE)


def _decoded(line: bytes | FhirError) -> dict[str, object] | FhirError:
    if isinstance(line, FhirError):
        return line
    try:
        return decode(line)
    except FhirError as problem:
        return problem
