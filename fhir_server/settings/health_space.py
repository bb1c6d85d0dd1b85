"""The health space: apps, citizens' spaces, the content that comes with the server."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from fhir_server.settings.section import Section


class App(Section):
    """What a health app may store."""

    measures_per_day: Annotated[int, Field(ge=1, le=10_000_000)] = 20_000
    """Measures that one app stores of one citizen in a day (UTC); more are answered with 429. What was stored before
    does not count again."""
    ingest_lines: Annotated[int, Field(ge=1, le=1_000_000)] = 10_000
    """Lines that one Observation/$ingest takes; the rest is sent as another one."""


class Space(Section):
    """The citizens' spaces: who gets one unasked, and what is taken in."""

    auto_opening: Annotated[str, Field(pattern=r"^(born-from:\d{4}-\d\d-\d\d|everyone|nobody)$")] = (
        "born-from:2022-01-01"
    )
    """Whose space opens unless they object: born-from:YYYY-MM-DD (the measure of 2019), everyone (the later law) or
    nobody."""
    opening_days: Annotated[int, Field(ge=0, le=366)] = 42
    """Days between the notice to a citizen, counted from its sending, and the opening of the space."""
    enforce: bool = False
    """Treat a citizen whose space was never spoken of as one whose space is not open, and keep the rule in open mode
    too: nothing is put into it (403). Off, the rule holds for callers who sign in and spaces that the server knows
    of."""
    erasure_years: Annotated[int, Field(ge=1, le=100)] = 10
    """Years after which a closed space is erased (Code de la sante publique L1111-18: ten)."""
    test_identities: Literal["accept", "refuse"] = "accept"
    """Whether Patients with test or demonstration identities (INS) are taken; refuse them in production."""


class Contacts(Section):
    """The persons to call in an emergency."""

    max: Annotated[int, Field(ge=1, le=100)] = 5
    """Active emergency contacts of one citizen."""


class Content(Section):
    """The health space's own profiles, value sets, search parameters and so on, which come with the server."""

    load: bool = True
    """Whether start-up stores those definitions that the server doesn't hold yet, or holds in an older version."""


class Examples(Section):
    """The synthetic examples that come with the server."""

    load: bool = False
    """Whether start-up stores the examples (the valid ones) that the server doesn't hold yet. Not for
    production."""
