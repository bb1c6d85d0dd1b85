"""TLS of the server itself: which versions and ciphers it speaks, and how it recognises itself.

https://www.rfc-editor.org/rfc/rfc9325 (recommendations for TLS)
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

_VERSIONS = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}
#: For TLS 1.2; those of 1.3 are all good.
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"


def server_context(config: Any, default: Callable[[], ssl.SSLContext], *, minimum: str) -> ssl.SSLContext:  # noqa: ARG001 (uvicorn's signature)
    """Return the context that uvicorn makes of certificate and key, from ``minimum`` (1.2 or 1.3) upwards."""
    context = default()
    context.minimum_version = _VERSIONS[minimum]
    context.set_ciphers(_CIPHERS)
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    return context


def context_problem(certificate: Path, key: Path) -> str:
    """Return why the two files can't be used, "" when they can."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as reason:
        return f"http.tls_cert {certificate} and http.tls_key {key} can't be used together: {reason}."
    return ""


def own_context(certificate: Path) -> ssl.SSLContext:
    """Return the context by which this machine asks its own server, whatever name the certificate has."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _no_passphrase() -> str:
    raise ValueError("the key has a passphrase")
