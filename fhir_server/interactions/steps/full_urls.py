"""What the links between the entries of a transaction become: fullUrl -> ``Type/id`` on this server.

https://hl7.org/fhir/R4/bundle.html#references, https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.datatypes.references import parse

_RESTFUL = re.compile(r"(https?://[^\s?#]+)/[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}").fullmatch
_VERSION = "/_history/"


@dataclass(frozen=True, slots=True)
class Place:
    """Where the resource of an entry is after the transaction: type, id, and version number (0: deleted)."""

    type: str
    id: str
    version: int


class FullUrls:
    """The places of all entries by the URLs that links may name them with."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._places: dict[str, Place] = {}

    def add(self, full_url: str, resource_id: str | None, place: Place) -> None:
        """Note the place of an entry; without fullUrl its resource's own id is what others can name it by."""
        if full_url:
            self._places[full_url] = place
        elif resource_id:
            self._places.setdefault(f"{self._base}/{place.type}/{resource_id}", place)

    def resolver(self, full_url: str) -> Callable[[str], str | None]:
        """Return the function that resolves the links of one entry.

        It returns the new text, or None for links to other things, which stay as they are. A relative link is
        relative to the root of its entry's fullUrl, else to this server. A link to a version becomes one to the
        version that the transaction makes; a fragment stays.
        """
        restful = _RESTFUL(full_url)
        root = restful[1] if restful else self._base
        places = self._places

        def resolve(text: str) -> str | None:
            place = places.get(text)
            if place is not None:
                return f"{place.type}/{place.id}"
            if text[:1] in ("#", ""):
                return None
            stem, hash_, fragment = text.partition("#")
            stem, marker, _ = stem.partition(_VERSION)
            place = places.get(stem)
            if place is None and ":" not in stem:
                target = parse(stem)
                if target is None or target.kind != "relative":
                    return None
                place = places.get(f"{root}/{stem}")
                if place is None and root != self._base:
                    place = places.get(f"{self._base}/{stem}")
            if place is None:
                return None
            version = f"{_VERSION}{place.version}" if marker and place.version else ""
            return f"{place.type}/{place.id}{version}{hash_}{fragment}"

        return resolve
