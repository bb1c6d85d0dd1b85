"""One answer against the item that it answers: type, limits, units, options.

https://hl7.org/fhir/R4/questionnaire.html#notes, https://hl7.org/fhir/R4/questionnaire-profiles.html#extensions
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import re2

from fhir_server.datatypes.references import parse
from fhir_server.messages import alternatives, say
from fhir_server.validation.rules.attachment import decoded_size
from fhir_server.validation.rules.value import fits, order

Member = Callable[[str, str, str], bool | None]

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
#: Property of an answer by the type of the item.
_VALUES = {
    "boolean": ("valueBoolean",), "decimal": ("valueDecimal",), "integer": ("valueInteger",),
    "date": ("valueDate",), "dateTime": ("valueDateTime",), "time": ("valueTime",),
    "string": ("valueString",), "text": ("valueString",), "url": ("valueUri",),
    "choice": ("valueCoding", "valueInteger", "valueDate", "valueTime", "valueString", "valueReference"),
    "open-choice": (
        "valueCoding", "valueString", "valueInteger", "valueDate", "valueTime", "valueReference",
    ),
    "attachment": ("valueAttachment",), "reference": ("valueReference",), "quantity": ("valueQuantity",),
}  # fmt: skip
_PRIMITIVES = frozenset({"Boolean", "Decimal", "Integer", "Date", "DateTime", "Time", "String", "Uri"})
_MIN_VALUES = (_STRUCTURE + "minValue", _SDC + "minQuantity")
_MAX_VALUES = (_STRUCTURE + "maxValue", _SDC + "maxQuantity")


def extensions(holder: dict[str, Any], url: str) -> Iterator[Any]:
    """Yield the values of the extensions with a URL."""
    for found in holder.get("extension", ()):
        if found.get("url") == url:
            yield next((value for key, value in found.items() if key.startswith("value")), None)


def extension(holder: dict[str, Any], url: str) -> Any:
    """Return the value of the first extension with a URL, None if there is none."""
    return next(extensions(holder, url), None)


def is_same(value: Any, wanted: Any) -> bool:
    """Tell whether an answer is an option: of a Coding system and code count, of a Reference its text."""
    if type(value) is dict and type(wanted) is dict:
        names = (
            {"system", "code"}
            if "code" in wanted
            else {"reference"}
            if "reference" in wanted
            else set(wanted)
        )
        return fits(value, {k: v for k, v in wanted.items() if k in names})
    return fits(value, wanted)


def problem(definition: dict[str, Any], answer: dict[str, Any], is_member: Member) -> tuple[str, str] | None:
    """Return what is wrong with an answer, and its path from the answer on; None if nothing is."""
    key = next((k for k in answer if k.startswith("value")), None)
    if key is None:
        return None
    type_ = key.removeprefix("value")
    place = f".value.ofType({type_[0].lower() + type_[1:] if type_ in _PRIMITIVES else type_})"
    if key not in _VALUES.get(definition["type"], ()):
        return say("The answer must be of the type {type}.", type=definition["type"]), place
    value = answer[key]
    if type(value) is str:
        text = _of_text(definition, value)
    elif type(value) is dict:
        check = _OBJECTS.get(key)
        text = check(definition, value, is_member) if check is not None else ""
    else:
        text = ""
    text = text or _range(definition, value) or _decimals(definition, value)
    if not text and not _is_option(definition, key, value, is_member):
        text = "The answer is none of those that the Questionnaire allows."
    return (text, place) if text else None


def _of_text(definition: dict[str, Any], value: str) -> str:
    longest, shortest = definition.get("maxLength"), extension(definition, _STRUCTURE + "minLength")
    if type(longest) is int and len(value) > longest:
        return say("The answer must be at most {longest} characters long.", longest=longest)
    if type(shortest) is int and len(value) < shortest:
        return say("The answer must be at least {shortest} characters long.", shortest=shortest)
    pattern = extension(definition, _STRUCTURE + "regex")
    if type(pattern) is str and definition["type"] == "string":
        try:
            is_match = re2.fullmatch(pattern, value) is not None
        except re2.error:
            return ""
        hint = extension(definition, _STRUCTURE + "entryFormat")
        form = hint if type(hint) is str else pattern
        return "" if is_match else say("The answer must have the form {form}.", form=form)
    return ""


def _range(definition: dict[str, Any], value: Any) -> str:
    for names, wrong, template in (
        (_MIN_VALUES, -1, "The answer must not be less than {value}."),
        (_MAX_VALUES, 1, "The answer must not be greater than {value}."),
    ):
        limit = next((v for n in names if (v := extension(definition, n)) is not None), None)
        if limit is None:
            continue
        how = order(value, limit)
        if how == wrong:
            return say(template, value=limit if type(limit) is not dict else limit.get("value"))
        if type(limit) is dict and (how is None or "code" not in limit or "code" not in value):
            return "The answer can't be compared with its limit: give it a unit with system and code."
    return ""


def _decimals(definition: dict[str, Any], value: Any) -> str:
    most = extension(definition, _STRUCTURE + "maxDecimalPlaces")
    number = value.get("value") if type(value) is dict else value
    if type(most) is int and isinstance(number, Decimal):
        exponent = number.as_tuple().exponent
        if isinstance(exponent, int) and -exponent > most:
            return say("The answer must have at most {most} decimal places.", most=most)
    return ""


def _of_quantity(definition: dict[str, Any], value: dict[str, Any], is_member: Member) -> str:
    system, code = value.get("system", ""), value.get("code", "")
    options = [o for o in extensions(definition, _STRUCTURE + "questionnaire-unitOption") if type(o) is dict]
    if options and not any(
        option.get("system", system) == system
        and option.get("code", code) == code
        and option.get("display", value.get("unit")) == value.get("unit")
        for option in options
    ):
        return "The unit (its text, system and code) must be one that the Questionnaire offers."
    units = extension(definition, _STRUCTURE + "questionnaire-unitValueSet")
    if type(units) is str and (not system or not code or is_member(units, system, code) is False):
        return say("The unit must be from the value set {units}.", units=units)
    return ""


def _of_attachment(definition: dict[str, Any], value: dict[str, Any], _is_member: Member) -> str:
    allowed = [t for t in extensions(definition, _STRUCTURE + "mimeType") if type(t) is str]
    if allowed and not value.get("contentType", "").startswith(tuple(allowed)):
        return say("The contentType of the attachment must be {types}.", types=alternatives(allowed))
    most = extension(definition, _STRUCTURE + "maxSize")
    if isinstance(most, int | Decimal) and "data" in value and decoded_size(value["data"]) > most:
        return say("The attachment must have at most {most} bytes.", most=most)
    return ""


def _of_reference(definition: dict[str, Any], value: dict[str, Any], _is_member: Member) -> str:
    allowed = list(extensions(definition, _STRUCTURE + "questionnaire-referenceResource"))
    target = parse(value.get("reference", ""))
    if allowed and target is not None and target.type and target.type not in allowed:
        return say(
            "The reference must point to {targets}, not to {type}.",
            targets=alternatives(map(str, allowed)),
            type=target.type,
        )
    return ""


_OBJECTS: dict[str, Callable[[dict[str, Any], dict[str, Any], Member], str]] = {
    "valueQuantity": _of_quantity,
    "valueAttachment": _of_attachment,
    "valueReference": _of_reference,
}


def _is_option(definition: dict[str, Any], key: str, value: Any, is_member: Member) -> bool:
    if key == "valueString" and definition["type"] == "open-choice":
        return True
    options = definition.get("answerOption")
    if options is not None:
        return any(key in option and is_same(value, option[key]) for option in options)
    url = definition.get("answerValueSet", "")
    if not url:
        return True
    if key == "valueCoding":
        return is_member(url, value.get("system", ""), value.get("code", "")) is not False
    return key != "valueString"
