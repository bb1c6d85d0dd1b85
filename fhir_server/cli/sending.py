"""Resources go to a server over its REST API: PUT when they have an id, else POST; transactions as they are.

https://hl7.org/fhir/R4/http.html#update, https://hl7.org/fhir/R4/http.html#create
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote
from uuid import uuid4

import msgspec

from fhir_server.cli.client import Answer, Client, Lost
from fhir_server.cli.unpacking import Item

#: How often a request is repeated that the server could not take just now, and the longest wait between two,
#: seconds.
TRIES = 8
LONGEST_WAIT_S = 30.0

_LATER = frozenset({429, 503})
_HEADERS = {
    "Content-Type": "application/fhir+json",
    "Accept": "application/fhir+json",
    "Prefer": "return=minimal",
}


class Unreachable(Exception):  # noqa: N818 (the name says what happened)
    """The server doesn't answer at all."""


class Refused(Exception):  # noqa: N818
    """The server wants us to authenticate or forbids writing altogether (401, 403)."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A resource that was not stored: where it stands, what it is, the status (0: none), and why."""

    place: str
    subject: str
    status: int
    reasons: tuple[str, ...]


Decide = Callable[[Item, Answer], Awaitable[Rejection | bool]]
"""Judges an answer: rejected for a reason, True when what was sent is there already, False to leave it."""


@dataclass(slots=True)
class Tally:
    """Counts of a load while it runs."""

    created: int = 0
    updated: int = 0
    skipped: int = 0
    retried: int = 0
    rejections: list[Rejection] = field(default_factory=list)

    @property
    def finished(self) -> int:
        """Resources that are through, in whatever way."""
        return self.created + self.updated + self.skipped + len(self.rejections)


async def send(
    client: Client,
    items: Iterable[Item],
    tally: Tally,
    *,
    jobs: int,
    is_done: Callable[[Item], bool],
    done: Callable[[Item], None],
    decide: Decide | None = None,
    headers: Mapping[str, str] | None = None,
) -> None:
    """Send the items with ``jobs`` requests at the same time; ``tally`` grows while it runs.

    An item whose server answer is final is counted; one that the server can't take just now (429, 503, a
    broken connection on PUT) is repeated with growing pauses. ``decide`` may judge an answer that is no success before
    this does; ``headers`` go with each request. Raises Unreachable or Refused, which no repetition mends.
    """
    run = _Run(client, tally, is_done, done, decide, headers or {})
    await run.send(iter(items), jobs)
    # What these transactions refer to by search may have come after them.
    early, run.early = run.early or [], None
    await run.send(iter(early), jobs)


@dataclass(slots=True)
class _Run:
    """One load: ``early`` collects the transactions that are tried again at the end, None when this is the end."""

    client: Client
    tally: Tally
    is_done: Callable[[Item], bool]
    done: Callable[[Item], None]
    decide: Decide | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    early: list[Item] | None = field(default_factory=list)

    async def send(self, queue: Iterator[Item], jobs: int) -> None:
        workers = [asyncio.ensure_future(self._work(queue)) for _ in range(jobs)]
        try:
            await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            await asyncio.gather(*workers, return_exceptions=True)

    async def _work(self, queue: Iterator[Item]) -> None:
        tally = self.tally
        for item in queue:
            if self.is_done(item):
                tally.skipped += 1
                await asyncio.sleep(0)
                continue
            if item.problem:
                tally.rejections.append(Rejection(item.place, "", 0, (item.problem,)))
                continue
            answer = await _answer(self.client, item, tally, self.headers)
            verdict = await self.decide(item, answer) if self.decide and answer.status >= 400 else None
            if isinstance(verdict, Rejection):
                tally.rejections.append(verdict)
                continue
            if verdict:
                tally.updated += 1
            elif item.is_transaction and answer.status == 412 and self.early is not None:
                self.early.append(item)
                continue
            elif item.is_transaction and answer.status == 200:
                _count(answer, tally)
            elif answer.status == 201:
                tally.created += 1
            elif 200 <= answer.status < 300:
                tally.updated += 1
            elif answer.status in (401, 403):
                raise Refused(f"{answer.status}: {'; '.join(reasons(answer))}")
            else:
                tally.rejections.append(Rejection(item.place, subject(item), answer.status, reasons(answer)))
                continue
            self.done(item)


