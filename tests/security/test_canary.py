"""The canary: whatever is asked by whomever, no byte of what they may not see comes back, and nothing breaks."""

from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.security.doors import ATTACKERS, DOORS, IDS, TYPES
from tests.security.world import MARKER, WORLD

REQUESTS = [
    door.format(t=t, i=i)
    for door in DOORS
    for t in (TYPES if "{t}" in door else ("",))
    for i in (IDS if "{i}" in door else ("",))
]


def test_each_victim_holds_the_marker():
    theirs = [body for body in WORLD if body["id"] in IDS and body["id"] != "c1"]
    assert all(MARKER in json.dumps(body) for body in theirs)


def test_the_canary_can_sing(as_):
    """Its owner sees the marker through many doors, so the doors that are tried do lead there."""
    found = [path for path in dict.fromkeys(REQUESTS) if "b1" in path and "{" not in path]
    shown = [path for path in found if MARKER in as_("B").get(path).text]
    assert len(shown) >= 8


@pytest.mark.parametrize("who", ATTACKERS)
def test_no_door_lets_a_marker_out(as_, who):
    """All doors once for the types and ids where something is."""
    pairs = [(body["resourceType"], body["id"]) for body in WORLD if MARKER in json.dumps(body)]
    for door, (type_, id_) in itertools.product(DOORS, pairs):
        as_(who).get(door.format(t=type_, i=id_))  # the client asserts


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    who=st.sampled_from(ATTACKERS),
    paths=st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6),
    kind=st.sampled_from(["get", "head", "batch", "etag"]),
)
def test_no_request_lets_a_marker_out(as_, who, paths, kind):
    client = as_(who)
    if kind == "batch":
        entries = [{"request": {"method": "GET", "url": path}} for path in paths]
        client.post("", json={"resourceType": "Bundle", "type": "batch", "entry": entries})
        return
    for path in paths:
        headers = {"If-None-Match": 'W/"1"'} if kind == "etag" else {}
        client.request("HEAD" if kind == "head" else "GET", path, headers=headers)
