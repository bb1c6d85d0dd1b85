"""The access log: one structured line per request, without query values."""

import asyncio
import io
import json

from fhir_server.rest.access_log import AccessLog

ROW = {
    "request_id": "r-1", "method": "GET", "interaction": "search-type", "type_": "Patient", "status": 200,
    "ms": 1.234, "size": 99,
}  # fmt: skip


async def test_lines_are_written_soon_and_in_order():
    stream = io.StringIO()
    log = AccessLog("json", stream)
    for number in range(3):
        log.add(**{**ROW, "request_id": f"r-{number}"})
    assert stream.getvalue() == ""
    await asyncio.sleep(0.3)
    rows = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [row["request_id"] for row in rows] == ["r-0", "r-1", "r-2"]
    assert rows[0] | {"time": ""} == {
        "time": "", "event": "request", "request_id": "r-0", "method": "GET", "interaction": "search-type",
        "type": "Patient", "status": 200, "ms": 1.23, "bytes": 99,
    }  # fmt: skip


async def test_close_writes_what_waits_and_text_is_for_people():
    stream = io.StringIO()
    log = AccessLog("text", stream)
    log.add(**ROW)
    log.close()
    assert stream.getvalue().endswith("GET search-type Patient 200 1.23 ms 99 B r-1\n")
