"""What goes wrong in OAuth 2: https://www.rfc-editor.org/rfc/rfc6749#section-5.2."""

from __future__ import annotations


class OAuthError(Exception):
    """A request is refused; ``code`` is one of OAuth's, the text is for developers."""

    def __init__(self, code: str, description: str, status: int = 400) -> None:
        super().__init__(description)
        self.code, self.description, self.status = code, description, status

    def as_json(self) -> dict[str, str]:
        """Return the body of the answer."""
        return {"error": self.code, "error_description": self.description}


def single(pairs: list[tuple[str, str]]) -> dict[str, str]:
    """Return parameters by name, empty ones left out; raise OAuthError when one is there twice (RFC 6749, 3.1)."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise OAuthError("invalid_request", "A parameter is given more than once.")
    return {name: value for name, value in found.items() if value}
