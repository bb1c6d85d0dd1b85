"""The process: where it listens, its database, its files, its log."""

from __future__ import annotations

import os
import re
import sys
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, SecretStr, model_validator

from fhir_server.settings.section import Section

#: Names by which programs on this machine call the server.
_OWN_HOSTS = ("localhost", "127.0.0.1", "[::1]")


def user_data_folder() -> Path:
    """Return the folder for this user's data: XDG on Linux, the platform's own place on macOS and Windows."""
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fhir-server"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "fhir-server"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "fhir-server"


def _base_path(value: str) -> str:
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", value):
        raise ValueError('must be empty or start with "/" and have no "/" at its end, for example /fhir')
    return value


def _base_url(value: str | None) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.netloc or parts.query or parts.fragment:
        raise ValueError(
            "must be an absolute http or https URL without query, for example https://fhir.example.org/r4"
        )
    return value.rstrip("/")


def _networks(value: str) -> str:
    for name in named(value):
        ip_network(name)
    return value


def named(value: str) -> tuple[str, ...]:
    """Return the parts of a comma list."""
    return tuple(part for part in map(str.strip, value.split(",")) if part)


def _mongodb_uri(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not value.get_secret_value().startswith(("mongodb://", "mongodb+srv://")):
        raise ValueError("must start with mongodb:// or mongodb+srv://")
    return value


def _cursor_key(value: SecretStr | None) -> SecretStr | None:
    if value is not None and len(value.get_secret_value()) < 32:
        raise ValueError('must have at least 32 characters: try "openssl rand -hex 32"')
    return value


class Http(Section):
    """Where the server listens, what it calls itself, and how much it takes from one request."""

    host: str = "127.0.0.1"
    """Address to listen on. 0.0.0.0 listens on all; use http.tls_cert or a TLS proxy before you do that."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    """TCP port to listen on."""
    base_path: Annotated[str, AfterValidator(_base_path)] = "/fhir"
    """Path of the FHIR base below the host; empty for the root."""
    base_url: Annotated[str | None, AfterValidator(_base_url)] = None
    """Absolute public URL of the FHIR base, for links and Location behind a proxy. Without it the request's
    Host is used."""
    tls_cert: Path | None = None
    """File with the server's certificate and its chain (PEM): the server then speaks https itself."""
    tls_key: Path | None = None
    """File with the certificate's private key (PEM), without a passphrase."""
    tls_minimum: Literal["1.2", "1.3"] = "1.2"
    """Oldest version of TLS that is spoken."""
    proxies: Annotated[str, AfterValidator(_networks)] = ""
    """Addresses or networks (comma list) of the proxies in front, such as 10.0.0.0/8. From those alone
    X-Forwarded-For and X-Forwarded-Proto are believed."""
    hosts: Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]+(,\s*[A-Za-z0-9.-]+)*)?$")] = ""
    """Host names (comma list, without ports) that requests may name; others are answered with 400. Empty: any. Those
    of this machine (localhost, 127.0.0.1) always may."""
    metrics_for: Annotated[str, AfterValidator(_networks)] = "127.0.0.0/8, ::1"
    """Addresses or networks (comma list) that may read /metrics; for others it is not there (404)."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Worker processes. One worker keeps one core busy."""
    max_body_mb: Annotated[int, Field(ge=1, le=1024)] = 16
    """Largest request body of a single resource, in MB (10^6 bytes). Larger ones are answered with 413."""
    max_binary_mb: Annotated[int, Field(ge=1, le=65_536)] = 256
    """Largest content of a Binary that is sent as it is, in MB (10^6 bytes): a document, an image, a video. It is
    streamed to the database and takes hardly any memory. A Binary as a resource, in base64, falls under
    http.max_body_mb."""
    max_bundle_mb: Annotated[int, Field(ge=1, le=4096)] = 64
    """Largest request body of a batch or transaction Bundle, in MB (10^6 bytes)."""
    request_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """Seconds that one request may take before it is answered with 503."""
    body_timeout_s: Annotated[float, Field(gt=0, le=3600)] = 60.0
    """Seconds that a request's body may take to arrive before it is answered with 408."""
    binary_timeout_s: Annotated[float, Field(gt=0, le=3000)] = 600.0
    """The same for the content of a Binary that is sent as it is."""
    shutdown_grace_s: Annotated[float, Field(ge=0, le=3600)] = 20.0
    """Seconds that requests in flight get to finish when the server stops."""

    @property
    def allowed_hosts(self) -> frozenset[str]:
        """The host names that requests may name; empty for any."""
        return frozenset((*map(str.lower, named(self.hosts)), *_OWN_HOSTS)) if self.hosts else frozenset()

    @model_validator(mode="after")
    def _has_both_files(self) -> Http:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise ValueError("needs http.tls_cert and http.tls_key, both or none")
        return self


class Mongodb(Section):
    """The database: a replica set of yours, or the embedded one."""

    uri: Annotated[SecretStr | None, AfterValidator(_mongodb_uri)] = None
    """Connection string of a MongoDB replica set (6.0 or newer). Without it an embedded MongoDB is started in
    the data directory."""
    database: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,38}$")] = "fhir"
    """Name of the database."""
    binary: Path | None = None
    """The mongod program for the embedded MongoDB. Without it: mongod on PATH, then the one of the extra
    "embedded"."""
    cache_gb: Annotated[float, Field(ge=0.25, le=1024)] = 0.5
    """Cache of the embedded MongoDB in GB (WiredTiger cache; the process needs about 130 MB more)."""
    timeout_s: Annotated[float, Field(gt=0, le=300)] = 5.0
    """Seconds to wait for the database to be reachable before a request is answered with 503."""
    inline_kb: Annotated[int, Field(ge=1, le=4096)] = 256
    """KB (1024 bytes) up to which the content of an Attachment or Binary is stored inside its resource; larger content
    is stored in chunks of its own, and served back the same."""


class Data(Section):
    """Files of this server on this machine."""

    dir: Path = Field(default_factory=user_data_folder)
    """Data directory: the embedded MongoDB's files, its log and generated keys. Default: the user's data
    directory (Linux: $XDG_DATA_HOME/fhir-server or ~/.local/share/fhir-server)."""


class Log(Section):
    """What the server writes to standard error while it runs."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    """Least severe messages that are written. Each request is one line at level info."""
    format: Literal["json", "text"] = "text"
    """json: one object a line, for a log collector; text: for people."""


class Cursor(Section):
    """Links to further pages carry an encrypted cursor, so that they tell nothing and can't be forged."""

    key: Annotated[SecretStr | None, AfterValidator(_cursor_key)] = None
    """Secret of at least 32 characters that cursors are encrypted with. Give the same one to every server
    behind one address. Without it a key is generated and kept in the data directory."""
