"""The composition root: reads the settings, builds every part once, returns the ASGI application.

One worker process runs one application. The FHIR API is a thin ASGI app of its own; FastAPI hosts what stands beside
it (health, metrics, OpenAPI). docs/decisions/0003-web-stack.md has the figures.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from fhir_server import __version__
from fhir_server.access.audit_chain import Signer
from fhir_server.access.discovery import SmartServer, security, smart_configuration
from fhir_server.access.issuer import Issuer
from fhir_server.datatypes.json_format import encode
from fhir_server.datatypes.xml_format import XmlFormat
from fhir_server.definitions import Definitions
from fhir_server.definitions.packages import PackageStore, search_parameters
from fhir_server.interactions.capabilities import statement
from fhir_server.interactions.content import store_definitions, store_examples
from fhir_server.interactions.exchange import Policy, Server
from fhir_server.interactions.imported_code_systems import ImportedCodeSystems
from fhir_server.interactions.router import ROUTES
from fhir_server.interactions.sandbox import START, Sandbox, milliseconds
from fhir_server.interactions.steps.identity import id_source
from fhir_server.interactions.steps.links import Links
from fhir_server.interactions.steps.prepare import instant
from fhir_server.interactions.stored_definitions import StoredDefinitions
from fhir_server.interactions.stored_parameters import StoredParameters
from fhir_server.operations.catalogue import by_name, offered
from fhir_server.operations.expunge import follow as follow_purges
from fhir_server.operations.space_opening import follow as follow_spaces
from fhir_server.rest.access_log import AccessLog
from fhir_server.rest.authentication import Authenticator, Trusted, trusted
from fhir_server.rest.cors import of_list
from fhir_server.rest.gatekeeper import Authenticates, Gatekeeper
from fhir_server.rest.gateway import Edge, Gateway
from fhir_server.rest.health import health_routes
from fhir_server.rest.metrics import Metrics
from fhir_server.rest.oauth_endpoints import Endpoints, with_clients
from fhir_server.rest.oauth_server import AuthorizationServer, OwnKeys
from fhir_server.rest.oauth_server import announced as described_server
from fhir_server.rest.openapi import openapi
from fhir_server.rest.passport_pages import passport_routes
from fhir_server.rest.rate_limits import RateLimit
from fhir_server.rest.security_headers import guarded, headers_for
from fhir_server.search import Cursors, Indexer, Registry, indexes
from fhir_server.settings import (
    Settings,
    audit_key,
    cursor_key,
    is_audited,
    load,
    packages_folder,
    rate,
)
from fhir_server.settings.policies import auth_url, own_base, policy_of, validation_policy
from fhir_server.settings.serving import named
from fhir_server.store import Store
from fhir_server.store.auditing import AuditLog
from fhir_server.store.catalogue import REFERENCES
from fhir_server.store.embedded import EmbeddedMongod
from fhir_server.terminology import CodeSets
from fhir_server.validation import Validator

_LOG = logging.getLogger("fhir_server")

Asgi = Callable[..., Awaitable[None]]

#: Types whose validators and extractors are compiled at start-up: what a health space is asked for first.
PRELOADED = (
    "Patient",
    "Observation",
    "DocumentReference",
    "Consent",
    "RelatedPerson",
    "ExplanationOfBenefit",
)


def create_app(settings: Settings | None = None, authenticator: Authenticates | None = None) -> Application:
    """Return the ASGI application; its lifespan connects to MongoDB (or starts the embedded one) and closes it.

    ``authenticator`` finds out who asks, in place of the one that the settings describe.
    """
    return Application(settings or load(), authenticator)


def now() -> int:
    """Return the time as milliseconds UTC."""
    return time.time_ns() // 1_000_000


class Application(FastAPI):
    """FastAPI with the FHIR API in front: requests below the FHIR base skip FastAPI's routing and middleware."""

    def __init__(self, settings: Settings, authenticator: Authenticates | None = None) -> None:
        self._own_authenticator = authenticator
        self.settings = settings
        self.metrics = Metrics()
        self._prefix = settings.http.base_path
        self._below = settings.http.base_path + "/"
        self._headers = headers_for(is_https=own_base(settings).startswith("https:"))
        proxies = named(settings.http.proxies)
        inner: Any = self._route  # uvicorn names every kind of message in its types
        self._entry: Asgi = ProxyHeadersMiddleware(inner, list(proxies)) if proxies else inner
        self._gateway: Asgi | None = None
        self._server: Server | None = None
        self.authenticator: Authenticator | None = None
        self._capabilities: tuple[int, bytes] | None = None
        super().__init__(
            title="FHIR R4 server of a digital health space",
            version=__version__,
            lifespan=_lifespan,
            docs_url=None,
            redoc_url=None,
        )
        self.include_router(
            health_routes(self._is_ready, self._issuers, self.metrics, settings.http.metrics_for)
        )
        self.include_router(passport_routes(self.serving, own_base(settings)))

    async def __call__(
        self,
        scope: MutableMapping[str, Any],
        receive: Callable[[], Awaitable[MutableMapping[str, Any]]],
        send: Callable[[MutableMapping[str, Any]], Awaitable[None]],
    ) -> None:
        """Answer a request, whose sender is the one that a trusted proxy names."""
        await self._entry(scope, receive, send)

    async def _route(self, scope: MutableMapping[str, Any], receive: Any, send: Any) -> None:
        """Hand a request below the FHIR base to the FHIR API, and all others to FastAPI."""
        if scope["type"] == "http" and self._gateway is not None:
            path = scope["path"]
            if path.startswith(self._below) or path == self._prefix:
                await self._gateway(scope, receive, send)
                return
        await super().__call__(scope, receive, guarded(send, self._headers))

    def openapi(self) -> dict[str, Any]:
        """Return the OpenAPI document of the FHIR API and the pages beside it."""
        if self.openapi_schema is None:
            pages = super().openapi()
            described = statement(
                _interactions(),
                self.serving().registry,
                self.serving().policy,
                instant(0),
                offered(self.serving().policy),
            )
            self.openapi_schema = openapi(described, self._prefix, pages, offered(self.serving().policy))
        return self.openapi_schema

    def serve(self, server: Server, gatekeeper: Gatekeeper | None = None) -> None:
        """Open the FHIR API on these parts; without a gatekeeper nobody signs in."""
        http = self.settings.http
        edge = Edge(
            prefix=http.base_path,
            base_url=own_base(self.settings) if self.settings.auth.is_on else http.base_url,
            max_body=http.max_body_mb * 1_000_000,
            max_binary=http.max_binary_mb * 1_000_000,
            max_bundle=http.max_bundle_mb * 1_000_000,
            request_timeout=http.request_timeout_s,
            body_timeout=http.body_timeout_s,
            binary_timeout=http.binary_timeout_s,
            hosts=http.allowed_hosts,
            headers=self._headers,
        )
        log = AccessLog(self.settings.log.format) if self.settings.log.level in ("debug", "info") else None
        server = self._server = replace(server, capabilities=self.capabilities)
        self._gateway = Gateway(server, edge, self.metrics, log, gatekeeper)

    async def gatekeeper(self, server: Server) -> Gatekeeper | None:
        """Return what stands before the API when callers sign in; raise ValueError if the issuers can't be used."""
        auth, limits = self.settings.auth, self.settings.limits
        requests = rate(self.settings, limits.requests, "12000/minute")
        anonymous = rate(self.settings, limits.anonymous, "3000/minute")
        rates = (
            RateLimit("requests", requests) if requests else None,
            RateLimit("requests", anonymous) if anonymous else None,
        )
        if self._own_authenticator is not None:
            return Gatekeeper(self._own_authenticator, None, of_list(auth.allowed_origins), *rates)
        if not auth.is_on:
            if not auth.allowed_origins and not any(rates):
                return None
            return Gatekeeper(None, None, of_list(auth.allowed_origins), *rates)
        base, types = own_base(self.settings), server.definitions.types.resource_type_names
        believed, allows = trusted(auth.issuers), of_list(auth.allowed_origins)
        if auth.dev_server:
            own = AuthorizationServer(server.store.grants, auth_url(self.settings), base, types)
            await own.start()
            believed.append(Trusted(Issuer(own.url, {}), OwnKeys(own), own.is_live, own.describe))
            allows = with_clients(allows, own)
            self.include_router(Endpoints(own, self.serving, allows).router())
            _LOG.warning("the development authorization server is on: anybody can sign in as anybody")
        self.authenticator = Authenticator(believed, base, types)
        smart = announced(self.settings)
        configuration = smart and encode(smart_configuration(*smart))
        return Gatekeeper(self.authenticator, configuration, allows, *rates)

    def describe(self) -> None:
        """Make the CapabilityStatement and the OpenAPI document anew: the search parameters have changed."""
        self._capabilities = None
        self.openapi_schema = None

    def capabilities(self) -> bytes:
        """Return the CapabilityStatement; it is made anew when definitions or search parameters have changed."""
        server = self.serving()
        generation = server.definitions.generation
        if self._capabilities is None or self._capabilities[0] != generation:
            self._capabilities = generation, described(server.registry, server.policy, server.definitions)
        return self._capabilities[1]

    def serving(self) -> Server:
        """Return the parts that are being served; raise RuntimeError before start-up."""
        if self._server is None:
            raise RuntimeError("the application has not been started")
        return self._server

    def _issuers(self) -> dict[str, str]:
        return self.authenticator.health() if self.authenticator is not None else {}

    async def _is_ready(self) -> bool:
        return self._server is not None and await self._server.store.ping()


