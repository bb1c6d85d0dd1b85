"""Takes secrets out of what a report shows."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

MASK = "•••"
#: Headers whose value is never shown.
_SECRET_HEADERS = frozenset(
    {"authorization", "proxy-authorization", "cookie", "set-cookie", "x-api-key", "apikey", "x-auth-token"}
)
_NAMED = re.compile(
    r"""((?:access_token|refresh_token|id_token|client_secret|client_assertion|password)["']?\s*[=:]\s*["']?)"""
    r"""[^&\s"'<>]+""",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\b(Bearer|Basic) [A-Za-z0-9+/=._~-]{6,}")


class Mask:
    """Masks headers that hold secrets, values named as secrets, and the secrets of the run wherever they stand."""

    def __init__(self, secrets: Callable[[], tuple[str, ...]]) -> None:
        self._secrets = secrets

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        for secret in self._secrets():
            text = text.replace(secret, MASK)
        return _BEARER.sub(rf"\1 {MASK}", _NAMED.sub(rf"\1{MASK}", text))

    def headers(self, headers: Mapping[str, str]) -> dict[str, str]:
        """Return headers without secrets."""
        return {n: MASK if n.lower() in _SECRET_HEADERS else self.text(v) for n, v in headers.items()}
