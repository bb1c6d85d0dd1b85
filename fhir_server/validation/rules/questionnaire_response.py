"""Answers against their Questionnaire: link ids, types, options, how many, which are required and enabled.

https://hl7.org/fhir/R4/questionnaireresponse.html#notes, https://hl7.org/fhir/R4/questionnaire.html#notes
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from fhir_server.messages import say
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.value import fits, order

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
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
#: Statuses in which everything that is required must be there.
_FINISHED = frozenset({"completed", "amended"})

Member = Callable[[str, str, str], bool | None]


def answers(
    response: dict[str, Any], questionnaire: dict[str, Any], is_member: Member, run: Run
) -> Findings | None:
    """Return what is wrong with the answers of a structurally valid response; None if nothing."""
    check = _Check(response, is_member, run)
    found = check.items(response, questionnaire.get("item", ()), "")
    return found or None


def _extension(holder: dict[str, Any], url: str) -> Any:
    for extension in holder.get("extension", ()):
        if extension.get("url") == url:
            return next((v for k, v in extension.items() if k.startswith("value")), None)
    return None


class _Check:
    def __init__(self, response: dict[str, Any], is_member: Member, run: Run) -> None:
        self._response = response
        self._is_member = is_member
        self._run = run
        self._is_finished = response.get("status") in _FINISHED

    def items(self, holder: dict[str, Any], definitions: Any, path: str) -> Findings:
        """Check the items of a response, an item or an answer against the items that may be there."""
        by_id = {d["linkId"]: d for d in definitions}
        places = {d["linkId"]: n for n, d in enumerate(definitions)}
        present: dict[str, list[tuple[int, dict[str, Any]]]] = {}
        found: Findings = []
        highest = -1
        for index, item in enumerate(holder.get("item", ())):
            place = f"{path}.item[{index}]"
            link = item["linkId"]
            if link not in by_id:
                found += self._error(
                    "not-found", "The Questionnaire has no item with this linkId here.", place
                )
                continue
            if places[link] < highest:
                found += self._error(
                    "structure", "The items must be in the order of the Questionnaire.", place
                )
            highest = max(highest, places[link])
            present.setdefault(link, []).append((index, item))
        for link, definition in by_id.items():
            found += self._question(definition, present.get(link, []), path)
        return found

    def _question(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str
    ) -> Findings:
        is_enabled = self._is_enabled(definition)
        if not is_enabled:
            return [
                f
                for index, item in present
                if self._has_answer(item)
                for f in self._error(
                    "invalid",
                    "The item isn't enabled by enableWhen: take its answer away.",
                    f"{path}.item[{index}]",
                )
            ]
        if definition["type"] == "group":
            return self._group(definition, present, path)
        return self._answered(definition, present, path)

    def _group(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str
    ) -> Findings:
        found: Findings = []
        if definition.get("required") and not present and self._is_finished:
            found += self._error(
                "required",
                say("The required group {link_id} is missing.", link_id=definition["linkId"]),
                path,
            )
        if len(present) > 1 and not definition.get("repeats"):
            place = f"{path}.item[{present[1][0]}]"
            found += self._error("invalid", "The group may be there only once: it doesn't repeat.", place)
        for index, item in present:
            place = f"{path}.item[{index}]"
            if "answer" in item:
                found += self._error("structure", "A group has no answers: put the items into it.", place)
            found += self.items(item, definition.get("item", ()), place)
        return found

    def _answered(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str
    ) -> Findings:
        found: Findings = []
        answered = [(i, item, item.get("answer", [])) for i, item in present]
        count = sum(len(a) for _, _, a in answered)
        first = f"{path}.item[{present[0][0]}]" if present else path
        if definition["type"] == "display":
            if count:
                found += self._error("structure", "An item of type display can't have answers.", first)
            return found
        if definition.get("required") and not count and self._is_finished:
            text = say("The required item {link_id} has no answer.", link_id=definition["linkId"])
            found += self._error("required", text, first)
        if count > 1 and not definition.get("repeats"):
            found += self._error("invalid", "Only one answer is allowed: the item doesn't repeat.", first)
        least, most = _extension(definition, _MIN_OCCURS), _extension(definition, _MAX_OCCURS)
        if type(least) is int and count < least and (count or self._is_finished) and present:
            found += self._error(
                "invalid",
                say("There must be at least {least} answers, not {count}.", least=least, count=count),
                first,
            )
        if type(most) is int and count > most:
            found += self._error(
                "invalid",
                say("There must be at most {most} answers, not {count}.", most=most, count=count),
                first,
            )
        for index, item, values in answered:
            place = f"{path}.item[{index}]"
            if "item" in item:
                text = "The items below a question belong into its answer."
                found += self._error("structure", text, place)
            for number, answer in enumerate(values):
                found += self._answer(definition, answer, f"{place}.answer[{number}]")
                found += self.items(answer, definition.get("item", ()), f"{place}.answer[{number}]")
            found += self._exclusive(definition, values, place)
        return found

    def _answer(self, definition: dict[str, Any], answer: dict[str, Any], path: str) -> Findings:
        key = next((k for k in answer if k.startswith("value")), None)
        if key is None:
            return []
        value = answer[key]
        type_ = key.removeprefix("value")
        place = f"{path}.value.ofType({type_[0].lower() + type_[1:] if type_ in _PRIMITIVES else type_})"
        if key not in _VALUES.get(definition["type"], ()):
            return self._error(
                "invariant", say("The answer must be of the type {type}.", type=definition["type"]), place
            )
        found: Findings = []
        text = self._limits(definition, value)
        if text:
            found += self._error("invariant", text, place)
        if not self._is_option(definition, key, value):
            found += self._error(
                "invariant", "The answer is none of those that the Questionnaire allows.", place
            )
        return found

    def _limits(self, definition: dict[str, Any], value: Any) -> str:
        if type(value) is str:
            longest, shortest = definition.get("maxLength"), _extension(definition, _MIN_LENGTH)
            if type(longest) is int and len(value) > longest:
                return say("The answer must be at most {longest} characters long.", longest=longest)
            if type(shortest) is int and len(value) < shortest:
                return say("The answer must be at least {shortest} characters long.", shortest=shortest)
        for names, wrong, template in (
            (_MIN_VALUES, -1, "The answer must not be less than {value}."),
            (_MAX_VALUES, 1, "The answer must not be greater than {value}."),
        ):
            limit = next((v for n in names if (v := _extension(definition, n)) is not None), None)
            if limit is None:
                continue
            how = order(value, limit)
            if how == wrong:
                return say(template, value=limit if type(limit) is not dict else limit.get("value"))
            if type(limit) is dict and (how is None or "code" not in limit or "code" not in value):
                return "The answer can't be compared with its limit: give it a unit with system and code."
        units = _extension(definition, _UNITS)
        if (
            type(units) is str
            and type(value) is dict
            and (
                self._is_member(units, value.get("system", ""), value.get("code", "")) is False
                or ("code" not in value or "system" not in value)
            )
        ):
            return say("The unit must be from the value set {units}.", units=units)
        return ""

    def _is_option(self, definition: dict[str, Any], key: str, value: Any) -> bool:
        if key == "valueString" and definition["type"] == "open-choice":
            return True
        options = definition.get("answerOption")
        if options is not None:
            return any(key in o and _is_same(value, o[key]) for o in options)
        url = definition.get("answerValueSet", "")
        if not url or url.startswith("#"):
            return True
        if key == "valueCoding":
            return self._is_member(url, value.get("system", ""), value.get("code", "")) is not False
        return key != "valueString"

    def _exclusive(self, definition: dict[str, Any], values: Any, path: str) -> Findings:
        if len(values) < 2:
            return []
        alone = [o for o in definition.get("answerOption", ()) if _extension(o, _EXCLUSIVE) is True]
        for number, answer in enumerate(values):
            if any(
                k in answer and _is_same(answer[k], o[k]) for o in alone for k in o if k.startswith("value")
            ):
                text = "The answer is an exclusive option: there must be no other beside it."
                return self._error("invariant", text, f"{path}.answer[{number}]")
        return []

    def _is_enabled(self, definition: dict[str, Any]) -> bool:
        conditions = definition.get("enableWhen", ())
        if not conditions:
            return True
        met = [self._is_met(c) for c in conditions]
        return all(met) if definition.get("enableBehavior", "any") == "all" else any(met)

    def _is_met(self, condition: dict[str, Any]) -> bool:
        given = [
            v
            for item in _all_items(self._response)
            if item["linkId"] == condition["question"]
            for a in item.get("answer", ())
            for k, v in a.items()
            if k.startswith("value")
        ]
        wanted = next((v for k, v in condition.items() if k.startswith("answer")), None)
        operator = condition["operator"]
        if operator == "exists":
            return bool(given) == (wanted is True)
        if operator == "=":
            return any(_is_same(v, wanted) for v in given)
        if operator == "!=":
            return bool(given) and not any(_is_same(v, wanted) for v in given)
        allowed = {">": (1,), "<": (-1,), ">=": (0, 1), "<=": (-1, 0)}.get(operator, ())
        return any(order(v, wanted) in allowed for v in given)

    def _has_answer(self, item: dict[str, Any]) -> bool:
        return "answer" in item or any(self._has_answer(i) for i in item.get("item", ()))

    def _error(self, code: str, text: str, path: str) -> Findings:
        return self._run.error(code, text, "questionnaire", path)


def _is_same(value: Any, wanted: Any) -> bool:
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


def _all_items(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in holder.get("item", ()):
        yield item
        yield from _all_items(item)
        for answer in item.get("answer", ()):
            yield from _all_items(answer)


_PRIMITIVES = frozenset({"Boolean", "Decimal", "Integer", "Date", "DateTime", "Time", "String", "Uri"})
_SDC = "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-"
_MIN_OCCURS = _STRUCTURE + "questionnaire-minOccurs"
_MAX_OCCURS = _STRUCTURE + "questionnaire-maxOccurs"
_MIN_LENGTH = _STRUCTURE + "minLength"
_MIN_VALUES = (_STRUCTURE + "minValue", _SDC + "minQuantity")
_MAX_VALUES = (_STRUCTURE + "maxValue", _SDC + "maxQuantity")
_UNITS = _STRUCTURE + "questionnaire-unitValueSet"
_EXCLUSIVE = _STRUCTURE + "questionnaire-optionExclusive"
