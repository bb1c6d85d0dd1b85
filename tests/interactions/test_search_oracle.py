"""Random resources and queries over HTTP: the server and the oracle must agree, in chains, _has and orders too.

``make oracle-search`` runs many more rounds; a failure names its round, which ``ORACLE_FIRST`` repeats.
"""

from __future__ import annotations

import json
import os
import random
import uuid

import pytest

from fhir_server.definitions import Definitions
from tests.search.oracle import World
from tests.search.oracle_data import ORDERS, Maker

ROUNDS = int(os.environ.get("ORACLE_ROUNDS", "12"))
FIRST = int(os.environ.get("ORACLE_FIRST", "1"))
QUERIES = 50


@pytest.fixture(scope="module")
def definitions():
    return Definitions()


def _found(fhir, type_, pairs):
    """All matches in order, read in pages."""
    answer = fhir.get(type_, params=pairs)
    assert answer.status_code == 200, (type_, pairs, answer.text)
    found = []
    while True:
        bundle = answer.json()
        entries = bundle.get("entry", ())
        found += [e["resource"]["id"] for e in entries if e["search"]["mode"] == "match"]
        following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
        if not following:
            return found
        answer = fhir.get(following[0])


def _assert_order(world, type_, ids, rule):
    """The keys never go back, and resources without one come last."""
    name, descending = rule.removeprefix("-"), rule.startswith("-")
    keys = [world.order(world.resources[f"{type_}/{id_}"], name, descending=descending) for id_ in ids]
    present = [key for key in keys if key is not None]
    assert keys == [*sorted(present, reverse=descending), *[None] * (len(keys) - len(present))], (
        type_,
        rule,
        keys,
    )


@pytest.mark.parametrize("number", range(FIRST, FIRST + ROUNDS))
def test_round(fhir, definitions, number):
    base = str(fhir.base_url).rstrip("/")
    run = uuid.uuid4().hex[:10]
    maker = Maker(random.Random(number), run, base)
    world = World(definitions, base)
    entries = [
        {"resource": one, "request": {"method": "PUT", "url": f"{one['resourceType']}/{one['id']}"}}
        for one in maker.resources()
    ]
    answer = fhir.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
    for sent, got in zip(entries, answer.json()["entry"], strict=True):
        # Some combinations of random values break an invariant.
        if got["response"]["status"].startswith("201"):
            world.add(json.loads(json.dumps(sent["resource"])))
    assert len(world.resources) > len(entries) * 0.7

    for _ in range(QUERIES):
        type_, pairs = maker.queries()
        expected = world.search(type_, pairs)
        asked = [*pairs, ("_tag", f"urn:oracle|{run}"), ("_count", str(maker.pick([2, 50])))]
        rule = maker.pick(ORDERS[type_]) if type_ in ORDERS and maker.random.random() < 0.3 else ""
        if rule:
            asked.append(("_sort", rule))
        found = _found(fhir, type_, asked)
        wrong = {id_: world.resources[f"{type_}/{id_}"] for id_ in expected ^ set(found)}
        assert not wrong, (
            type_,
            pairs,
            {"extra": set(found) - expected, "missed": expected - set(found)},
            wrong,
        )
        assert len(found) == len(set(found)), (type_, pairs)
        if rule:
            _assert_order(world, type_, found, rule)
