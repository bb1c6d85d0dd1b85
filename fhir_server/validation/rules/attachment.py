"""Attachments that say how large they are.

https://hl7.org/fhir/R4/datatypes.html#attachment
"""

from __future__ import annotations

from typing import Any

from fhir_server.validation.report import Findings, Run


def stated_size(attachment: dict[str, Any], run: Run) -> Findings | None:
    """Check that Attachment.size is the number of bytes of Attachment.data."""
    data, size = attachment.get("data"), attachment.get("size")
    if data is None or size is None:
        return None
    text = "".join(data.split())
    if size == len(text) // 4 * 3 - text[-2:].count("="):
        return None
    return run.error("value", "The size must be the number of bytes in data before base64.", "size@", ".size")
