"""Writers of all kinds, at work while things die."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from kill_run.ledger import Ledger
from loopback import Connection

NETWORK = (OSError, asyncio.IncompleteReadError, TimeoutError)
SYSTEM, CLAIMS, KEYS = "urn:kill:number", "urn:kill:claim", "urn:kill:key"
#: Shared by all writers, so that they meet: registers, and accounts of transactions.
REGISTERS = 8
#: So many send the same conditional create, or the same keyed one, at once.
RIVALS = 4


def basic(number: int, *more: tuple[str, str], id_: str = "", after: int = 0) -> dict[str, Any]:
    """Return a resource that carries a number; ``after`` is that of the version that it was made from."""
    made: dict[str, Any] = {
        "resourceType": "Basic",
        "identifier": [{"system": s, "value": v} for s, v in ((SYSTEM, str(number)), *more)],
        "code": {"text": f"after {after}"},
    }
    return {**made, "id": id_} if id_ else made


class Load:
    """The writers of a run; ``stopping`` ends them."""

    def __init__(self, base: str, ledger: Ledger) -> None:
        self.base = base
        self.ledger = ledger
        self.stopping = False
        self._numbers = count(1)

    def start(self, writers: int) -> list[asyncio.Task[None]]:
        """Return the tasks: every kind of writer in turn."""
        kinds = (self._own, self._register, self._transaction, self._rivals, self._repeat)
        self.stopping = False
        return [
            asyncio.create_task(self._write(kinds[number % len(kinds)], number)) for number in range(writers)
        ]

    async def _write(self, kind: Callable[[_Client], Awaitable[None]], seed: int) -> None:
        client = _Client(self.base, self.ledger, random.Random(seed))
        try:
            while not self.stopping:
                await kind(client)
        finally:
            client.close()

    async def _own(self, client: _Client) -> None:
        """Create, update, patch and delete resources that no other writer knows."""
        number = next(self._numbers)
        choice = client.rng.random()
        if not client.own or choice < 0.4:
            answer = await client.send("POST", "Basic", basic(number), number)
            if answer:
                client.own.append(answer["id"])
            return
        id_ = client.own[client.rng.randrange(len(client.own))]
        if choice < 0.75:
            await client.send("PUT", f"Basic/{id_}", basic(number, id_=id_), number)
        elif choice < 0.9:
            patch = [{"op": "replace", "path": "/identifier/0/value", "value": str(number)}]
            await client.send("PATCH", f"Basic/{id_}", patch, number, media="application/json-patch+json")
        else:
            client.own.remove(id_)
            await client.delete(f"Basic/{id_}")

    async def _register(self, client: _Client) -> None:
        """Read one of the shared registers and replace just that version."""
        name = f"Basic/register-{client.rng.randrange(REGISTERS)}"
        number = next(self._numbers)
        status, _, body = await client.exchange("GET", name)
        condition = ("If-None-Match", "*")
        after = 0
        if status == 200:
            found = json.loads(body)
            after = number_of(found)
            condition = ("If-Match", f'W/"{found["meta"]["versionId"]}"')
        elif status != 404:
            return
        body_ = basic(number, id_=name.partition("/")[2], after=after)
        await client.send("PUT", name, body_, number, condition)

    async def _transaction(self, client: _Client) -> None:
        """Make a patient with a resource of theirs, and change a shared account, all or nothing."""
        number = next(self._numbers)
        account = f"account-{client.rng.randrange(REGISTERS)}"
        patient = {"resourceType": "Patient", "identifier": [{"system": SYSTEM, "value": str(number)}]}
        about = {**basic(number), "subject": {"reference": "urn:uuid:4fd6c3b6-0b70-4f5f-9d3e-0b1f3f3a9a01"}}
        entries = [
            {
                "fullUrl": "urn:uuid:4fd6c3b6-0b70-4f5f-9d3e-0b1f3f3a9a01",
                "resource": patient,
                "request": {"method": "POST", "url": "Patient"},
            },
            {"resource": about, "request": {"method": "POST", "url": "Basic"}},
            {
                "resource": basic(number, id_=account),
                "request": {"method": "PUT", "url": f"Basic/{account}"},
            },
        ]
        self.ledger.sizes[number] = len(entries)
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
        answer = await client.send("POST", "", bundle, number)
        if answer:
            self.ledger.whole.add(number)
            for entry in answer["entry"]:
                self.ledger.stored(*named(entry["resource"]), number)

    async def _rivals(self, client: _Client) -> None:
        """Send several conditional creates with the same criteria at once, until each is answered."""
        await self._all_at_once(client, CLAIMS, self.ledger.claims)

    async def _repeat(self, client: _Client) -> None:
        """Send one create several times with the same Idempotency-Key, until each is answered."""
        await self._all_at_once(client, KEYS, self.ledger.keys)

    async def _all_at_once(self, client: _Client, system: str, found: dict[str, set[str]]) -> None:
        first = next(self._numbers)
        value = f"{system}-{first}"
        same = client.rng.random()

        async def rival(number: int) -> None:
            own = _Client(self.base, self.ledger, random.Random(number + same))
            # The same key goes with the same body only.
            body = basic(first if system == KEYS else number, (system, value))
            condition = ("Idempotency-Key", value)
            if system == CLAIMS:
                condition = ("If-None-Exist", f"identifier={system}%7C{value}")
            answer = None
            while answer is None and not self.stopping:
                answer = await own.send("POST", "Basic", body, number, condition, is_repeated=True)
                if answer is None:
                    await asyncio.sleep(0.1)
            own.close()
            if answer:
                found[value].add(named(answer)[0])

        numbers = [first, *(next(self._numbers) for _ in range(RIVALS - 1))]
        await asyncio.gather(*map(rival, numbers))


class _Client:
    """One connection; notes what comes back."""

    def __init__(self, base: str, ledger: Ledger, rng: random.Random) -> None:
        self.rng = rng
        self.own: list[str] = []
        self._ledger = ledger
        self._connection = Connection(base)

    async def exchange(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        *headers: tuple[str, str],
        media: str = "application/fhir+json",
    ) -> tuple[int, bytes, bytes]:
        """Return status, head and body; status 0 when the connection was lost."""
        raw = self._connection.request(method, path, body, *headers, media=media)
        try:
            status, head, answer = await asyncio.wait_for(self._connection.send(raw), 60)
        except NETWORK as lost:
            self._ledger.answers[type(lost).__name__] += 1
            self._connection.close()
            await asyncio.sleep(0.05)
            return 0, b"", b""
        if method != "GET":
            self._ledger.answers[str(status)] += 1
        if status >= 500:
            if b"retry-after:" not in head.lower():
                self._ledger.wrong.append(f"{method} {path}: {status} without Retry-After: {answer[:200]!r}")
            await asyncio.sleep(0.05)
        return status, head, answer

    async def send(
        self,
        method: str,
        path: str,
        body: Any,
        number: int,
        *headers: tuple[str, str],
        media: str = "application/fhir+json",
        is_repeated: bool = False,
    ) -> dict[str, Any] | None:
        """Return the answer to a write that was acknowledged, None else; of a Bundle the caller notes the versions."""
        raw = json.dumps(body).encode()
        status, _, answer = await self.exchange(method, path, raw, *headers, media=media)
        if status in (200, 201):
            made: dict[str, Any] = json.loads(answer)
            if "meta" in made and not is_repeated:
                self._ledger.stored(*named(made), number)
            elif "meta" in made:
                self._ledger.stored(*named(made), number_of(made))
            return made
        if status == 409 and b"was carried out" in answer:
            return {}  # under its Idempotency-Key; only the answer was lost
        if 400 <= status < 500 and not is_repeated:
            self._ledger.refused.add(number)
            if status not in (409, 412):
                self._ledger.wrong.append(f"{method} {path}: {status} {answer[:200]!r}")
        return None

    async def delete(self, name: str) -> None:
        """Delete a resource."""
        status, head, _ = await self.exchange("DELETE", name)
        if status == 204 and b"\r\netag:" in head.lower():
            etag = head.lower().split(b"\r\netag:", 1)[1].split(b"\r\n", 1)[0]
            self._ledger.deleted[name] = int(etag.strip().removeprefix(b'w/"').rstrip(b'"'))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def named(resource: dict[str, Any]) -> tuple[str, int]:
    """Return "Type/id" and version of a resource."""
    return f"{resource['resourceType']}/{resource['id']}", int(resource["meta"]["versionId"])


def number_of(resource: dict[str, Any]) -> int:
    """Return the number that a resource carries."""
    return int(resource["identifier"][0]["value"])
