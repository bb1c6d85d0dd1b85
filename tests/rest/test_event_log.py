"""The event log: one structured line per event."""

import json
import logging
import sys

from fhir_server.rest.event_log import JsonFormatter


def record(message, *args, **more):
    made = logging.LogRecord(
        "fhir_server", logging.ERROR, "f.py", 1, message, args, more.pop("exc_info", None)
    )
    made.__dict__.update(more)
    return made


def test_a_line_is_one_json_object():
    row = json.loads(JsonFormatter().format(record("%s of\n%s", 1, 2, request_id="r-1")))
    assert row.pop("time").endswith("+00:00")
    assert row == {
        "event": "log",
        "level": "error",
        "logger": "fhir_server",
        "message": "1 of\n2",
        "request_id": "r-1",
    }


def test_an_exception_stays_on_the_line():
    try:
        int("broken")
    except ValueError:
        line = JsonFormatter().format(record("failed", exc_info=sys.exc_info()))
    assert "\n" not in line
    assert json.loads(line)["exception"].endswith("'broken'")
