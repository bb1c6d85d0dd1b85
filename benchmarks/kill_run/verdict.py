"""Every acknowledged write against what is stored: read from the database itself, and over HTTP as a client sees it."""

from __future__ import annotations

import asyncio
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from kill_run.ledger import Ledger
from kill_run.load import number_of
from loopback import Connection
from pymongo import MongoClient
from pymongo.read_concern import ReadConcern


@dataclass
class Contents:
    """What the database holds: of each "Type/id" its versions, each with its number (None: a deletion)."""

    versions: defaultdict[str, dict[int, int | None]] = field(default_factory=lambda: defaultdict(dict))
    #: The number that the maker of a version had read in the version before.
    after: dict[tuple[str, int], int] = field(default_factory=dict)
    #: The living resources that carry a claim or a key.
    marks: defaultdict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    wrong: list[str] = field(default_factory=list)

    def add(self, name: str, row: dict[str, Any], *, is_current: bool) -> None:
        """Take a document in."""
        version = row["v"]
        if version in self.versions[name]:
            self.wrong.append(f"{name} version {version} is stored twice")
        if "j" not in row:
            self.versions[name][version] = None
            return
        resource = json.loads(row["j"])
        self.versions[name][version] = number_of(resource)
        before = resource.get("code", {}).get("text", "").removeprefix("after ")
        if before not in ("", "0"):
            self.after[name, version] = int(before)
        for identifier in resource["identifier"][1:] if is_current else ():
            self.marks[identifier["value"]].append(name)


def contents(uri: str, database: str) -> Contents:
    """Return what a majority has; the writers must be at rest."""
    found = Contents()
    wanted = {"v": 1, "j": 1, "t": 1, "id": 1}
    with MongoClient(uri) as client:
        everything = client[database].with_options(read_concern=ReadConcern("majority"))
        for type_ in ("Basic", "Patient"):
            for row in everything[type_].find({}, wanted):
                found.add(f"{type_}/{row['_id']}", row, is_current=True)
        for row in everything["history"].find({}, wanted):
            found.add(f"{row['t']}/{row['id']}", row, is_current=False)
    return found


def judge(ledger: Ledger, found: Contents) -> list[str]:
    """Return every promise that is not kept, in words."""
    return [
        *ledger.wrong,
        *found.wrong,
        *_versions(ledger, found),
        *_numbers(ledger, found),
        *_marks(ledger, found),
    ]


def _versions(ledger: Ledger, found: Contents) -> Iterator[str]:
    for name, acknowledged in ledger.versions.items():
        for version, number in acknowledged.items():
            stored = found.versions.get(name, {}).get(version)
            if stored != number:
                yield f"{name} version {version} holds {stored}, {number} was acknowledged"
    for name, version in ledger.deleted.items():
        if found.versions.get(name, {}).get(version, 0) is not None:
            yield f"{name} version {version} is no deletion, one was acknowledged"
    for name, versions in found.versions.items():
        if sorted(versions) != list(range(1, len(versions) + 1)):
            yield f"{name} has the versions {sorted(versions)}"
    for (name, version), number in found.after.items():
        if found.versions[name].get(version - 1) != number:
            yield f"{name} version {version} replaces {found.versions[name].get(version - 1)}, not the {number} it read"


def _numbers(ledger: Ledger, found: Contents) -> Iterator[str]:
    times = Counter(number for versions in found.versions.values() for number in versions.values())
    for number, count in times.items():
        if number is None:
            continue
        whole = ledger.sizes.get(number, 1)
        if count != whole:
            yield f"{number} is stored {count} times, not {whole}: done twice, or half a transaction"
        if number in ledger.refused:
            yield f"{number} is stored, but was refused"
    for number in ledger.whole:
        if number not in times:
            yield f"the transaction {number} was acknowledged and is not there"


def _marks(ledger: Ledger, found: Contents) -> Iterator[str]:
    for mark, names in found.marks.items():
        if len(names) > 1:
            yield f"{mark} has made {len(names)} resources"
    for kind in (ledger.claims, ledger.keys):
        for mark, answered in kind.items():
            if set(found.marks.get(mark, ())) != answered:
                yield f"{mark} was answered with {answered}, stored is {found.marks.get(mark)}"


def compare_events(events: Counter[tuple[str, int]], found: Contents) -> list[str]:
    """Return where the events differ from exactly one for each version."""
    stored = {(name, version) for name, versions in found.versions.items() for version in versions}
    wrong = [f"{name} version {version} has no event" for name, version in stored - events.keys()]
    wrong += [f"{name} version {version} has an event only" for name, version in events.keys() - stored]
    return wrong + [f"{row} has {count} events" for row, count in events.items() if count != 1]


async def over_http(base: str, found: Contents) -> list[str]:
    """Return where the histories that a client gets differ from what is stored."""
    wrong: list[str] = []
    waiting = list(found.versions)

    async def check() -> None:
        connection = Connection(base)
        while waiting:
            name = waiting.pop()
            seen: dict[int, int | None] = {}
            path: str | None = f"{name}/_history?_count=1000"
            while path:
                status, _, body = await connection.send(connection.request("GET", path))
                if status != 200:
                    wrong.append(f"{name}: history answers {status}")
                    break
                bundle = json.loads(body)
                for entry in bundle["entry"]:
                    version = int(entry["response"]["etag"].removeprefix('W/"').rstrip('"'))
                    seen[version] = number_of(entry["resource"]) if "resource" in entry else None
                path = next((x["url"] for x in bundle["link"] if x["relation"] == "next"), None)
                path = path and path.split("/fhir/", 1)[1]
            if seen != found.versions[name]:
                wrong.append(f"{name}: a client sees {seen}, stored is {found.versions[name]}")
        connection.close()

    await asyncio.gather(*(check() for _ in range(16)))
    return wrong
