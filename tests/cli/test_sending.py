"""Resources go out: PUT or POST, repeated when the server is busy, rejected with its reasons."""

from __future__ import annotations

import json
from functools import partial

import pytest

from fhir_server.cli import sending
from fhir_server.cli.client import Client
from fhir_server.cli.sending import Refused, Tally, Unreachable, send
from fhir_server.cli.unpacking import Item

OUTCOME = json.dumps(
    {
        "resourceType": "OperationOutcome",
        "issue": [
            {
                "severity": "error",
                "code": "required",
                "diagnostics": "status is missing.",
                "expression": ["Observation"],
            },
            {"severity": "warning", "code": "value", "diagnostics": "not this one"},
            {"severity": "fatal", "code": "invalid", "details": {"text": "bad"}},
        ],
    }
).encode()


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(sending, "LONGEST_WAIT_S", 0.01)


def item(number=0, id_="a"):
    return Item("f", number, f"f:{number + 1}", "Observation", id_, b"{}")


@pytest.fixture
def run(peer):
    """Return exchange with the peer's context manager."""
    return partial(exchange, peer)


async def exchange(peer, script, items, jobs=4, done_before=()):
    tally, noted = Tally(), []
    async with peer(script) as (base, it):
        client = Client(base, timeout_s=5)
        try:
            await send(
                client, items, tally, jobs=jobs,
                is_done=lambda i: i.number in done_before, done=lambda i: noted.append(i.number),
            )  # fmt: skip
        finally:
            await client.close()
    return tally, sorted(noted), it


async def test_put_with_an_id_and_post_without(run):
    statuses = iter([201, 200, 201])
    tally, noted, it = await run(
        lambda *_: (next(statuses),), [item(0, "a b/c"), item(1, "b"), item(2, None)], jobs=1
    )
    assert [(method, path) for method, path, *_ in it.requests] == [
        ("PUT", "/fhir/Observation/a%20b%2Fc"), ("PUT", "/fhir/Observation/b"), ("POST", "/fhir/Observation"),
    ]  # fmt: skip
    assert (tally.created, tally.updated, noted) == (2, 1, [0, 1, 2])
    assert it.requests[0][3]["content-type"] == "application/fhir+json"


async def test_never_more_requests_than_jobs(run):
    tally, _, it = await run(lambda *_: (201,), (item(n) for n in range(40)), jobs=3)
    assert (tally.created, it.most_at_once, it.connections) == (40, 3, 3)


@pytest.mark.parametrize("busy", [429, 503])
async def test_busy_servers_are_asked_again(busy, run):
    answers = iter([(busy, {"Retry-After": "0"}), (busy,), (201,)])
    tally, noted, _ = await run(lambda *_: next(answers), [item()])
    assert (tally.created, tally.retried, noted) == (1, 2, [0])


async def test_a_server_that_stays_busy_rejects(run):
    tally, noted, it = await run(lambda *_: (503, {}, OUTCOME), [item()])
    assert len(it.requests) == sending.TRIES
    assert (tally.rejections[0].status, noted) == (503, [])


async def test_a_lost_put_is_repeated_and_a_lost_post_is_not(run):
    answers = iter(["close", (200,), "close"])
    tally, noted, it = await run(lambda *_: next(answers), [item(0, "a"), item(1, None)], jobs=1)
    assert [method for method, *_ in it.requests] == ["PUT", "PUT", "POST"]
    assert (tally.updated, noted) == (1, [0])
    assert "It may have been stored" in tally.rejections[0].reasons[0]


async def test_rejections_carry_place_subject_and_reasons(run):
    tally, noted, _ = await run(
        lambda *_: (422, {}, OUTCOME), [item(), Item("f", 1, "f:2", problem="no JSON")]
    )
    by_place = {r.place: r for r in tally.rejections}
    assert (by_place["f:1"].subject, by_place["f:1"].status) == ("Observation/a", 422)
    assert by_place["f:1"].reasons == ("Observation: status is missing.", "bad")
    assert by_place["f:2"].reasons == ("no JSON",)
    assert noted == []


@pytest.mark.parametrize(
    ("body", "reason"), [(b"<html>", "<html>"), (b"", "answered 500 without a reason"), (b"\xff", "\ufffd")]
)
async def test_answers_that_are_no_outcome(body, reason, run):
    tally, _, _ = await run(lambda *_: (500, {}, body), [item()])
    assert reason in tally.rejections[0].reasons[0]


async def test_done_before_is_skipped(run):
    tally, noted, it = await run(lambda *_: (201,), [item(0), item(1), item(2)], done_before=(0, 2))
    assert (tally.skipped, tally.created, noted, len(it.requests)) == (2, 1, [1], 1)


@pytest.mark.parametrize("status", [401, 403])
async def test_a_closed_door_ends_the_load(status, run):
    with pytest.raises(Refused, match=str(status)):
        await run(lambda *_: (status,), (item(n) for n in range(100)))


async def test_nobody_there():
    client = Client("http://127.0.0.1:9/fhir")
    with pytest.raises(Unreachable):
        await send(client, [item()], Tally(), jobs=2, is_done=lambda _: False, done=lambda _: None)
