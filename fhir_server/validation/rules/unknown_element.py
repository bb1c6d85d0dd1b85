"""Properties that a type doesn't have.

https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from difflib import get_close_matches

from fhir_server.messages import say
from fhir_server.validation.report import MAX_ISSUES, Findings, Run

_WORD = re.compile(r"_?[A-Za-z][A-Za-z0-9_-]{0,63}").fullmatch

#: Looking for similar names is slow, so only the first few unknown ones get a suggestion.
_SUGGESTING = MAX_ISSUES - 10


def unknown(key: str, known: Iterable[str], path: str, run: Run) -> Findings:
    """Return the finding for a property name that isn't among the ``known`` ones of the node at ``path``."""
    if not _WORD(key):
        return run.error(
            "structure",
            say("{path} has a property whose name isn't FHIR's: remove it.", path=path),
            f"unknown@{path}",
        )
    names = [name for name in known if not name.startswith("_") or key.startswith("_")]
    stem = key.rstrip("_")
    choices = [n for n in names if n.startswith(stem) and n[len(stem) : len(stem) + 1].isupper()]
    if len(choices) > 1:
        advice = say(
            "the name of the value's type belongs to it, such as {first} or {second}.",
            first=choices[0],
            second=choices[1],
        )
    elif run.left > _SUGGESTING and (near := get_close_matches(key, names, 1, 0.6)):
        advice = say('did you mean "{near}"?', near=near[0])
    else:
        advice = say("remove it or move it to an extension.")
    return run.error(
        "structure",
        say('{path} has no property "{key}": {advice}', path=path, key=key, advice=advice),
        f"unknown@{path}",
    )
