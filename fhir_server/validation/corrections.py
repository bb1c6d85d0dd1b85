"""Suggested fixes: where what an issue says can be done without asking, the operation that does it.

A fix is one operation of JSON Patch on the resource as JSON. It is worked out from the issue and the value that it is
about, after the validation: what is valid pays nothing. A fix that could change the meaning says what it assumes.

https://www.rfc-editor.org/rfc/rfc6902
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from fhir_server.datatypes import xhtml
from fhir_server.datatypes.positions import steps
from fhir_server.datatypes.primitives import PRIMITIVES
from fhir_server.messages import Message, say
from fhir_server.outcome import Fix, Issue
from fhir_server.validation.corrected_values import BY_FORM, meant
from fhir_server.validation.protocols import CodeSets
from fhir_server.validation.rules.value import equals

#: Issues that get a fix at most, codes among which a similar one is looked for, and the longest word: all that is slow.
_MOST = 50
_MOST_CODES = 300
_LONGEST = 100

_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos);)[A-Za-z][A-Za-z0-9]*;")
_REFERENCE = re.compile(r"/?([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(/_history/[A-Za-z0-9\-.]{1,64})?").fullmatch
#: Addresses of code systems that are often written otherwise: compared without scheme, www. and slash at the end.
_SCHEME = re.compile(r"^(https?://)?(www\.)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """A value in the resource: the object or array that holds it, its key there, and its JSON Pointer."""

    holder: Any
    key: str | int
    pointer: str

    @property
    def value(self) -> Any:
        """The value."""
        return self.holder[self.key]

    def written(self, value: Any, assumes: str = "") -> Fix:
        """Return that another value is written here."""
        return Fix({"op": "replace", "path": self.pointer, "value": value}, assumes)

    def removed(self) -> Fix:
        """Return that this is taken away."""
        return Fix({"op": "remove", "path": self.pointer})


def found(resource: Any, expression: str) -> Place | None:
    """Return where an expression leads to, None if nothing is there; the resource itself has the pointer ""."""
    place = Place({"": resource}, "", "")
    for name, index in steps(expression):
        holder = place.value
        if type(holder) is not dict:
            return None
        keys = [name] if name in holder else [k for k in holder if _is_choice(k, name)]
        if len(keys) != 1:
            return None
        place = Place(holder, keys[0], f"{place.pointer}/{_escaped(keys[0])}")
        if index is not None:
            if type(place.value) is not list or index >= len(place.value):
                return None
            place = Place(place.value, index, f"{place.pointer}/{index}")
    return place


def _is_choice(key: str, name: str) -> bool:
    return key.startswith(name) and key[len(name) : len(name) + 1].isupper()


def _escaped(key: str) -> str:
    return key.replace("~", "~0").replace("/", "~1")


class Corrections:
    """Finds the fixes of issues; asks ``code_sets`` for the members of value sets."""

    def __init__(self, code_sets: CodeSets, resource_types: Iterable[str]) -> None:
        self._code_sets = code_sets
        self._types = tuple(resource_types)

    def corrected(self, issues: Sequence[Issue], resource: Any, type_: str = "") -> tuple[Issue, ...]:
        """Return the issues of a resource, each with its fix if there is one.

        ``type_`` is the type that the resource must be of, where the address says it.
        """
        done = [self._with_fix(issue, resource, type_) for issue in issues[:_MOST]]
        return (*done, *issues[_MOST:])

    def _with_fix(self, issue: Issue, resource: Any, type_: str) -> Issue:
        place = found(resource, issue.expression)
        if place is None:
            return issue
        fix = self._fix(issue, place, type_)
        return replace(issue, fix=fix) if fix is not None else issue

    def _fix(self, issue: Issue, place: Place, type_: str) -> Fix | None:
        facet = issue.rule.partition("@")[0]
        template, said = _said(issue.diagnostics)
        match facet:
            case "type":
                return self._of_type(template, said, place, type_)
            case "cardinality":
                return place.removed() if place.key != "" and place.value in ([], {}) else None
            case "primitive":
                return _written(place, str(said.get("form", "")), template)
            case "unknown":
                return _renamed(place, said)
            case "binding":
                return self._coded(place, said)
            case "display":
                return self._shown(place)
            case "fixed":
                return _fixed(place, said)
            case "reference":
                return self._reference(place)
            case "xhtml" | "txt-1":
                return _narrative(place)
        return None

    def _of_type(self, template: str, said: dict[str, object], place: Place, type_: str) -> Fix | None:
        value = place.value
        if type(value) is dict and ("resourceType" in template or place.key == ""):
            return self._resource_type(place, said, type_)
        if place.key == "":
            return None
        if template.startswith("The value must be an array"):
            return place.written([value]) if value is not None else place.removed()
        if value is None or value == {}:
            return place.removed()
        if type(value) is list:
            # An object, or a single value, is wanted.
            return place.written(value[0]) if len(value) == 1 and type(value[0]) is not list else None
        primitive = PRIMITIVES.get(str(said.get("name", "")))
        answer = meant(value, primitive) if primitive is not None else None
        return place.written(*answer) if answer is not None else None

    def _resource_type(self, place: Place, said: dict[str, object], type_: str) -> Fix | None:
        name = place.value.get("resourceType")
        pointer = f"{place.pointer}/resourceType"
        if name is None:
            return (
                Fix({"op": "add", "path": pointer, "value": type_}) if type_ and not place.pointer else None
            )
        word = name.strip().lower() if type(name) is str and len(name) <= _LONGEST else ""
        near = next((known for known in self._types if known.lower() == word), "")
        if near:
            return Fix({"op": "replace", "path": pointer, "value": near})
        guess = str(said.get("near", ""))
        return (
            Fix({"op": "replace", "path": pointer, "value": guess}, say('"{name}" is meant', name=guess))
            if guess
            else None
        )

    def _coded(self, place: Place, said: dict[str, object]) -> Fix | None:
        codes, pairs = self._members(said)
        value = place.value
        if type(value) is str:
            return _similar(place, codes)
        if type(value) is not dict:
            return None
        codings = value.get("coding") if type(value.get("coding")) is list else None
        for holder, pointer in (
            [(value, place.pointer)]
            if codings is None
            else [(c, f"{place.pointer}/coding/{i}") for i, c in enumerate(codings) if type(c) is dict]
        ):
            system, code = holder.get("system"), holder.get("code")
            if type(code) is not str or len(code) > _LONGEST or len(str(system)) > _LONGEST:
                continue
            word, address = _bare(code), _address(str(system or ""))
            near = [(s, c) for s, c in pairs if _bare(c) == word and (not system or _address(s) == address)]
            if len(near) == 1:
                wanted, known = near[0]
                if code != known:
                    return Fix({"op": "replace", "path": f"{pointer}/code", "value": known})
                op = "replace" if "system" in holder else "add"
                assumes = "" if system else say("the code is one of {system}", system=wanted)
                return Fix({"op": op, "path": f"{pointer}/system", "value": wanted}, assumes)
        return None

    def _members(self, said: dict[str, object]) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
        """Return the codes of the value set that a sentence names, and the pairs of system and code."""
        allowed = said.get("allowed")
        parameters = allowed.parameters if isinstance(allowed, Message) else said
        value_set = self._code_sets.codes(str(parameters.get("url", ""))) if "url" in parameters else None
        if value_set is not None:
            return value_set.codes, getattr(value_set, "concepts", frozenset())
        return frozenset(str(parameters.get("codes", "")).split(", ")) - {""}, frozenset()

    def _shown(self, place: Place) -> Fix | None:
        coding = place.holder
        if type(coding) is not dict:
            return None
        texts = self._code_sets.displays(str(coding.get("system", "")), str(coding.get("code", "")))
        return place.written(texts[0]) if texts else None

    def _reference(self, place: Place) -> Fix | None:
        value = place.value
        parts = _REFERENCE(value) if type(value) is str and len(value) <= 2 * _LONGEST else None
        name = next((t for t in self._types if parts is not None and t.lower() == parts[1].lower()), "")
        if parts is None or not name:
            return None
        return place.written(f"{name}/{parts[2]}{parts[3] or ''}")


def _said(sentence: str) -> tuple[str, dict[str, object]]:
    """Return the template and the parameters of a sentence, without what names the profile."""
    while isinstance(sentence, Message) and isinstance(sentence.parameters.get("text"), Message):
        inner = sentence.parameters["text"]
        assert isinstance(inner, Message)
        sentence = inner
    return (sentence.template, sentence.parameters) if isinstance(sentence, Message) else (sentence, {})


def _written(place: Place, form: str, template: str) -> Fix | None:
    if place.value == "" and template.startswith("The text must not be empty"):
        return place.removed()
    primitive = BY_FORM.get(form)
    answer = meant(place.value, primitive) if primitive is not None else None
    return place.written(*answer) if answer is not None else None


def _renamed(place: Place, said: dict[str, object]) -> Fix | None:
    key, advice = str(said.get("key", "")), said.get("advice")
    near = str(advice.parameters.get("near", "")) if isinstance(advice, Message) else ""
    if not near or type(place.value) is not dict or key not in place.value or near in place.value:
        return None
    is_same = _bare(key) == _bare(near)
    move = {"op": "move", "from": f"{place.pointer}/{_escaped(key)}", "path": f"{place.pointer}/{near}"}
    return Fix(move, "" if is_same else say('"{name}" is meant', name=near))


def _similar(place: Place, codes: frozenset[str]) -> Fix | None:
    value = place.value
    if len(value) > _LONGEST:
        return None
    word = _bare(value)
    same = [code for code in codes if _bare(code) == word]
    if len(same) == 1:
        return place.written(same[0])
    near = get_close_matches(value, sorted(codes), 1, 0.75) if len(codes) <= _MOST_CODES else ()
    return place.written(near[0], say('"{name}" is meant', name=near[0])) if near else None


def _fixed(place: Place, said: dict[str, object]) -> Fix | None:
    expected = said.get("expected")
    value = place.value
    if expected is None or equals(value, expected):
        return None
    is_same = (
        type(value) is str
        and type(expected) is str
        and (_bare(value) == _bare(expected) or _address(value) == _address(expected))
    )
    return place.written(expected, "" if is_same else say("the profile is the right one"))


def _narrative(place: Place) -> Fix | None:
    value = place.value
    if type(value) is not str:
        return None
    text = _ENTITY.sub(lambda entity: html.unescape(entity[0]), value)
    if re.match(r"\s*<div(?![^>]*\bxmlns)", text):
        text = text.replace("<div", f'<div xmlns="{xhtml.NAMESPACE}"', 1)
    return place.written(text) if text != value and xhtml.problem(text) is None else None


def _bare(text: str) -> str:
    """Return a word without what people vary: case, spaces, hyphens, underscores."""
    return re.sub(r"[\s_\-]+", "", text).casefold()


def _address(url: str) -> str:
    return _SCHEME.sub("", url.strip()).rstrip("/").casefold()
