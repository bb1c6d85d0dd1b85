"""Whether an item of a Questionnaire is enabled, given the answers.

https://hl7.org/fhir/R4/questionnaire-definitions.html#Questionnaire.item.enableWhen,
http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from fhir_server.validation.rules.questionnaire_answer import extension, is_same
from fhir_server.validation.rules.value import order

#: Tells whether a FHIRPath on the response is true; None if it can't be evaluated.
Evaluate = Callable[[str], bool | None]
#: Definition and answered item of the items around one, outermost first.
Around = Sequence[tuple[dict[str, Any], dict[str, Any]]]

_EXPRESSIONS = (
    "http://hl7.org/fhir/uv/sdc/StructureDefinition/sdc-questionnaire-enableWhenExpression",
    # The expression as a string: how it was done in Finland before there was the other.
    "http://phr.kanta.fi/StructureDefinition/fiphr-ext-questionnaire-enablewhen",
)
_ORDERS = {">": (1,), "<": (-1,), ">=": (0, 1), "<=": (-1, 0)}


class EnableWhen:
    """Decides for the items of one response."""

    def __init__(self, response: dict[str, Any], questionnaire: dict[str, Any], evaluate: Evaluate) -> None:
        self._response = response
        self._evaluate = evaluate
        self._ways: dict[str, tuple[str, ...]] = dict(_ways(questionnaire, ()))

    def is_enabled(self, definition: dict[str, Any], around: Around) -> bool:
        """Tell whether an item is enabled; one whose expression can't be evaluated is."""
        for url in _EXPRESSIONS:
            found = extension(definition, url)
            text = found.get("expression") if type(found) is dict else found
            if type(text) is str:
                return self._evaluate(text) is not False
        conditions = definition.get("enableWhen", ())
        if not conditions:
            return True
        met = [self._is_met(condition, around) for condition in conditions]
        return all(met) if definition.get("enableBehavior", "any") == "all" else any(met)

    def _is_met(self, condition: dict[str, Any], around: Around) -> bool:
        given = [
            value
            for item in self._in_scope(condition["question"], around)
            for answer in item.get("answer", ())
            for key, value in answer.items()
            if key.startswith("value")
        ]
        wanted = next((v for k, v in condition.items() if k.startswith("answer")), None)
        operator = condition["operator"]
        if operator == "exists":
            return bool(given) == (wanted is True)
        if operator == "=":
            return any(is_same(value, wanted) for value in given)
        if operator == "!=":
            return any(not is_same(value, wanted) for value in given)
        return any(order(value, wanted) in _ORDERS.get(operator, ()) for value in given)

    def _in_scope(self, question: str, around: Around) -> Iterator[dict[str, Any]]:
        """Yield the answered items of a question in the innermost group that holds it as well as the asking item."""
        way = self._ways.get(question, ())
        scope = self._response
        for depth, (definition, item) in enumerate(around):
            if way[depth : depth + 1] != (definition["linkId"],):
                break
            scope = item
        if scope.get("linkId") == question:
            yield scope
        yield from (item for item in _all_items(scope) if item["linkId"] == question)


def _ways(holder: dict[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield the link id of each item of a Questionnaire with those around it, itself included."""
    for item in holder.get("item", ()):
        way = (*above, item["linkId"])
        yield item["linkId"], way
        yield from _ways(item, way)


def _all_items(holder: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for item in holder.get("item", ()):
        yield item
        yield from _all_items(item)
        for answer in item.get("answer", ()):
            yield from _all_items(answer)
