"""Answers against their Questionnaire: link ids, types, options, how many, which are required and enabled.

https://hl7.org/fhir/R4/questionnaireresponse.html#notes, https://hl7.org/fhir/R4/questionnaire.html#notes
"""

from __future__ import annotations

from typing import Any

from fhir_server.messages import say
from fhir_server.validation.report import Findings, Run
from fhir_server.validation.rules.enable_when import Around, EnableWhen, Evaluate
from fhir_server.validation.rules.questionnaire_answer import Member, extension, is_same, problem

_STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
#: Statuses in which everything that is required must be there.
_FINISHED = frozenset({"completed", "amended"})


def answers(
    response: dict[str, Any], questionnaire: dict[str, Any], is_member: Member, evaluate: Evaluate, run: Run
) -> Findings | None:
    """Return what is wrong with the answers of a structurally valid response; None if nothing.

    ``is_member`` tells whether a code is in a value set, ``evaluate`` whether a FHIRPath on the response is true.
    """
    holders = (questionnaire, run.root)
    local = _contained_sets(holders)

    def in_value_set(url: str, system: str, code: str) -> bool | None:
        if url[:1] != "#":
            return is_member(url, system, code)
        value_set = local.get(url[1:])
        return _in_compose(value_set, system, code, is_member) if value_set is not None else None

    check = _Check(response, in_value_set, EnableWhen(response, questionnaire, evaluate), run)
    found = check.items(response, questionnaire.get("item", ()), "", ())
    return found or None


def _contained_sets(holders: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    return {
        inner["id"]: inner
        for holder in holders
        for inner in holder.get("contained", ())
        if inner.get("resourceType") == "ValueSet" and "id" in inner
    }


def _in_compose(value_set: dict[str, Any], system: str, code: str, is_member: Member) -> bool | None:
    """Tell whether a code is in a contained value set; None when more than lists and imports decides."""
    verdicts: list[bool | None] = []
    compose = value_set.get("compose", {})
    for clause in compose.get("include", ()):
        if system and clause.get("system", system) != system:
            verdicts.append(False)
        elif "concept" in clause:
            verdicts.append(any(concept.get("code") == code for concept in clause["concept"]))
        elif "valueSet" in clause and len(clause["valueSet"]) == 1 and "filter" not in clause:
            verdicts.append(is_member(clause["valueSet"][0], system, code))
        else:
            verdicts.append(None)
    if True in verdicts and "exclude" not in compose:
        return True
    return None if None in verdicts or True in verdicts or not verdicts else False


class _Check:
    def __init__(
        self, response: dict[str, Any], is_member: Member, enable_when: EnableWhen, run: Run
    ) -> None:
        self._is_member = is_member
        self._enable_when = enable_when
        self._run = run
        self._is_finished = response.get("status") in _FINISHED

    def items(self, holder: dict[str, Any], definitions: Any, path: str, around: Around) -> Findings:
        """Check the items of a response, an item or an answer (``around`` it) against those that may be there."""
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
            found += self._question(definition, present.get(link, []), path, around)
        return found

    def _question(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str, around: Around
    ) -> Findings:
        if not self._enable_when.is_enabled(definition, around):
            return [
                f
                for index, item in present
                if "answer" in item or "item" in item
                for f in self._error(
                    "invalid",
                    "The item isn't enabled by enableWhen: take its answer away.",
                    f"{path}.item[{index}]",
                )
            ]
        found: Findings = []
        for index, item in present:
            if item.get("text", definition.get("text")) != definition.get("text"):
                text = "The text must be that of the item in the Questionnaire: mend it, or leave it out."
                found += self._run.judged("invalid", text, "questionnaire", f"{path}.item[{index}].text")
        check = self._group if definition["type"] == "group" else self._answered
        return found + check(definition, present, path, around)

    def _group(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str, around: Around
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
            if definition.get("required") and "item" not in item:
                text = say("The required group {link_id} has no items.", link_id=definition["linkId"])
                found += self._run.judged("required", text, "questionnaire", place)
            found += self.items(item, definition.get("item", ()), place, (*around, (definition, item)))
        return found

    def _answered(
        self, definition: dict[str, Any], present: list[tuple[int, dict[str, Any]]], path: str, around: Around
    ) -> Findings:
        found: Findings = []
        answered = [(i, item, item.get("answer", [])) for i, item in present]
        count = sum(len(a) for _, _, a in answered)
        first = f"{path}.item[{present[0][0]}]" if present else path
        if definition["type"] == "display":
            if count:
                found += self._error("structure", "An item of type display can't have answers.", first)
            elif any("item" in item for _, item in present):
                found += self._error("structure", "An item of type display can't have items.", first)
            return found
        if definition.get("required") and not count and self._is_finished:
            text = say("The required item {link_id} has no answer.", link_id=definition["linkId"])
            found += self._error("required", text, first)
        if count > 1 and not definition.get("repeats"):
            found += self._error("invalid", "Only one answer is allowed: the item doesn't repeat.", first)
        least, most = extension(definition, _MIN_OCCURS), extension(definition, _MAX_OCCURS)
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
                inner = (*around, (definition, item))
                found += self.items(answer, definition.get("item", ()), f"{place}.answer[{number}]", inner)
            found += self._exclusive(definition, values, place)
        return found

    def _answer(self, definition: dict[str, Any], answer: dict[str, Any], path: str) -> Findings:
        found = problem(definition, answer, self._is_member)
        return self._error("invariant", found[0], path + found[1]) if found is not None else []

    def _exclusive(self, definition: dict[str, Any], values: Any, path: str) -> Findings:
        if len(values) < 2:
            return []
        alone = [o for o in definition.get("answerOption", ()) if extension(o, _EXCLUSIVE) is True]
        for number, answer in enumerate(values):
            if any(
                k in answer and is_same(answer[k], o[k]) for o in alone for k in o if k.startswith("value")
            ):
                text = "The answer is an exclusive option: there must be no other beside it."
                return self._error("invariant", text, f"{path}.answer[{number}]")
        return []

    def _error(self, code: str, text: str, path: str) -> Findings:
        return self._run.error(code, text, "questionnaire", path)


_MIN_OCCURS = _STRUCTURE + "questionnaire-minOccurs"
_MAX_OCCURS = _STRUCTURE + "questionnaire-maxOccurs"
_EXCLUSIVE = _STRUCTURE + "questionnaire-optionExclusive"
