"""What the server logs besides requests: one structured line per event, in the same forms as the access log."""

from __future__ import annotations

import logging
from datetime import UTC, datetime

import msgspec


class JsonFormatter(logging.Formatter):
    """One JSON object a line; ``request_id`` where the event belongs to a request."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        row: dict[str, str] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "event": "log",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        request_id = getattr(record, "request_id", None)
        if request_id is not None:
            row["request_id"] = request_id
        if record.exc_info:
            row["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(row).decode()


def configure_logging(level: str, form: str) -> None:
    """Send the events of this process to standard error; ``form`` is json or text."""
    handler = logging.StreamHandler()
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    # These two tell at level info what the access log and the banner tell already.
    for chatty in ("uvicorn", "uvicorn.error", "pymongo"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
