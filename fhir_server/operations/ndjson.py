"""NDJSON bodies: lines out of a stream in bounded memory, and outcomes line by line.

https://github.com/ndjson/ndjson-spec
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field

from fhir_server.datatypes.json_format import encode
from fhir_server.outcome import FhirError, Issue, error

#: The content type of answers.
CONTENT_TYPE = "application/fhir+ndjson"
_ACCEPTED = frozenset(
    ("application/fhir+ndjson", "application/ndjson", "application/x-ndjson", "text/ndjson")
)
#: A line that is longer is refused, and read over.
LONGEST_LINE = 1_000_000


@dataclass(slots=True)
class Outcome:
    """What became of one line: an HTTP status, the version it stands in, and the issues with it."""

    line: int
    status: int = 0
    location: str = ""
    issues: tuple[Issue, ...] = field(default=())

    def encoded(self) -> bytes:
        """Return the line of the answer."""
        told: dict[str, object] = {"line": self.line, "status": self.status}
        if self.location:
            told["location"] = self.location
        if self.issues:
            told["issue"] = [issue.as_json() for issue in self.issues]
        return encode(told) + b"\n"

    def refuse(self, problem: FhirError, status: int | None = None) -> None:
        """Note why the line was not taken."""
        self.status, self.issues = status or problem.status, problem.issues


def check_content_type(headers: Mapping[str, str]) -> None:
    """Raise FhirError 415 unless the body is said to be NDJSON."""
    media = headers.get("content-type", CONTENT_TYPE).partition(";")[0].strip().lower()
    if media not in _ACCEPTED:
        raise error(
            "not-supported",
            f"This operation takes NDJSON, one resource a line: send it as {CONTENT_TYPE}.",
            status=415,
            headers={"Accept-Post": ", ".join(sorted(_ACCEPTED))},
        )


async def chunks(
    parts: AsyncIterator[bytes], size: int, most: int
) -> AsyncIterator[list[tuple[int, bytes | FhirError]]]:
    """Yield the lines with their numbers from 1, ``size`` at a time; empty lines count and are left out.

    In place of a line that is too long, and of the first one behind ``most``, stands what is wrong with it. When the
    parts end with a FhirError the lines before it are yielded first.
    """
    chunk: list[tuple[int, bytes | FhirError]] = []
    number = 0
    try:
        async for line in _lines(parts):
            number += 1
            if number > most + 1:
                continue  # read over, so that the client gets its answer
            if number == most + 1:
                chunk.append((number, _too_many(most)))
            elif isinstance(line, FhirError) or line.strip():
                chunk.append((number, line))
            if len(chunk) == size:
                yield chunk
                chunk = []
    except FhirError:
        if chunk:
            yield chunk
        raise
    if chunk:
        yield chunk


async def _lines(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes | FhirError]:
    rest = b""
    is_skipping = False
    async for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            if is_skipping or len(line) > LONGEST_LINE:
                yield _too_long()
            else:
                yield line
            is_skipping = False
        if len(rest) > LONGEST_LINE:
            rest, is_skipping = b"", True
    if is_skipping:
        yield _too_long()
    elif rest:
        yield rest


def _too_long() -> FhirError:
    return error("too-long", f"A line has {LONGEST_LINE:,} bytes at most.")


def _too_many(most: int) -> FhirError:
    return error(
        "too-long", f"One request has {most:,} lines at most; send the lines from this one on as another one."
    )
