"""One structured line per request, written in batches so that logging costs a request next to nothing.

A line holds no query values and no resource content: addresses carry names, identifiers and codes of patients.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import IO

import msgspec


class AccessLog:
    """Collects lines and writes them at most every 200 ms; ``close`` writes what is left.

    ``form`` is json (one object a line) or text.
    """

    def __init__(self, form: str = "json", stream: IO[str] | None = None) -> None:
        self._stream = stream or sys.stderr
        self._format: Callable[[dict[str, object]], str] = _json_line if form == "json" else _text_line
        self._rows: list[dict[str, object]] = []

    def add(
        self, *, request_id: str, method: str, interaction: str, type_: str, status: int, ms: float, size: int
    ) -> None:
        """Note one finished request."""
        if not self._rows:
            asyncio.get_running_loop().call_later(0.2, self.close)
        self._rows.append(
            {
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "event": "request",
                "request_id": request_id,
                "method": method,
                "interaction": interaction,
                "type": type_,
                "status": status,
                "ms": round(ms, 2),
                "bytes": size,
            }
        )

    def close(self) -> None:
        """Write all lines that are waiting."""
        rows, self._rows = self._rows, []
        if rows:
            self._stream.write("".join(self._format(row) for row in rows))
            self._stream.flush()


def _json_line(row: dict[str, object]) -> str:
    return msgspec.json.encode(row).decode() + "\n"


def _text_line(row: dict[str, object]) -> str:
    return (
        f"{row['time']} {row['method']} {row['interaction'] or '-'} {row['type'] or '-'} {row['status']} "
        f"{row['ms']} ms {row['bytes']} B {row['request_id']}\n"
    )
