"""Judges what the proxy keeps, one exchange after the other, beside the proxy: clients never wait for it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence

from fhir_server.certification.ledger import Ledger
from fhir_server.certification.references import References
from fhir_server.certification.roles import Checklist, Role
from fhir_server.certification.rules import RESOLVES, judged
from fhir_server.certification.session import Session
from fhir_server.certification.traffic import Call, Traffic

_LOG = logging.getLogger("fhir_server")


class Judge:
    """Takes exchanges, and books what the rules say of them."""

    def __init__(self, session: Session, roles: Sequence[Role], references: References | None) -> None:
        """Take the run's session, the roles to look at, and what looks up references (None: nothing does)."""
        self.session = session
        self.ledger = Ledger()
        self.checklists = [Checklist(role) for role in roles]
        self._references = references
        self._queue: asyncio.Queue[Traffic] = asyncio.Queue()

    def take(self, traffic: Traffic) -> None:
        """Put an exchange into the queue."""
        self._queue.put_nowait(traffic)

    async def work(self) -> None:
        """Judge what is in the queue, for ever; a thread does what takes long."""
        while True:
            traffic = await self._queue.get()
            try:
                for call in await asyncio.to_thread(self.judge, traffic):
                    await self._look_up(call)
            except Exception:  # noqa: BLE001 (one request that can't be judged is told in the report)
                _LOG.exception("request %d could not be judged", traffic.number)
                self.ledger.unjudged.append(traffic.number)
            finally:
                self._queue.task_done()

    async def idle(self) -> None:
        """Return when all that was taken is judged."""
        await self._queue.join()

    def judge(self, traffic: Traffic) -> list[Call]:
        """Judge one exchange, and return its calls."""
        calls = self.session.reader.calls(traffic)
        if calls:
            self.ledger.requests += 1
        for call in calls:
            for rule, sentences in judged(call, self.session):
                self.ledger.book(rule, call, sentences)
            for checklist in self.checklists:
                checklist.look(call, self.session)
        self.session.note(traffic, calls)
        return calls

    async def _look_up(self, call: Call) -> None:
        if self._references is not None and (found := await self._references.missing(call)) is not None:
            self.ledger.book(RESOLVES, call, found)