def _settle_down() -> None:
    """Take definitions and compiled code out of the garbage collector's sight: they live as long as the process.

    Else each full collection looks at all of them, for tenths of a second under load. Where the application runs in a
    thread of another program (tests) that program's garbage would never be collected.
    """
    if threading.current_thread() is threading.main_thread():
        gc.collect()
        gc.freeze()


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    assert isinstance(app, Application)
    settings = app.settings
    embedded = None
    if settings.mongodb.uri is None:
        # From the main thread: the parent-death signal is bound to the thread that forks.
        embedded = EmbeddedMongod.start(
            settings.data.dir / "mongodb", binary=settings.mongodb.binary, cache_gb=settings.mongodb.cache_gb
        )
        uri = embedded.uri
    else:
        uri = settings.mongodb.uri.get_secret_value()
    definitions = Definitions()
    packaged = load_packages(settings, definitions)
    registry = Registry(definitions, without_content=settings.search.types_without_content)
    kept = (REFERENCES,) if settings.integrity.references in ("delete", "both") else ()
    try:
        store = await Store.connect(
            uri,
            database=settings.mongodb.database,
            indexes=lambda type_: (*indexes(type_, registry), *kept),
            timeout_s=settings.mongodb.timeout_s,
            time_limit_ms=settings.search.time_limit_ms,
            inline_bytes=settings.mongodb.inline_kb * 1024,
        )
        try:
            stored = StoredDefinitions(store, definitions)
            await stored.start()
            server = await build(settings, store, definitions, registry)
            app.serve(server, await app.gatekeeper(server))
            parameters = StoredParameters(app.serving(), own_base(settings), app.describe, packaged)
            await parameters.look()
            imported = ImportedCodeSystems(store, app.serving().code_sets)
            await imported.look()
            audit = app.serving().audit
            following = [
                asyncio.create_task(work)
                for work in (
                    stored.follow(),
                    parameters.follow(),
                    imported.follow(),
                    follow_purges(app.serving()),
                    follow_spaces(app.serving()),
                    store.contents.follow(),
                    *((audit.follow(),) if audit is not None else ()),
                    *([app.authenticator.prepare()] if app.authenticator is not None else ()),
                )
            ]
            try:
                if settings.content.load:
                    written = await store_definitions(app.serving(), offered(app.serving().policy))
                    _LOG.info("%d definitions of the health space were stored", written)
                if settings.examples.load:
                    await store_examples(app.serving())
                if (own := app.serving().sandbox) is not None:
                    own.afterwards.append(stored.renew)
                    await store.snapshots.take(START)
                _settle_down()
                yield
            finally:
                for task in following:
                    task.cancel()
                    with suppress(asyncio.CancelledError):
                        await task
                if audit is not None:
                    await audit.close()
        finally:
            await store.close()
    finally:
        if embedded is not None:
            await asyncio.to_thread(embedded.stop)


