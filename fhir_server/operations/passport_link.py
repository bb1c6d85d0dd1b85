"""Patient/[id]/$passport-link: a link by which one reader, who has no account, reads a citizen's passport for a time.

The link's secret (256 random bits) is known to its holder alone: the store keeps its SHA-256.
profiles/OperationDefinition-passport-link.json has its inputs.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
import secrets
from base64 import b64encode
from io import BytesIO
from typing import Any
from urllib.parse import urlsplit

import segno

from fhir_server.interactions.exchange import FhirRequest, FhirResponse, Server, Target
from fhir_server.interactions.read import current
from fhir_server.interactions.steps.prepare import instant
from fhir_server.operations.inputs import answered, inputs
from fhir_server.operations.passport import language_of, names_of
from fhir_server.operations.space import check_own
from fhir_server.outcome import error

#: The kind of entry in the store.
KIND = "passport-link"
#: After so many wrong PINs a link is at its end.
MOST_TRIES = 5
_HOURS, _MOST_HOURS = 72, 7 * 24
_PIN = re.compile(r"[0-9A-Za-z]{4,12}", re.ASCII)
_INPUTS = {"pin": "text", "hours": "integer", "language": "text", "sections": "text*", "revoke": "text"}


async def passport_link(server: Server, request: FhirRequest, target: Target) -> FhirResponse:
    """Return 200 with the citizen's links; on POST with a new one, or without the one that is revoked (404: none)."""
    given = inputs(request, _INPUTS)
    check_own(request, target)
    await current(server, request, target)
    if request.method != "POST":
        if given.values:
            raise error("not-supported", "GET lists the links; a POST makes or revokes one.")
        return answered([_told(link) for link in await server.store.grants.all(KIND, patient=target.id)])
    if given.has("revoke"):
        wanted = {"patient": target.id, "id": given.text("revoke")}
        if not await server.store.grants.all(KIND, **wanted):
            raise error("not-found", "There is no such link any more.")
        await server.store.grants.end(KIND, **wanted)
        return answered([_told(link) for link in await server.store.grants.all(KIND, patient=target.id)])
    hours = given.number("hours") if given.has("hours") else _HOURS
    if not hours or hours > _MOST_HOURS:
        raise error("value", f"A link lasts 1 to {_MOST_HOURS} hours.")
    pin = given.text("pin")
    if given.has("pin") and not _PIN.fullmatch(pin):
        raise error("value", "A PIN has 4 to 12 digits or letters.")
    sections = names_of(given)
    if "binaries" in sections:
        raise error("not-supported", "A link shows no content of documents; leave binaries out.")
    secret, salt = secrets.token_urlsafe(32), secrets.token_bytes(16)
    link: dict[str, Any] = {
        "id": secrets.token_hex(6),
        "patient": target.id,
        "language": language_of(given),
        "sections": ",".join(sorted(sections)) if given.has("sections") else "",
        "expires": server.clock() + hours * 3_600_000,
        "pin": await _hashed(pin, salt) if pin else b"",
        "salt": salt,
        "tries": 0,
        "uses": 0,
    }
    await server.store.grants.put(KIND, secret, link, hours * 3600)
    origin = urlsplit(request.base)
    url = f"{origin.scheme}://{origin.netloc}/passport/{secret}"
    row = _told(link)
    row["part"] += [{"name": "url", "valueUrl": url}, {"name": "qr", "valueAttachment": _qr(url)}]
    return answered([row])


async def opened(server: Server, secret: str, pin: str) -> dict[str, Any] | None:
    """Return the link of a secret if the PIN is right; each wrong one counts, and the last ends the link."""
    link = await server.store.grants.find(KIND, secret)
    if link is None:
        return None
    if link["pin"]:
        # Counted before it is compared: those who try at once are counted, too.
        counted = await server.store.grants.count(KIND, secret, "tries")
        if counted is None or counted["tries"] > MOST_TRIES:
            return None
        if not hmac.compare_digest(await _hashed(pin, link["salt"]), link["pin"]):
            if counted["tries"] == MOST_TRIES:
                await server.store.grants.end(KIND, id=link["id"])
            return None
        await server.store.grants.change(KIND, secret, {"tries": 0})
    await server.store.grants.count(KIND, secret, "uses")
    return link


async def _hashed(pin: str, salt: bytes) -> bytes:
    return await asyncio.to_thread(hashlib.scrypt, pin.encode(), salt=salt, n=1 << 14, r=8, p=1)


def _told(link: dict[str, Any]) -> dict[str, Any]:
    parts = [
        {"name": "id", "valueString": link["id"]},
        {"name": "expires", "valueInstant": instant(link["expires"])},
        {"name": "pin", "valueBoolean": bool(link["pin"])},
        {"name": "uses", "valueInteger": link["uses"]},
    ]
    return {"name": "link", "part": parts}


def _qr(url: str) -> dict[str, str]:
    """Return the QR code of an address as a picture."""
    picture = BytesIO()
    segno.make_qr(url, error="m").save(picture, kind="svg", scale=4, border=4, light="#fff", xmldecl=False)
    return {"contentType": "image/svg+xml", "data": b64encode(picture.getvalue()).decode(), "title": "QR"}
