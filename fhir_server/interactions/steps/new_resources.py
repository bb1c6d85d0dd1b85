"""The resources that a transaction makes, searched in memory before they are stored.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

from fhir_server.interactions.steps.transaction_writes import Write
from fhir_server.outcome import error
from fhir_server.search.combining import And
from fhir_server.search.expression import Equal, Expression, texts
from fhir_server.search.lookups import questions
from fhir_server.store.documents import order_key

#: A moment later than anything stored: what a transaction makes is new to criteria on _lastUpdated.
_LATER = 2**47

Document = dict[str, object]


class NewResources:
    """Finds what matches among the writes whose index entries are known; equalities are looked up in a table."""

    def __init__(self, writes: Sequence[Write]) -> None:
        self._writes = writes
        self._documents: dict[int, Document] = {}
        self._tables: dict[tuple[str, str], dict[str, list[Write]]] = {}

    def renew(self) -> None:
        """Take in the writes whose entries became known since."""
        self._tables.clear()

    def matches(self, type_: str, expression: Expression) -> list[Write]:
        """Return the writes whose resources match.

        Raises FhirError 400 for criteria that first ask the store: its answer can't count what is not stored yet.
        """
        if questions(expression):
            raise error(
                "not-supported",
                "In a transaction, criteria can't hold chains, _has, lists, hierarchies or terminology modifiers: "
                "they would have to count what the transaction itself makes. Name the resource by its own values.",
                status=400,
            )
        return [
            write
            for write in self._candidates(type_, expression)
            if expression.matches(self._document(write))
        ]

    def _of_type(self, type_: str) -> Iterable[Write]:
        return (w for w in self._writes if w.type == type_ and w.entries is not None and w.matched is None)

    def _candidates(self, type_: str, expression: Expression) -> Iterable[Write]:
        leaves = expression.operands if isinstance(expression, And) else (expression,)
        equal = next((leaf for leaf in leaves if isinstance(leaf, Equal)), None)
        if equal is None:
            return self._of_type(type_)
        table = self._tables.get((type_, equal.field))
        if table is None:
            made: defaultdict[str, list[Write]] = defaultdict(list)
            for write in self._of_type(type_):
                for text in dict.fromkeys(texts(self._document(write), equal.field)):
                    made[text].append(write)
            table = self._tables[type_, equal.field] = dict(made)
        found = {write.entry.number: write for value in equal.values for write in table.get(value, ())}
        return found.values()

    def _document(self, write: Write) -> Document:
        known = self._documents.get(write.entry.number)
        if known is None:
            entries = write.entries
            assert entries is not None
            known = self._documents[write.entry.number] = {
                "_id": write.id,
                "lu": order_key(_LATER, write.id),
                "p": entries.patient,
                "cp": list(entries.other_compartments),
                "i": entries.values,
                "x": entries.raw,
            }
        return known
