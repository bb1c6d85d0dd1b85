"""What the terminology service knows and does: ``GET metadata?mode=terminology``.

https://hl7.org/fhir/R4/terminologycapabilities.html
"""

from __future__ import annotations

from typing import Any

from fhir_server import __version__
from fhir_server.interactions.exchange import Server
from fhir_server.interactions.steps.prepare import instant

#: Parameters of $expand that are honoured.
PARAMETERS = {
    "activeOnly": "Without concepts that are no longer used.",
    "check-system-version": "Fails if another version of the code system would be used.",
    "count": "Size of the page.",
    "designation": "Which designations are included: a language, or system|code of the use.",
    "displayLanguage": "Language of the displays, also by Accept-Language.",
    "exclude-system": "Code systems to leave out.",
    "excludeNested": "A list, not a tree.",
    "excludeNotForUI": "Without abstract concepts.",
    "excludePostCoordinated": "Expansions hold no post-coordinated codes in any case.",
    "filter": "Words, or beginnings of words, of display, designations or code; all must be there.",
    "force-system-version": "The version to use in place of what the value set says.",
    "includeDefinition": "With the compose of the value set.",
    "includeDesignations": "With designations.",
    "offset": "Where the page begins.",
    "property": "Properties to show with each code.",
    "system-version": "The version to use where the value set names none.",
    "useSupplement": "Supplements to apply.",
}


def terminology_statement(server: Server) -> dict[str, Any]:
    """Return the TerminologyCapabilities resource as of now."""
    return {
        "resourceType": "TerminologyCapabilities",
        "status": "active",
        "date": instant(server.clock()),
        "kind": "instance",
        "software": {"name": "fhir-space-server", "version": __version__},
        "implementation": {"description": "FHIR R4 server of a digital health space"},
        "lockedDate": False,
        "codeSystem": [
            {"uri": url, **_versions(server, url), "subsumption": True}
            for url in sorted(server.code_sets.shelf.urls())
        ],
        "expansion": {
            "hierarchical": True,
            "paging": True,
            "incomplete": False,
            "parameter": [{"name": name, "documentation": text} for name, text in sorted(PARAMETERS.items())],
            "textFilter": "Every word of the filter begins a word of the display, a designation or the code; case and "
            "accents don't count.",
        },
        "codeSearch": "all",
        "validateCode": {"translations": True},
        "translation": {"needsMap": True},
        "closure": {"translation": False},
    }


def _versions(server: Server, url: str) -> dict[str, Any]:
    """Return the versions of a code system that was added; R4's own are in that of the package."""
    found = server.code_sets.shelf.added_versions(url)
    rows = [{"code": version, "isDefault": index == 0} for index, version in enumerate(found) if version]
    return {"version": rows} if rows else {}
