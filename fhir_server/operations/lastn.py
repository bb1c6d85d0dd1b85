"""Observation/$lastn: the newest observations of a patient for each kind of measure.

Two queries: the database picks the newest ids for each list of codings, by an index that begins with the patient;
lists that share a coding are one group, and the bodies of what is left are fetched.
https://hl7.org/fhir/R4/observation-operation-lastn.html
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

from fhir_server.datatypes.json_format import decode, decode_own
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.steps.asking import is_lenient, too_slow
from fhir_server.interactions.steps.leading import leading
from fhir_server.interactions.steps.lookups import answered
from fhir_server.interactions.steps.searchset import large_of, searchset
from fhir_server.operations.following import fetched
from fhir_server.operations.parameters import of_body
from fhir_server.outcome import error
from fhir_server.search import SearchQuery, choose, decode_pairs, parse
from fhir_server.search.combining import Not, all_of
from fhir_server.search.entries import SearchPlan
from fhir_server.search.expression import Exists
from fhir_server.search.include import NAMES as INCLUDES
from fhir_server.search.plan import base_filter, combined
from fhir_server.search.result_parameters import NAMES as RESULTS
from fhir_server.store.documents import Stored, TimeLimit, milliseconds

_SHAPING = ("_format", "_pretty")
#: Rows of a group beyond ``max`` that are looked at for ties; if all of them tie, ten times as many are.
_FOR_TIES = 10
#: Most observations without a coding, which are grouped by their text.
MOST_TEXTS = 2000
_BY = {"code": "i.code", "home": "p", "subject": "i.subject"}
_KEPT = {"id": "_id", "s": "s", "lu": "lu", "date": "i.date"}
_LARGEST = 1000


@dataclass(frozen=True, slots=True)
class Found:
    """One observation of a group: its id and when it was; ``at`` orders, ``moment`` tells ties (None: not dated)."""

    id: str
    at: tuple[int, int]
    moment: Any


@dataclass(slots=True)
class Group:
    """Observations of one kind; ``is_cut`` when the database has more of them than it gave."""

    rows: list[Found]
    is_cut: bool


async def lastn(server: Server, request: FhirRequest, target: Target) -> FhirResponse:  # noqa: ARG001
    """Return 200 with a searchset Bundle, newest first; an empty one when nothing matches."""
    pairs, most = _read(request)
    query = parse(
        pairs,
        "Observation",
        server.registry,
        base=request.base,
        now=server.clock(),
        lenient=is_lenient(server, request),
    )
    query = await answered(server, request, query)
    try:
        groups = [*await _coded(server, request, query, most), *await _texts(server, request, query)]
    except TimeLimit as slow:
        raise too_slow(server, [query]) from slow
    chosen = sorted((row for group in groups for row in newest(group.rows, most)), key=_age)
    rows = await fetched(server, request, {"Observation": [row.id for row in chosen]})
    executed = [pair for pair in query.self_parameters if pair[0] != "_count"]
    self_link = f"{request.base}/Observation/$lastn?{urlencode([*executed, ('max', most)])}"
    body = searchset(request.base, rows, {"self": self_link}, total=len(rows), warnings=query.warnings)
    return FhirResponse(200, (), (body,), large=large_of(rows), shown=rows)


def _read(request: FhirRequest) -> tuple[list[tuple[str, str]], int]:
    """Return the search parameters and ``max``; FhirError 400 for a question that names no subject or no kind."""
    pairs = [(name, value) for name, value in decode_pairs(request.query) if name not in _SHAPING]
    if request.body:
        pairs += _of_parameters(decode(request.body))
    numbers = [value for name, value in pairs if name == "max"]
    pairs = [(name, value) for name, value in pairs if name != "max"]
    if len(numbers) > 1 or not all(n.isascii() and n.isdigit() and int(n[:9]) > 0 for n in numbers):
        raise error("value", "The parameter max is one whole number of at least 1.")
    names = [name.partition(":")[0].partition(".")[0] for name, value in pairs if value]
    for name in names:
        if name in (*RESULTS, *INCLUDES, "_at"):
            raise error(
                "not-supported", f"$lastn takes the search parameters of Observation and max, not '{name}'."
            )
    if not {"patient", "subject"} & set(names):
        raise error("required", "$lastn is about one subject: give patient or subject.")
    if not any(name == "category" or "code" in name.split("-") for name in names):
        raise error(
            "required", "$lastn needs a category, or a parameter with a code: code, code-value-concept, ..."
        )
    return pairs, min(int(numbers[0][:9]) if numbers else 1, _LARGEST)


def _of_parameters(body: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if body.get("resourceType") != "Parameters":
        raise error("structure", "The body of an operation is a Parameters resource.")
    for name, values in of_body(dict(body)).items():
        for value in values:
            yield name, _text(name, value)


def _text(name: str, value: Any) -> str:
    """Return a value of a Parameters resource as it would stand in the address."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str | int | Decimal):
        return str(value)
    if isinstance(value, dict) and isinstance(value.get("reference"), str):
        return str(value["reference"])
    if isinstance(value, dict) and isinstance(value.get("code"), str):
        return f"{value.get('system', '')}|{value['code']}" if value.get("system") else str(value["code"])
    raise error("value", f"The parameter {name} must be a primitive value, a Coding or a Reference.")


