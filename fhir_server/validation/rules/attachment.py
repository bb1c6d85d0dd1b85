"""Attachments that say how large they are and what their hash is.

https://hl7.org/fhir/R4/datatypes.html#attachment
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import Any

from fhir_server.validation.report import Findings, Run


def stated_size(attachment: dict[str, Any], run: Run) -> Findings | None:
    """Check that Attachment.size is the number of bytes of Attachment.data."""
    data, size = attachment.get("data"), attachment.get("size")
    if data is None or size is None:
        return None
    if size == decoded_size(data):
        return None
    return run.error(
        "business-rule", "The size must be the number of bytes in data before base64.", "size@", ".size"
    )


def decoded_size(data: str) -> int:
    """Return how many bytes a text in base64 stands for."""
    text = "".join(data.split())
    return len(text) // 4 * 3 - text[-2:].count("=")


def stated_hash(content: dict[str, Any], run: Run) -> Findings | None:
    """Check that the hash of a document in a DocumentReference is the SHA-1 of the bytes of its data.

    Attachments of other types are left alone: R4's own examples have made-up hashes there.
    """
    attachment = content["attachment"]
    if not isinstance(attachment, dict):
        return None
    data, given = attachment.get("data"), attachment.get("hash")
    if not isinstance(data, str) or not isinstance(given, str):
        return None
    try:
        octets, stated = base64.b64decode(data), base64.b64decode(given)
    except (binascii.Error, ValueError):
        return None  # said by the rule of base64Binary
    if stated == hashlib.sha1(octets, usedforsecurity=False).digest():
        return None
    return run.error(
        "business-rule",
        "The hash must be the SHA-1 of data before base64, in base64.",
        "hash@",
        ".attachment.hash",
    )
