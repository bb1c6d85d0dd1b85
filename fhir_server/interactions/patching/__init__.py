"""PATCH: from a current resource and a patch to the new resource; see README.md."""

from __future__ import annotations

from fhir_server.interactions.patching.patch import (
    ACCEPTED,
    Patch,
    patch_of_body,
    patch_of_entry,
    patched,
)

__all__ = ["ACCEPTED", "Patch", "patch_of_body", "patch_of_entry", "patched"]