async def _coded(server: Server, request: FhirRequest, query: SearchQuery, most: int) -> list[Group]:
    """Return the groups of observations that have codings."""
    plan = await _plan(server, request, query)
    room = most + _FOR_TIES
    while True:
        groups = await _of_one_code(server, request, plan, most, room)
        if groups is None:
            found = await server.store.latest(plan, request.access, by=_BY, kept=_KEPT, most=room)
            groups = united([row for row in found if _codes(row["_id"])], room)
        if not any(group.is_cut and _are_ties_cut(group.rows, most) for group in groups):
            return groups
        room *= 10


async def _of_one_code(
    server: Server, request: FhirRequest, plan: SearchPlan, most: int, room: int
) -> list[Group] | None:
    """Return the one group of a patient's one code: its index has the newest first, so no others are read.

    None where it is not about one code, or undated observations, which that index does not order, are among them.
    """
    home, code = plan.filter.get("p"), plan.filter.get("i.code")
    if plan.hint != "p_code_s" or not isinstance(home, str) or not isinstance(code, str):
        return None
    limited = replace(plan, sort=(("s", -1),), limit=room, keys_only=True, projection=("s", "i"))
    rows = (await server.store.search(limited, request.access)).rows
    if any("s" not in row.fields for row in rows):
        return None
    found = [_of_row(row) for row in rows]
    is_cut = len(found) >= room
    if is_cut and found[-1].at[0] == found[most - 1].at[0]:
        return None  # the index does not order what was at the same moment
    return [Group(found, is_cut=is_cut)] if found else []


def _of_row(row: Stored) -> Found:
    date = row.fields.get("i", {}).get("date")
    return _of_fields({"id": row.id, "lu": row.key, "s": row.fields.get("s"), "date": date})


async def _plan(server: Server, request: FhirRequest, query: SearchQuery) -> SearchPlan:
    """Return the plan that finds all matches by the index that reads the least."""
    query, choice = await leading(server, request, query, is_first=True)
    choice = choice or choose(query, server.registry)[0]
    return SearchPlan(query.type, combined(base_filter(query, choice)), hint=choice.index)


def _codes(key: Mapping[str, Any]) -> list[str]:
    """Return the codings of a group's key; a system alone is no code."""
    stored = key.get("code")
    entries = stored if isinstance(stored, list) else [] if stored is None else [stored]
    return [entry for entry in entries if not entry.startswith("|")]


def united(found: Sequence[Mapping[str, Any]], room: int) -> list[Group]:
    """Return one group for each set of codings that are equal through each other, for each subject apart."""
    parents: dict[Any, Any] = {}

    def root(item: Any) -> Any:
        while parents.setdefault(item, item) != item:
            parents[item] = item = parents[parents[item]]
        return item

    names = [[(_subject(row["_id"]), code) for code in _codes(row["_id"])] for row in found]
    for first, *others in names:
        for other in others:
            parents[root(other)] = root(first)
    groups: dict[Any, Group] = {}
    for row, (first, *_) in zip(found, names, strict=True):
        group = groups.setdefault(root(first), Group([], is_cut=False))
        group.rows += [_of_fields(fields) for fields in row["rows"]]
        group.is_cut = group.is_cut or len(row["rows"]) >= room
    return list(groups.values())


def _subject(key: Mapping[str, Any]) -> str:
    return str(key.get("home") or key.get("subject"))


def _of_fields(fields: Mapping[str, Any]) -> Found:
    s = fields.get("s")
    if s is None:
        return Found(fields["id"], (-(1 << 62), fields["lu"]), None)
    return Found(fields["id"], (milliseconds(s), fields["lu"]), fields.get("date"))


def _age(row: Found) -> tuple[int, int]:
    return -row.at[0], -row.at[1]


def newest(rows: Sequence[Found], most: int) -> list[Found]:
    """Return the ``most`` newest, and those that were at the same time as the last of them."""
    ordered = sorted(rows, key=_age)
    end = most
    while end < len(ordered) and _is_tie(ordered[end], ordered[most - 1]):
        end += 1
    return ordered[:end]


def _is_tie(one: Found, other: Found) -> bool:
    return one.moment is not None and one.moment == other.moment


def _are_ties_cut(rows: Sequence[Found], most: int) -> bool:
    """Tell whether there may be more ties than the database gave."""
    return len(newest(rows, most)) == len(rows)


async def _texts(server: Server, request: FhirRequest, query: SearchQuery) -> list[Group]:
    """Return the groups of observations without a coding: by their text, as it is written."""
    uncoded = replace(query, expression=all_of([query.expression, Not(Exists("i.code"))]))
    plan = await _plan(server, request, uncoded)
    plan = replace(plan, limit=MOST_TEXTS + 1, projection=("s", "p", "i"))
    page = await server.store.search(plan, request.access)
    if len(page.rows) > MOST_TEXTS:
        text = f"More than {MOST_TEXTS} observations have no coding; $lastn can't group them. Ask for a code."
        raise error("too-costly", text)
    groups: dict[tuple[str, str], Group] = {}
    for row in page.rows:
        key = (
            _subject({"home": row.fields.get("p"), "subject": row.fields["i"].get("subject")}),
            _words(row),
        )
        group = groups.setdefault(key, Group([], is_cut=False))
        fields = {"id": row.id, "lu": row.key, "s": row.fields.get("s"), "date": row.fields["i"].get("date")}
        group.rows.append(_of_fields(fields))
    return list(groups.values())


def _words(row: Stored) -> str:
    code = decode_own(row.body).get("code", {})
    return str(code.get("text", ""))
