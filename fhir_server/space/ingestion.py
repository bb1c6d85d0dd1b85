"""What the ingestion contract says of one measure, beyond its profile: identity, times, origin.

docs/measures.md. Nothing here reads or writes; the operation ``$ingest`` does.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

from fhir_server.datatypes.dates import interval
from fhir_server.datatypes.json_format import encode
from fhir_server.outcome import Issue
from fhir_server.space.names import APP, DEVICE_KIND, ORIGIN, ORIGINAL_QUANTITY, PROFILE

#: Key of the rule in issues.
TIME_RULE = "hs-b-measure-time"
#: Milliseconds that a phone's clock may be ahead.
AHEAD = 5 * 60_000
_HOUR = 3_600_000
_OF_MEASURE = re.compile(re.escape(PROFILE) + "hs-measure(-|$)").match
LONGEST_WORKOUT = 48 * _HOUR
_WORKOUT = "55411-3"
#: Elements that two sendings of the same measure may differ in: they are the server's.
_OURS = ("id", "meta")


def is_measure(observation: Mapping[str, Any]) -> bool:
    """Tell whether an Observation claims to be a measure of the health space, and has what its identity needs."""
    claimed = observation.get("meta", {}).get("profile", ())
    has_codings = bool(observation.get("code", {}).get("coding"))
    return observation["resourceType"] == "Observation" and has_codings and any(map(_OF_MEASURE, claimed))


def natural_key(observation: Mapping[str, Any], patient: str) -> bytes:
    """Return the key under which a measure is the same as another one of its patient.

    That is its first complete identifier, or else device, code, effective and value.
    """
    for identifier in observation.get("identifier", ()):
        if isinstance(identifier, dict) and identifier.get("system") and identifier.get("value"):
            told: list[Any] = ["identifier", identifier["system"], identifier["value"]]
            break
    else:
        codings = observation["code"]["coding"]
        told = [
            "measure",
            observation.get("device", {}).get("reference"),
            [[coding.get("system"), coding.get("code")] for coding in codings],
            observation.get("effectiveDateTime"),
            [observation.get("effectivePeriod", {}).get(end) for end in ("start", "end")],
            _value(observation),
            [[_codes(part), _value(part)] for part in observation.get("component", ())],
        ]
    return hashlib.sha256(encode([patient, *told])).digest()


def _codes(component: Mapping[str, Any]) -> list[Any]:
    return [coding.get("code") for coding in component.get("code", {}).get("coding", ())]


def _value(holder: Mapping[str, Any]) -> list[str]:
    quantity = holder.get("valueQuantity", {})
    value = quantity.get("value")
    # 62 and 62.0 are one measure.
    return ["" if value is None else str(float(value)), quantity.get("code", "")]


def content(observation: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a citizen or an app said: the measure without the server's own elements.

    In which unit it was said is no part of it: the value is the same.
    """
    said = {name: value for name, value in observation.items() if name not in _OURS}
    if "extension" in said:
        said["extension"] = [one for one in said["extension"] if one.get("url") != ORIGINAL_QUANTITY]
        if not said["extension"]:
            del said["extension"]
    return said


def time_issues(observation: Mapping[str, Any], birth_date: str | None, now: int) -> list[Issue]:
    """Return what is wrong with the time of a measure; ``now`` is milliseconds UTC."""
    period = observation.get("effectivePeriod")
    name = "effective" if period is None else "effective.ofType(Period)"
    place = f"Observation.{name}"
    try:
        if period is None:
            first, last = interval(observation["effectiveDateTime"])
            if len(observation["effectiveDateTime"]) <= 10:
                last = first  # a day's total may come while the day is not over
        else:
            first, last = interval(period["start"])[0], interval(period["end"])[0]
    except (KeyError, TypeError, ValueError):
        return []  # the profile says what is missing
    found = []
    if last > now + AHEAD:
        found.append(_refused("The measure is more than 5 minutes in the future; check the clock.", place))
    if birth_date and first < interval(birth_date)[0] - _HOUR * 14:
        found.append(_refused("The measure is older than the person: it is before the birth date.", place))
    if period is not None:
        found += _of_workout(observation, last - first, place)
    return found


def _of_workout(observation: Mapping[str, Any], length: int, place: str) -> list[Issue]:
    codings = observation.get("code", {}).get("coding", ())
    if not any(coding.get("code") == _WORKOUT for coding in codings):
        return []
    found = []
    if length > LONGEST_WORKOUT:
        found.append(_refused("A workout lasts 48 hours at most.", place))
    quantity = observation.get("valueQuantity", {})
    minutes = quantity.get("value")
    if minutes is not None and quantity.get("code") == "min" and minutes * 60_000 > length + 60_000:
        text = "The duration is more than a minute longer than the workout's period."
        found.append(_refused(text, "Observation.value.ofType(Quantity).value"))
    return found


def _refused(text: str, place: str) -> Issue:
    return Issue("error", "business-rule", text, place, TIME_RULE)


def stamp(observation: dict[str, Any], source: str) -> None:
    """Write who brought a measure into its meta, in place of what the sender says of that."""
    meta = observation.get("meta", {})
    tags = [tag for tag in meta.get("tag", ()) if tag.get("system") != ORIGIN]
    tags.append({"system": ORIGIN, "code": "health-app"})
    observation["meta"] = {**meta, "source": source, "tag": tags}


def is_app(device: Mapping[str, Any]) -> bool:
    """Tell whether a Device is an app, not a thing that somebody wears."""
    codings = device.get("type", {}).get("coding", ())
    return any(coding.get("system") == DEVICE_KIND and coding.get("code") == "app" for coding in codings)


def source_of(device: Mapping[str, Any]) -> str:
    """Return the URI that stands for a device in meta.source: that of the catalogue for an app."""
    for identifier in device.get("identifier", ()):
        if identifier.get("system") == APP:
            return f"{APP}/{identifier.get('value', '')}"
    return f"Device/{device.get('id', '')}"


def provenance(targets: list[str], patient: str, app: str, recorded: str) -> dict[str, Any]:
    """Return the Provenance of one batch of one citizen; ``targets`` name the versions that it made."""
    citizen = {"reference": f"Patient/{patient}"}
    role = "http://terminology.hl7.org/CodeSystem/provenance-participant-type"
    return {
        "resourceType": "Provenance",
        "meta": {"profile": [PROFILE + "hs-provenance"], "tag": [{"system": ORIGIN, "code": "health-app"}]},
        "target": [{"reference": target} for target in targets],
        "recorded": recorded,
        "activity": {
            "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-DataOperation", "code": "CREATE"}]
        },
        "agent": [
            {"type": {"coding": [{"system": role, "code": "author"}]}, "who": citizen},
            {
                "type": {"coding": [{"system": role, "code": "assembler"}]},
                "who": {"reference": app},
                "onBehalfOf": citizen,
            },
        ],
    }
