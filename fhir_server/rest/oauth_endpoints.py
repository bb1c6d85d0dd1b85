"""The HTTP side of the development authorization server, at /auth.

https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html, https://openid.net/specs/openid-connect-discovery-1_0.html
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Awaitable, Callable, Mapping
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse

from fhir_server.access.oauth.authorization import (
    AuthorizationRequest,
    answered,
    authorization_request,
    redirect_of,
)
from fhir_server.access.oauth.clients import GRANT_TYPES, Registration
from fhir_server.access.oauth.errors import OAuthError, single
from fhir_server.access.oauth.issuing import ALGORITHM, Grant
from fhir_server.interactions.exchange import Server
from fhir_server.messages import chosen
from fhir_server.rest.cors import Allows, permission, shared
from fhir_server.rest.oauth_pages import (
    SIMULATED,
    STYLE,
    consent_page,
    error_page,
    launch_page,
    page_headers,
)
from fhir_server.rest.oauth_server import AuthorizationServer, announced
from fhir_server.rest.personas import persona, personas

_MAX_BODY = 65_536
#: Seconds that a consent page, and a launch, may be left open.
_PATIENCE = 600
_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}
_FOR_ALL = {"Access-Control-Allow-Origin": "*", "Cache-Control": "public, max-age=300"}

Answer = Callable[[Request], Awaitable[Response]]


class Endpoints:
    """``serving`` gives the FHIR server, whose people are the personas; ``allows`` knows origins of web pages."""

    def __init__(self, auth: AuthorizationServer, serving: Callable[[], Server], allows: Allows) -> None:
        self._auth, self._serving, self._allows = auth, serving, allows
        self._secure = auth.url.startswith("https:")
        self._cookie = "__Host-fhir-auth" if self._secure else "fhir-auth"

    def router(self) -> APIRouter:
        """Return the routes."""
        router = APIRouter(prefix="/auth", include_in_schema=False)
        rows: tuple[tuple[str, tuple[str, ...], Answer], ...] = (
            ("/.well-known/openid-configuration", ("GET",), self._configuration),
            ("/jwks", ("GET",), self._jwks),
            ("/style.css", ("GET",), self._style),
            ("/authorize", ("GET", "POST"), self._page(self._authorize)),
            ("/consent", ("POST",), self._page(self._consent)),
            ("/launch", ("GET",), self._page(self._launches)),
            ("/launch", ("POST",), self._page(self._launch)),
            ("/token", ("POST",), self._api(self._token)),
            ("/introspect", ("POST",), self._api(self._introspect)),
            ("/revoke", ("POST",), self._api(self._revoke)),
            ("/register", ("POST",), self._api(self._register)),
            ("/register/{client_id}", ("DELETE",), self._api(self._disable)),
        )
        for path, methods, answer in rows:
            router.add_api_route(path, answer, methods=list(methods), response_model=None)
            if "GET" not in methods:
                router.add_api_route(path, self._preflight, methods=["OPTIONS"], response_model=None)
        return router

    # What everybody may know

    async def _configuration(self, request: Request) -> Response:  # noqa: ARG002 (as every route)
        auth, found = self._auth, announced(self._auth.url)
        document = {
            "issuer": auth.url,
            "authorization_endpoint": found.authorization_endpoint,
            "token_endpoint": found.token_endpoint,
            "jwks_uri": found.jwks_uri,
            "registration_endpoint": found.registration_endpoint,
            "introspection_endpoint": found.introspection_endpoint,
            "revocation_endpoint": found.revocation_endpoint,
            "scopes_supported": list(found.scopes),
            "response_types_supported": ["code"],
            "grant_types_supported": list(GRANT_TYPES),
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [ALGORITHM],
            "token_endpoint_auth_methods_supported": list(found.token_endpoint_auth_methods),
            "token_endpoint_auth_signing_alg_values_supported": list(found.token_endpoint_auth_signing_algs),
            "code_challenge_methods_supported": ["S256"],
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,
        }
        return JSONResponse(document, headers=_FOR_ALL)

    async def _jwks(self, request: Request) -> Response:  # noqa: ARG002 (as every route)
        made = self._auth.key_set.as_dict(private=False)
        return JSONResponse(
            {"keys": [{**key, "use": "sig", "alg": ALGORITHM} for key in made["keys"]]}, headers=_FOR_ALL
        )

    async def _style(self, request: Request) -> Response:  # noqa: ARG002 (as every route)
        return Response(STYLE, media_type="text/css", headers={"X-Content-Type-Options": "nosniff"})

    # Pages

    async def _authorize(self, request: Request) -> Response:
        pairs = (
            parse_qsl(request.url.query, keep_blank_values=True)
            if request.method == "GET"
            else await _form_pairs(request)
        )
        parameters = single(pairs)
        client = await self._auth.client(parameters.get("client_id"))
        redirect = redirect_of(parameters, client)
        assert client is not None
        try:
            asked = authorization_request(
                parameters, client, redirect, self._auth.base, tuple(self._auth.types)
            )
            launch = await self._context(asked)
        except OAuthError as problem:
            return _onwards(redirect, parameters.get("state"), problem)
        return await self._ask(request, client, asked, launch)

    async def _context(self, asked: AuthorizationRequest) -> Mapping[str, str]:
        """Return the context of a launch; raise OAuthError when there is none of that name for the client."""
        if not asked.launch:
            return {}
        found = await self._auth.grants.find("launch", asked.launch)
        if found is None or found["client_id"] != asked.client_id:
            raise OAuthError("invalid_request", "The launch is unknown, or has ended.")
        return {name: found[name] for name in ("patient", "encounter", "user")}

    async def _ask(
        self,
        request: Request,
        client: Registration,
        asked: AuthorizationRequest,
        launch: Mapping[str, str],
    ) -> Response:
        pending, browser = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
        fields = {
            "asked": {name: getattr(asked, name) for name in AuthorizationRequest.__dataclass_fields__},
            "launch": dict(launch),
            "browser": hashlib.sha256(browser.encode()).hexdigest(),
        }
        await self._auth.grants.put("pending", pending, fields, _PATIENCE)
        page = consent_page(
            _language(request),
            client,
            pending,
            asked.scopes,
            await personas(self._serving()),
            user=launch.get("user", ""),
            patient=launch.get("patient", ""),
            types=tuple(self._auth.types),
        )
        response = HTMLResponse(page, headers=page_headers(asked.redirect_uri))
        response.set_cookie(
            self._cookie,
            browser,
            max_age=_PATIENCE,
            secure=self._secure,
            httponly=True,
            samesite="lax",
            path="/",
        )
        return response

    async def _consent(self, request: Request) -> Response:
        """Take the answer of a consent page: once, and from the browser that got the page."""
        pairs = await _form_pairs(request)
        form = dict(pairs)
        pending = await self._auth.grants.find("pending", form.get("request", ""))
        browser = hashlib.sha256(request.cookies.get(self._cookie, "").encode()).hexdigest()
        if pending is None or not hmac.compare_digest(pending["browser"], browser):
            raise OAuthError(
                "access_denied", "This page is not, or no longer, yours: start again in the app.", 403
            )
        taken = await self._auth.grants.take("pending", form["request"])
        if taken is None or taken["used"]:
            raise OAuthError("access_denied", "This page was answered already: start again in the app.", 403)
        asked = AuthorizationRequest(**(taken["asked"] | {"scopes": tuple(taken["asked"]["scopes"])}))
        try:
            chosen_scopes = tuple(word for name, word in pairs if name == "scope" and word in asked.scopes)
            grant = await self._granted(form, asked, taken["launch"], chosen_scopes)
        except OAuthError as problem:
            return _onwards(asked.redirect_uri, asked.state, problem)
        code = await self._auth.code_for(asked, grant)
        return _redirect(answered(asked.redirect_uri, asked.state, code=code, iss=self._auth.url))

    async def _granted(
        self,
        form: Mapping[str, str],
        asked: AuthorizationRequest,
        launch: Mapping[str, str],
        scopes: tuple[str, ...],
    ) -> Grant:
        """Return what the user agreed to; raise OAuthError when that is nothing."""
        if form.get("simulate") in SIMULATED:
            raise OAuthError(form["simulate"], "As you asked for on the page.")
        who = await persona(self._serving(), launch.get("user") or form.get("persona", ""))
        if form.get("action") != "allow" or not scopes or who is None:
            raise OAuthError("access_denied", "The user did not agree.")
        own = who.id if who.type == "Patient" else ""
        patient = launch.get("patient") or own or form.get("patient", "")
        if patient and await persona(self._serving(), f"Patient/{patient}") is None:
            raise OAuthError("access_denied", "There is no such patient.")
        wants = any(word in ("launch", "launch/patient") or word.startswith("patient/") for word in scopes)
        return Grant(
            secrets.token_urlsafe(16),
            asked.client_id,
            scopes,
            user=who.reference,
            patient=patient if wants else "",
            encounter=launch.get("encounter", "") if wants else "",
            organization=who.organization,
            profession=who.profession,
            nonce=asked.nonce,
        )

    async def _launches(self, request: Request) -> Response:
        apps = [client for client in await self._auth.clients() if client.launch_uri]
        page = launch_page(_language(request), apps, await personas(self._serving()))
        return HTMLResponse(page, headers=page_headers(*(app.launch_uri for app in apps)))

    async def _launch(self, request: Request) -> Response:
        """Start an app as an EHR does: https://hl7.org/fhir/smart-app-launch/STU2.2/app-launch.html#launch-app-ehr-launch."""
        form = single(await _form_pairs(request))
        client = await self._auth.client(form.get("client_id"))
        if client is None or not client.enabled or not client.launch_uri:
            raise OAuthError("invalid_request", "This app is not registered with a launch_uri.")
        launch = secrets.token_urlsafe(24)
        fields = {name: form.get(name, "") for name in ("patient", "encounter", "user")}
        await self._auth.grants.put("launch", launch, {**fields, "client_id": client.client_id}, _PATIENCE)
        return _redirect(answered(client.launch_uri, None, iss=self._auth.base, launch=launch))

    # For programs

    async def _token(self, request: Request) -> Response:
        form = single(await _form_pairs(request))
        if "grant_type" not in form:
            raise OAuthError("invalid_request", "grant_type is required.")
        if form["grant_type"] not in GRANT_TYPES:
            raise OAuthError("unsupported_grant_type", f"grant_type is one of {', '.join(GRANT_TYPES)}.")
        client = await self._auth.authenticated(request.headers.get("authorization"), form)
        return JSONResponse(await self._auth.token(client, form), headers=_NO_STORE)

    async def _introspect(self, request: Request) -> Response:
        form = single(await _form_pairs(request))
        authorization = request.headers.get("authorization")
        if authorization is None and "client_assertion" not in form:
            raise OAuthError("invalid_client", "Prove who the client is.", status=401)
        client = await self._auth.authenticated(authorization, form)
        if not client.may_introspect:
            raise OAuthError("access_denied", "The client is not registered with may_introspect.", status=403)
        return JSONResponse(await self._auth.introspected(form.get("token", "")), headers=_NO_STORE)

    async def _revoke(self, request: Request) -> Response:
        form = single(await _form_pairs(request))
        client = await self._auth.authenticated(request.headers.get("authorization"), form)
        if "token" not in form:
            raise OAuthError("invalid_request", "token is required.")
        await self._auth.revoke(form["token"], client)
        return Response(headers=_NO_STORE)

    async def _register(self, request: Request) -> Response:
        try:
            document = json.loads(await _body(request))
        except (ValueError, RecursionError) as problem:
            raise OAuthError("invalid_client_metadata", "The body is no JSON.") from problem
        return JSONResponse(await self._auth.register(document), status_code=201, headers=_NO_STORE)

    async def _disable(self, request: Request) -> Response:
        scheme, _, manager = request.headers.get("authorization", "").partition(" ")
        client_id = request.path_params["client_id"]
        if scheme.lower() != "bearer" or not await self._auth.disable(client_id, manager):
            raise OAuthError("invalid_token", "The registration access token is wrong.", status=401)
        return Response(status_code=204)

    async def _preflight(self, request: Request) -> Response:
        return Response(status_code=204, headers=dict(permission(await self._sharing(request))))

    async def _sharing(self, request: Request) -> tuple[tuple[str, str], ...]:
        return await shared({k.lower(): v for k, v in request.headers.items()}, self._allows)

    def _page(self, answer: Answer) -> Answer:
        """Return a route whose errors are shown to the person at the browser."""

        async def route(request: Request) -> Response:
            try:
                return await answer(request)
            except OAuthError as problem:
                page = error_page(_language(request), problem.description)
                return HTMLResponse(page, problem.status, headers=page_headers())

        return route

    def _api(self, answer: Answer) -> Answer:
        """Return a route whose errors are OAuth's JSON, and which pages of registered origins may call."""

        async def route(request: Request) -> Response:
            try:
                response = await answer(request)
            except OAuthError as problem:
                response = JSONResponse(problem.as_json(), problem.status, headers=_NO_STORE)
                if problem.status == 401:
                    response.headers["WWW-Authenticate"] = 'Basic realm="fhir-server"'
            for name, value in await self._sharing(request):
                response.headers[name] = value
            return response

        return route


def _onwards(redirect: str, state: str | None, problem: OAuthError) -> Response:
    """Send an error to the app."""
    return _redirect(answered(redirect, state, error=problem.code, error_description=problem.description))


def _redirect(address: str) -> Response:
    return RedirectResponse(address, 303, headers={**_NO_STORE, "Referrer-Policy": "no-referrer"})


def _language(request: Request) -> str:
    return chosen(request.headers.get("accept-language", ""))


async def _form_pairs(request: Request) -> list[tuple[str, str]]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "The body is a form: application/x-www-form-urlencoded.")
    try:
        return parse_qsl((await _body(request)).decode(), keep_blank_values=True, max_num_fields=200)
    except ValueError as problem:
        raise OAuthError("invalid_request", "The form can't be read.") from problem


async def _body(request: Request) -> bytes:
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > _MAX_BODY:
            raise OAuthError("invalid_request", f"The body is larger than {_MAX_BODY} bytes.", status=413)
    return found


def with_clients(allows: Allows, auth: AuthorizationServer) -> Allows:
    """Return the rule that also lets the web pages of registered clients in."""

    async def also(origin: str) -> bool:
        if await allows(origin):
            return True
        return any(origin in client.origins for client in await auth.clients())

    return also