class _Response(msgspec.Struct):
    status: str = ""


class _Entry(msgspec.Struct):
    response: _Response = msgspec.field(default_factory=_Response)


class _ResponseBundle(msgspec.Struct):
    entry: list[_Entry] = []


def _count(answer: Answer, tally: Tally) -> None:
    """Count what a transaction created; every other entry is an update, also one that found a match."""
    for entry in msgspec.json.decode(answer.body, type=_ResponseBundle).entry:
        if entry.response.status.startswith("201"):
            tally.created += 1
        else:
            tally.updated += 1


def _request(item: Item) -> tuple[str, str, dict[str, str]]:
    """Return method, path and headers; a transaction carries a key, so that it can be repeated safely."""
    if item.is_transaction:
        return "POST", "", {**_HEADERS, "Idempotency-Key": uuid4().hex}
    if item.id:
        return "PUT", f"{item.type}/{quote(item.id, safe='')}", _HEADERS
    return "POST", item.type, _HEADERS


async def _answer(client: Client, item: Item, tally: Tally, more: Mapping[str, str]) -> Answer:
    method, path, headers = _request(item)
    headers = {**headers, **more}
    lost = Answer(0)
    for attempt in range(TRIES):
        wait_s = min(LONGEST_WAIT_S, 0.25 * 2**attempt) * (0.5 + random.random())  # noqa: S311 (jitter)
        try:
            answer = await client.request(method, path, item.body, headers)
        except (Lost, TimeoutError) as reason:
            why = str(reason) or "The server did not answer in time."
            if (
                method == "POST" and not item.is_transaction
            ):  # it may have been stored: a repetition could store it twice
                return Answer(
                    0, {}, f"{why} It may have been stored; look before you send it again.".encode()
                )
            lost = Answer(0, {}, why.encode())
        except OSError as reason:
            if tally.finished == 0:
                raise Unreachable(str(reason)) from reason
            lost = Answer(0, {}, str(reason).encode())
        else:
            # A transaction's 409 with Retry-After: the attempt before this one is still being worked on.
            is_early = item.is_transaction and answer.status == 409 and "retry-after" in answer.headers
            if answer.status not in _LATER and not is_early:
                return answer
            lost = answer
            wait_s = max(wait_s, _retry_after(answer))
        tally.retried += 1
        await asyncio.sleep(wait_s)
    if lost.status == 0:
        raise Unreachable(lost.body.decode())
    return lost


def _retry_after(answer: Answer) -> float:
    text = answer.headers.get("retry-after", "")
    return min(float(text), LONGEST_WAIT_S) if text.isdecimal() else 0.0


def subject(item: Item) -> str:
    """Return ``Type/id`` of a resource, or its type."""
    return f"{item.type}/{item.id}" if item.id else item.type


def reasons(answer: Answer) -> tuple[str, ...]:
    """Return the sentences of an answer's OperationOutcome with their expressions, else the answer's text."""
    try:
        outcome = msgspec.json.decode(answer.body, type=_Outcome)
    except (msgspec.DecodeError, UnicodeDecodeError):
        outcome = _Outcome()
    found = [_sentence(issue) for issue in outcome.issue if issue.severity in ("error", "fatal")]
    text = answer.body[:200].decode(errors="replace").strip()
    return tuple(found) or (text or f"The server answered {answer.status} without a reason.",)


class _Details(msgspec.Struct):
    text: str = ""


class _Issue(msgspec.Struct):
    severity: str = ""
    code: str = ""
    diagnostics: str = ""
    details: _Details = msgspec.field(default_factory=_Details)
    expression: list[str] = []


class _Outcome(msgspec.Struct):
    issue: list[_Issue] = []


def _sentence(issue: _Issue) -> str:
    text = issue.diagnostics or issue.details.text or issue.code
    return f"{', '.join(issue.expression)}: {text}" if issue.expression else text
