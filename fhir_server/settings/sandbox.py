"""A server for trying things out, whose data are there to be thrown away."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from fhir_server.settings.section import Section


def _instant(value: str | None) -> str | None:
    try:
        is_one = value is None or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        is_one = False
    if not is_one:
        raise ValueError("must be an instant, for example 2026-01-31T12:00:00Z")
    return value


class Sandbox(Section):
    """A sandbox (docs/sandbox.md): $reset, snapshots, faults on demand. Never where data matter; one worker only."""

    on: bool = False
    """Whether this server is a sandbox: whoever may reach it can replace all its data. --production refuses it."""
    clock: Annotated[str | None, AfterValidator(_instant)] = None
    """The instant that its clock begins at; it goes on by a second with each request. Without it: the time it is."""
    ids: Annotated[str | None, Field(pattern=r"^[A-Za-z0-9.-]{1,40}$")] = None
    """What the ids that it gives begin with; they are numbered from 1. Without it: ids that nobody can foretell."""
