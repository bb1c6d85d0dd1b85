"""Patient/[id]/$access-log: who did what with the record, when and why, in plain language.

Made for the citizen from the AuditEvents; what was searched for is left out, because it could name others, and so are
ids. ``start`` and ``end`` are dates, ``_count`` is the length of a page. English and French (Accept-Language).
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from fhir_server.access import OPEN
from fhir_server.datatypes.json_format import decode, encode
from fhir_server.interactions import audit_event
from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.messages import LANGUAGE
from fhir_server.operations.access_words import WORDS, to_you
from fhir_server.outcome import error
from fhir_server.search import decode_pairs
from fhir_server.store.audit_reading import Row

_EMERGENCIES = ("ETREAT", "BTG")
_PERIOD = {"start": "ge", "end": "le"}


async def access_log(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with Parameters: one ``access`` for each event, newest first, and ``next`` if there are more."""
    if server.audit is None:
        raise error("not-supported", "There is no access log: the audit is switched off.", status=404)
    seen = audit_event.visible(request)
    given = decode_pairs(request.query)
    pairs = [("date", _PERIOD[name] + value) if name in _PERIOD else (name, value) for name, value in given]
    for name, _ in given:
        if name not in (*_PERIOD, "_count", "_cursor", "_format", "_pretty"):
            raise error("not-supported", "$access-log takes start, end and _count.", status=400)
    place = f"Patient/{target.id}/$access-log"
    query = audit_event.parsed(server, request, pairs, place)
    rows = await server.audit.search(
        {"$and": [{"p": target.id}, seen]},
        since=query.since,
        until=query.until,
        after=query.after,
        ascending=False,
        limit=query.count + 1,
    )
    page = rows[: query.count]
    teller = Teller(server, target.id, LANGUAGE.get() if LANGUAGE.get() in WORDS else "en")
    parameters: list[dict[str, Any]] = [{"name": "access", "part": await teller.parts(row)} for row in page]
    if len(rows) > len(page):
        cursor = server.cursors.seal_state(
            page[-1].id, place=place, actor=request.access.actor, now=server.clock()
        )
        kept = [pair for pair in given if pair[0] != "_cursor"]
        url = f"{request.base}/{place}?{urlencode([*kept, ('_cursor', cursor)])}"
        parameters.append({"name": "next", "valueUrl": url})
    body: dict[str, Any] = {"resourceType": "Parameters"}
    if parameters:
        body["parameter"] = parameters
    return FhirResponse(200, (("Vary", "Accept-Language"),), (encode(body),))


class Teller:
    """Says events in a language to one patient; names are looked up once."""

    def __init__(self, server: Server, patient: str, language: str) -> None:
        self._server = server
        self._self = f"Patient/{patient}"
        self._language = language
        self._words = WORDS[language]
        self._names: dict[str, str] = {}

    async def parts(self, row: Row) -> list[dict[str, Any]]:
        """Return what is told of an event."""
        event, words = decode(row.body), self._words
        user = next(
            (agent for agent in event["agent"] if "reference" in agent["who"] and agent["requestor"]), None
        )
        organization = await self._organization(event)
        who = await self._who(user)
        thing = self._thing(row)
        codes = [reason["coding"][0]["code"] for reason in (user or {}).get("purposeOfUse", ())]
        why = next((words.purposes[code] for code in codes if code in words.purposes), "")
        emergency = any(code in _EMERGENCIES for code in codes)
        outcome = event["outcome"]
        named = (
            words.of_organization.format(who=who, organization=organization)
            if organization and who != words.you
            else who
        )
        if outcome in ("4", "12"):
            sentence = words.failed.format(who=named, thing=thing)
        else:
            deeds = words.deeds if outcome == "0" else words.refused_deeds
            sentence = f"{named} {deeds[event['action']]} {thing}"
            sentence = words.for_purpose.format(sentence=sentence, purpose=why) if why else f"{sentence}."
        if who == words.you:
            sentence = to_you(sentence, self._language)
        told = {"who": who, "organization": organization, "what": thing, "why": why, "sentence": sentence}
        return [
            {"name": "when", "valueInstant": event["recorded"]},
            *({"name": name, "valueString": text} for name, text in told.items() if text),
            {"name": "emergency", "valueBoolean": emergency},
            {"name": "refused", "valueBoolean": outcome == "8"},
        ]

    def _thing(self, row: Row) -> str:
        type_ = str(row.fields.get("e", "")).partition("/")[0]
        return self._words.things.get(type_, type_ or self._words.record)

    async def _who(self, user: dict[str, Any] | None) -> str:
        if user is None:
            return self._words.anonymous
        if user["who"]["reference"] == self._self:
            return self._words.you
        return str(user.get("name") or await self._name(user["who"]["reference"]) or self._words.unnamed)

    async def _organization(self, event: dict[str, Any]) -> str:
        for agent in event["agent"]:
            reference = agent["who"].get("reference", "")
            if reference.startswith("Organization/") and not agent["requestor"]:
                return await self._name(reference)
        return ""

    async def _name(self, reference: str) -> str:
        """Return the name of a person or organization of the directory; "" if there is none."""
        if reference not in self._names:
            type_, _, id_ = reference.partition("/")
            stored = await self._server.store.read(type_, id_, OPEN)
            resource = decode(stored.body) if stored is not None and not stored.is_deleted else {}
            self._names[reference] = _named(resource.get("name"))
        return self._names[reference]


def _named(name: Any) -> str:
    if isinstance(name, str):
        return name
    for human in name or ():
        parts = [*human.get("prefix", ()), *human.get("given", ()), human.get("family", "")]
        if text := human.get("text") or " ".join(filter(None, parts)):
            return str(text)
    return ""
