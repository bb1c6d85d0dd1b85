"""Large content as a value: what stands for it in a body, and where bodies hold some.

The base64 text of an attachment is taken out of the JSON; a token of the same alphabet stands in its place, so that the
rest of the body is a resource like any other. Tokens never leave the server: they can't be guessed, and are only
followed where the document lists them. docs/decisions/0043-large-content.md
"""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: What every token begins with; the rest are 192 random bits.
_MARK = "LargeContent"
_TOKEN = re.compile(_MARK.encode() + rb"[A-Za-z0-9+/]{32}")
#: How every base64Binary that can be large is written: Attachment.data, Binary.data, Signature.data. Strings have
#: their quotes escaped, so that no text can look like this.
_FIELD = b'"data":"'
#: Text with line breaks or blanks stays where it is: encoding the bytes would not make it again.
_BASE64 = re.compile(rb"[A-Za-z0-9+/]*={0,2}")


@dataclass(frozen=True, slots=True)
class Content:
    """Content that is kept apart from the body, where ``token`` stands for it.

    ``size`` counts its bytes; ``sha256`` and ``sha1`` are their digests.
    """

    token: str
    size: int
    sha256: bytes
    sha1: bytes

    @property
    def text_size(self) -> int:
        """How long the base64 text is that stands in JSON."""
        return base64_size(self.size)

    def document(self) -> dict[str, Any]:
        """Return what the stored document lists of it."""
        return {"f": self.token, "n": self.size, "h": self.sha256, "s": self.sha1}

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Content:
        """Return the content that a stored document lists."""
        return cls(document["f"], document["n"], document["h"], document["s"])


@dataclass(frozen=True, slots=True)
class Extent:
    """The bytes of a content from ``first`` to ``last``, both included."""

    content: Content
    first: int
    last: int

    @property
    def size(self) -> int:
        """How many bytes these are."""
        return self.last - self.first + 1


def new_token() -> str:
    """Return a token that nobody can guess; it is valid base64."""
    return _MARK + base64.b64encode(secrets.token_bytes(24)).decode()


def base64_size(size: int) -> int:
    """Return how long the base64 text of so many bytes is."""
    return (size + 2) // 3 * 4


def large_texts(body: bytes, smallest: int) -> Iterator[tuple[int, int]]:
    """Yield begin and end of each base64 text in ``body`` that has at least ``smallest`` characters."""
    at = 0
    while (at := body.find(_FIELD, at)) >= 0:
        begin = at + len(_FIELD)
        end = body.find(b'"', begin)
        if end < 0:
            return
        if end - begin >= smallest and _BASE64.fullmatch(body, begin, end):
            yield begin, end
        at = end


def pieces(body: bytes, large: Iterable[Content]) -> Iterator[bytes | Content]:
    """Yield ``body`` in pieces, with the content in the place of each token that ``large`` lists."""
    known = {content.token.encode(): content for content in large}
    at = 0
    for match in _TOKEN.finditer(body) if known else ():
        content = known.get(match[0])
        if content is not None:
            yield body[at : match.start()]
            yield content
            at = match.end()
    yield body[at:]
