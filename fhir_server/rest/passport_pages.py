"""``/passport/[secret]``: what the holder of a link sees, a page that asks for the PIN, then the passport.

The citizen made the link (``Patient/[id]/$passport-link``); who opens it has no account, sees what the citizen
would, and can change nothing. docs/passport.md.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from html import escape
from urllib.parse import parse_qs, urlencode
from uuid import uuid4

from fastapi import APIRouter, Request, Response

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.scopes import Scope, Scopes
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.interactions.router import dispatch
from fhir_server.interactions.steps.admit import admit
from fhir_server.interactions.steps.in_space import is_accessible
from fhir_server.operations.passport_link import KIND, opened

_STYLE = """
body{font:12pt/1.5 system-ui,sans-serif;color:#111;max-width:28rem;margin:2rem auto;padding:0 1rem}
label,input,button{display:block;font:inherit;margin:.5rem 0;padding:.4rem .6rem}.other{color:#444}
"""
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
_TITLE = ("Passeport médical", "Medical passport")
_ASKED = ("Code PIN que la personne vous a donné", "PIN that the person gave you")
_OPEN = ("Ouvrir", "Open")
_WRONG = (
    "Ce lien n'existe pas, n'existe plus, ou le code PIN est faux. Après cinq codes faux, le lien est bloqué.",
    "This link does not exist, has ended, or the PIN is wrong. After five wrong ones the link is blocked.",
)
_NOT_FOR_YOU = (
    "Ce lien est pour une personne qui lit, pas pour un programme qui s'est identifié.",
    "This link is for a person who reads, not for a program that signed in.",
)
#: Bytes of a form with a PIN.
_MOST = 1000


def passport_routes(serving: Callable[[], Server], base: str) -> APIRouter:
    """Return the routes; ``base`` is the FHIR base that the passport's links begin with."""
    router = APIRouter()

    @router.get("/passport/{secret}", include_in_schema=False)
    async def ask(secret: str, request: Request) -> Response:
        if "authorization" in request.headers:
            return _page(403, _NOT_FOR_YOU)
        link = await serving().store.grants.find(KIND, secret)
        if link is not None and link["pin"]:
            return _page(200, form=True)
        return await _shown(serving(), request, secret, "", base)

    @router.post("/passport/{secret}", include_in_schema=False)
    async def show(secret: str, request: Request) -> Response:
        if "authorization" in request.headers:
            return _page(403, _NOT_FOR_YOU)
        if int(request.headers.get("content-length") or _MOST + 1) > _MOST:
            return _page(413, _WRONG)
        pin = parse_qs((await request.body()).decode(errors="replace")).get("pin", [""])[0]
        return await _shown(serving(), request, secret, pin, base)

    return router


async def _shown(server: Server, request: Request, secret: str, pin: str, base: str) -> Response:
    """Return the passport, read as the citizen would; the same page for all reasons why there is none."""
    link = await opened(server, secret, pin)
    if link is None or not is_accessible(server, await server.store.spaces.read(link["patient"])):
        return _page(404, _WRONG)
    patient = link["patient"]
    caller = Caller(
        Kind.CITIZEN, f"Patient/{patient}", KIND, Scopes((Scope("patient", "*", "rs"),)), patient,
        token_id=link["id"], name=f"passport link {link['id']}",
    )  # fmt: skip
    asked = {"language": link["language"], **({"sections": link["sections"]} if link["sections"] else {})}
    accept = request.headers.get("accept", "")
    wanted = "application/fhir+json" if "application/fhir+json" in accept else "text/html"
    answer = await dispatch(
        server,
        FhirRequest(
            "GET", ("Patient", patient, "$passport"), urlencode(asked), {"accept": wanted}, base=base,
            access=await admit(server, caller, base), client=request.client.host if request.client else "",
            id=uuid4().hex,
        ),
    )  # fmt: skip
    headers = {**_HEADERS, **dict(answer.headers)}
    media = answer.content_type or "application/fhir+json"
    return Response(b"".join(answer.body), answer.status, headers, media)


def _page(status: int, text: tuple[str, str] | None = None, *, form: bool = False) -> Response:
    parts = [f"<p>{_both(text)}</p>"] if text else []
    if form:
        parts.append(
            f'<form method="post"><label for="pin">{_both(_ASKED)}</label>'
            '<input id="pin" name="pin" type="password" autocomplete="off" maxlength="12" required autofocus>'
            f"<button>{_both(_OPEN)}</button></form>"
        )
    body = (
        '<!DOCTYPE html>\n<html lang="fr"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{_TITLE[0]}</title><style>{_STYLE}</style></head>'
        f"<body><h1>{_both(_TITLE)}</h1>{''.join(parts)}</body></html>\n"
    )
    return Response(body, status, _HEADERS, "text/html; charset=utf-8")


def _both(texts: tuple[str, str]) -> str:
    return f'{escape(texts[0])} <span class="other" lang="en">/ {escape(texts[1])}</span>'
