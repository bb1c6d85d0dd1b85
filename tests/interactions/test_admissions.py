"""How long a caller's context is kept, and what makes an end of it."""

from __future__ import annotations

import asyncio

import pytest

from fhir_server.access import OPEN
from fhir_server.access.caller import Caller, Kind
from fhir_server.interactions.exchange import FhirRequest
from fhir_server.interactions.steps import admissions
from fhir_server.interactions.steps.admissions import KEPT_S, Admissions

CALLER = Caller(Kind.CITIZEN, "Patient/a", "portal")


@pytest.fixture
def reads(monkeypatch):
    """Count how often rights are read; each read waits for ``gate``."""
    counted = []
    counted_gate = asyncio.Event()
    counted_gate.set()

    async def admit(server, caller, base, emergency):
        counted.append(caller)
        await counted_gate.wait()
        return object()

    monkeypatch.setattr(admissions, "admit", admit)
    return counted, counted_gate


def request(method, *path):
    return FhirRequest(method, path, access=OPEN)


async def test_a_context_is_kept_for_less_than_a_second(reads):
    now = [0.0]
    kept = Admissions(lambda: now[0])
    first = await kept.context(None, CALLER, "b")
    assert await kept.context(None, CALLER, "b") is first
    assert await kept.context(None, Caller(Kind.CITIZEN, "Patient/b", "portal"), "b") is not first
    assert await kept.context(None, CALLER, "c") is not first
    now[0] += KEPT_S
    assert await kept.context(None, CALLER, "b") is not first
    assert KEPT_S < 1


@pytest.mark.parametrize(
    ("made", "is_kept"),
    [
        (request("GET", "Consent", "1"), True),
        (request("POST", "Observation"), True),
        (request("PUT", "DocumentReference", "1"), True),
        (request("POST", "Consent"), False),
        (request("PUT", "CareTeam", "1"), False),
        (request("DELETE", "RelatedPerson", "1"), False),
        (request("PATCH", "Patient", "1"), False),
        (request("POST"), False),
        (request("POST", "Patient", "1", "$close-space"), False),
        (request("POST", "Observation", "1", "$meta-add"), False),
    ],
)
async def test_what_may_change_rights_ends_it(reads, made, is_kept):
    kept = Admissions(lambda: 0.0)
    first = await kept.context(None, CALLER, "b")
    kept.after(made)
    assert (await kept.context(None, CALLER, "b") is first) is is_kept


async def test_rights_that_were_read_before_a_write_are_not_kept_after_it(reads):
    counted, gate = reads
    kept = Admissions(lambda: 0.0)
    gate.clear()
    reading = asyncio.create_task(kept.context(None, CALLER, "b"))
    await asyncio.sleep(0)
    kept.after(request("POST", "Consent"))
    gate.set()
    first = await reading
    assert await kept.context(None, CALLER, "b") is not first
    assert len(counted) == 2


async def test_those_who_ask_together_are_told_by_one_reading(reads):
    counted, gate = reads
    kept = Admissions(lambda: 0.0)
    gate.clear()
    asking = [asyncio.create_task(kept.context(None, CALLER, "b")) for _ in range(10)]
    await asyncio.sleep(0)
    asking[0].cancel()
    gate.set()
    told = await asyncio.gather(*asking[1:])
    assert len({id(one) for one in told}) == 1
    assert len(counted) == 1
