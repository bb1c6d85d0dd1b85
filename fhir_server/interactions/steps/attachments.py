"""DocumentReference.content.attachment: its hash and size are those of the Binary that its url names.

https://hl7.org/fhir/R4/documentreference.html, https://hl7.org/fhir/R4/datatypes.html#Attachment. ``hash`` is the SHA-1
of the document in base64, ``size`` its bytes. Where the document is inline the validator checks them; here it is in a
Binary of this server. What other servers hold is never fetched.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping
from typing import Any

from fhir_server.datatypes.json_format import decode_own
from fhir_server.datatypes.references import parse
from fhir_server.interactions.exchange import FhirRequest, Server
from fhir_server.outcome import FhirError, Issue
from fhir_server.store.content import Content

DOCUMENT = "DocumentReference"
BINARY = "Binary"

Measures = tuple[int, bytes]
"""Size and SHA-1 of a document."""

Made = tuple[dict[str, Any], tuple[Content, ...]]
"""A Binary, and the contents whose tokens may stand in it."""


async def check_attachments(
    server: Server,
    request: FhirRequest,
    resource: dict[str, Any],
    made: Mapping[str, Made] | None = None,
) -> None:
    """Raise FhirError 422 with an issue for each hash and size of a valid DocumentReference that is wrong.

    ``made`` are the Binaries that the same transaction makes, by ``Binary/id``.
    """
    issues: list[Issue] = []
    for number, content in enumerate(resource.get("content", ())):
        attachment = content.get("attachment", {})
        if ("hash" in attachment or "size" in attachment) and "data" not in attachment:
            measures = await _measures(server, request, attachment, made or {})
            if measures is not None:
                issues += _issues(attachment, measures, f"{DOCUMENT}.content[{number}].attachment")
    if issues:
        raise FhirError(*issues)


def _issues(attachment: dict[str, Any], measures: Measures, place: str) -> list[Issue]:
    size, sha1 = measures
    found = []
    if attachment.get("size", size) != size:
        text = f"The size must be {size}, the number of bytes of the Binary that the url names."
        found.append(Issue("error", "business-rule", text, f"{place}.size", "attachment-size"))
    digest = base64.b64encode(sha1).decode()
    if "".join(attachment.get("hash", digest).split()) != digest:
        text = f"The hash must be {digest}, the SHA-1 of the Binary that the url names, in base64."
        found.append(Issue("error", "business-rule", text, f"{place}.hash", "attachment-hash"))
    return found


async def _measures(
    server: Server, request: FhirRequest, attachment: dict[str, Any], made: Mapping[str, Made]
) -> Measures | None:
    """Return the measures of the Binary that an attachment names, None when it isn't at hand."""
    target = parse(attachment.get("url", ""))
    if target is None or target.type != BINARY or not target.id or target.base not in ("", request.base):
        return None
    if not target.version and f"{BINARY}/{target.id}" in made:
        binary, large = made[f"{BINARY}/{target.id}"]
        return _of_text(binary.get("data", ""), large)
    store = server.store
    if target.version:
        number = int(target.version) if target.version.isascii() and target.version.isdigit() else 0
        stored = (
            await store.version(BINARY, target.id, number, request.access) if 0 < number < 2**31 else None
        )
    else:
        stored = await store.read(BINARY, target.id, request.access)
    if stored is None or stored.is_deleted:
        return None
    return _of_text(decode_own(stored.body).get("data", ""), stored.large)


def _of_text(text: str, large: tuple[Content, ...] = ()) -> Measures | None:
    for content in large:
        if content.token == text:
            return content.size, content.sha1
    try:
        data = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None  # The validator's business.
    return len(data), hashlib.sha1(data, usedforsecurity=False).digest()
