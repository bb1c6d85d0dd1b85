from __future__ import annotations

import pytest

from fhir_server.outcome import FhirError
from fhir_server.search import Cursors, Pager, Position, parse
from fhir_server.search.sorting import Cut

KEY, OTHER = b"k" * 32, b"o" * 32
NOW = 1_790_000_000_000
PAIRS = [("family", "Müller"), ("_sort", "birthdate"), ("_count", "7")]

POSITIONS = [
    Position(),
    Position(Cut((58832615186459392,))),
    Position(Cut((58832615186459392,), "abc"), backwards=True),
    Position(Cut((None,), "abc")),
    Position(Cut((False, "müller", True, None, False, 0.1), "x.y-1"), backwards=True),
]


@pytest.fixture
def query(registry):
    return parse(PAIRS, "Patient", registry, base="http://localhost/fhir", now=NOW)


@pytest.mark.parametrize("position", POSITIONS, ids=str)
def test_round_trip(query, registry, position):
    cursors = Cursors([KEY])
    text = cursors.seal(query.self_parameters, position, place="Patient", actor="me", now=NOW)
    opened = cursors.open(text, "Patient", actor="me", now=NOW + 1000)

    assert opened.position == position
    again = parse(opened.pairs, "Patient", registry, base="http://localhost/fhir", now=NOW)
    assert again == query


def test_a_position_that_does_not_fit_the_order_any_more_has_expired(query, registry):
    with pytest.raises(FhirError) as caught:
        Pager(query, registry, Position(Cut((1,), "x")))
    assert caught.value.status == 410


def test_a_cursor_shows_nothing_and_is_stable(query):
    position = Position(Cut(("geheim",), "id"))
    text = Cursors([KEY]).seal(query.self_parameters, position, place="Patient", actor="me", now=NOW)

    assert text == Cursors([KEY]).seal(query.self_parameters, position, place="Patient", actor="me", now=NOW)
    assert text.isascii()
    assert not {"+", "/", "="} & set(text)


@pytest.mark.parametrize(
    ("keys", "bound_to", "text", "later", "status"),
    [
        ([OTHER], ("Patient", "me"), None, 0, 404),
        ([KEY], ("Person", "me"), None, 0, 404),
        ([KEY], ("Patient", "you"), None, 0, 404),
        ([KEY], ("Patient", "me"), "nonsense", 0, 404),
        ([KEY], ("Patient", "me"), "é", 0, 404),
        ([KEY], ("Patient", "me"), "", 0, 404),
        ([KEY], ("Patient", "me"), None, 86_400_000 + 60_000, 410),
        ([OTHER, KEY], ("Patient", "me"), None, 0, None),
        ([KEY], ("Patient", "me"), None, 86_000_000, None),
    ],
)
def test_who_may_open(query, keys, bound_to, text, later, status):  # noqa: PLR0917 (a table of cases)
    type_, actor = bound_to
    if text is None:
        text = Cursors([KEY]).seal(query.self_parameters, Position(), place="Patient", actor="me", now=NOW)
    if status is None:
        assert Cursors(keys).open(text, type_, actor=actor, now=NOW + later).pairs == query.self_parameters
        return
    with pytest.raises(FhirError) as caught:
        Cursors(keys).open(text, type_, actor=actor, now=NOW + later)
    assert caught.value.status == status


def test_a_changed_cursor_is_refused(query):
    text = Cursors([KEY]).seal(query.self_parameters, Position(), place="Patient", actor="me", now=NOW)
    changed = ("A" if text[0] != "A" else "B") + text[1:]

    with pytest.raises(FhirError):
        Cursors([KEY]).open(changed, "Patient", actor="me", now=NOW)


@pytest.mark.parametrize("keys", [[], [b""], [KEY, b""]])
def test_keys_are_required(keys):
    with pytest.raises(ValueError, match="key"):
        Cursors(keys)