def sandbox(settings: Settings) -> Sandbox | None:
    """Return what makes the server a sandbox; None when it is none."""
    chosen = settings.sandbox
    start = milliseconds(chosen.clock) if chosen.clock else None
    return Sandbox(start, chosen.ids or "") if chosen.on else None


def announced(settings: Settings) -> tuple[str, SmartServer] | None:
    """Return the name and the addresses of the authorization server that apps are sent to, if there is one."""
    auth = settings.auth
    if auth.dev_server:
        return auth_url(settings), described_server(auth_url(settings))
    if auth.smart is None or not auth.issuers:
        return None
    return auth.issuers[0].issuer, auth.smart


def load_packages(settings: Settings, definitions: Definitions) -> list[dict[str, Any]]:
    """Install the packages that the settings name, load all that are installed, and return their SearchParameters."""
    packages = PackageStore(packages_folder(settings))
    present = {package.label for package in packages.installed()}
    for source in filter(None, (s.strip() for s in (settings.packages.install or "").split(","))):
        if source not in present:
            packages.install(source)
    loaded = packages.load(definitions)
    for package in loaded:
        _LOG.info("package %s is loaded", package.label)
    return search_parameters(loaded)


async def build(settings: Settings, store: Store, definitions: Definitions, registry: Registry) -> Server:
    """Return the parts that handlers work with, on an open store."""
    smart = announced(settings)
    policy = policy_of(settings, smart and security(smart[1]))
    code_sets = CodeSets(definitions)
    validator = Validator(
        definitions,
        code_sets,
        as_warnings=settings.validation.warning_rules,
        policy=validation_policy(settings),
    )
    validator.preload(PRELOADED)
    return Server(
        store=store,
        definitions=definitions,
        xml=XmlFormat(definitions.types),
        validator=validator,
        code_sets=code_sets,
        registry=registry,
        indexer=Indexer(registry),
        cursors=Cursors([cursor_key(settings)]),
        clock=now,
        new_id=id_source(await store.secret("id-bucket"), now),
        policy=policy,
        links=Links(definitions.types),
        capabilities=lambda: described(registry, policy, definitions),
        operations=by_name(offered(policy)),
        audit=await _audit(settings, store) if is_audited(settings) else None,
        sandbox=sandbox(settings),
    )


async def _audit(settings: Settings, store: Store) -> AuditLog:
    log = store.audit_log(Signer(audit_key(settings)), settings.audit.checkpoint_file)
    await log.start()
    return log


def described(registry: Registry, policy: Policy, definitions: Definitions) -> bytes:
    """Return the CapabilityStatement of what is offered now."""
    profiles = definitions.all_of("StructureDefinition")
    return encode(
        statement(_interactions(), registry, policy, instant(now()), offered(policy), structures=profiles)
    )


def _interactions() -> set[str]:
    return {route.interaction for route in ROUTES}
