"""Documents and messages: what their first entry refers to is in the Bundle, and whatever is in it is referred to.

https://hl7.org/fhir/R4/documents.html#content, https://hl7.org/fhir/R4/messaging.html,
https://hl7.org/fhir/R4/bundle.html#references
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.datatypes.references import parse
from fhir_server.messages import say
from fhir_server.validation.report import Findings, Run

_TRANSIENT = ("urn:", "cid:")
#: What a document must hold of that to which its Composition refers; the names may lead through other elements.
_COMPOSITION = (
    ("subject",),
    ("author",),
    ("encounter",),
    ("custodian",),
    ("attester", "party"),
    ("event", "detail"),
)
_SECTION = (("author",), ("focus",), ("entry",))
#: Properties whose texts never mean an entry.
_NO_LINK = frozenset({"system", "fullUrl", "profile", "div", "resourceType", "data"})


def document_entries(bundle: dict[str, Any], run: Run) -> Findings | None:
    """Check the references in a document or message whose structure is right."""
    kind = bundle.get("type")
    if kind not in {"document", "message"}:
        return None
    entries = _Entries(bundle["entry"])
    first = bundle["entry"][0].get("resource")
    if first is None:
        holds = "Composition" if kind == "document" else "MessageHeader"
        text = say("The first entry of a {kind} must hold its {holds}.", kind=kind, holds=holds)
        return run.judged("invalid", text, "first-entry", ".entry[0]")
    needed = _of_composition(first, "") if kind == "document" else _at(first, ("focus",), "")
    found: Findings = []
    for reference, path in needed:
        text = entries.problem(reference, 0, is_needed=True)
        if text:
            found += run.judged("not-found", text, "entry-reference", f".entry[0].resource{path}")
    told = {finding.path for finding in found}
    for number, entry in enumerate(bundle["entry"]):
        for reference, path in _references(entry.get("resource"), f".entry[{number}].resource"):
            text = "" if path in told else entries.problem(reference, number, is_needed=False)
            if text:
                found += run.judged("not-found", text, "entry-reference", path)
    if kind == "document" and not found:
        for number in sorted(set(entries.numbers) - entries.linked()):
            text = "Nothing in the document refers to this entry: refer to it from the Composition, or leave it out."
            found += run.judged("informational", text, "entry-orphan", f".entry[{number}]")
    return found or None


def _of_composition(composition: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for way in _COMPOSITION:
        yield from _at(composition, way, path)
    yield from _of_sections(composition, path)


def _of_sections(holder: dict[str, Any], path: str) -> Iterator[tuple[str, str]]:
    for index, section in enumerate(holder.get("section", ())):
        place = f"{path}.section[{index}]"
        for way in _SECTION:
            yield from _at(section, way, place)
        yield from _of_sections(section, place)


def _at(holder: dict[str, Any], way: tuple[str, ...], path: str) -> Iterator[tuple[str, str]]:
    """Yield the literal references at the end of a way of names, with their paths."""
    value = holder.get(way[0])
    items = [(value, f"{path}.{way[0]}")]
    if type(value) is list:
        items = [(item, f"{path}.{way[0]}[{index}]") for index, item in enumerate(value)]
    for item, place in items:
        if type(item) is not dict:
            continue
        if len(way) > 1:
            yield from _at(item, way[1:], place)
        elif type(item.get("reference")) is str and item["reference"][:1] != "#":
            yield item["reference"], place


def _references(node: Any, path: str) -> Iterator[tuple[str, str]]:
    """Yield all literal references below a node that leave their resource, those in inner Bundles left out."""
    if type(node) is dict and node.get("resourceType") != "Bundle":
        text = node.get("reference")
        if type(text) is str and text[:1] != "#":
            yield text, path
        for key, value in node.items():
            yield from _references(value, f"{path}.{key}")
    elif type(node) is list:
        for index, value in enumerate(node):
            yield from _references(value, f"{path}[{index}]")


def _texts(node: Any) -> Iterator[str]:
    if type(node) is dict:
        for key, value in node.items():
            if key not in _NO_LINK:
                yield from _texts(value)
    elif type(node) is list:
        for value in node:
            yield from _texts(value)
    elif type(node) is str:
        yield node.partition("#")[0]


class _Entries:
    """The entries of one Bundle by the names that references may give them."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self._entries = entries
        self._by_url: dict[str, list[int]] = {}
        self._by_name: dict[str, list[int]] = {}
        self.numbers = [n for n, entry in enumerate(entries) if "resource" in entry]
        for number in self.numbers:
            resource = entries[number]["resource"]
            names = [(self._by_url, entries[number].get("fullUrl"))]
            if "id" in resource:
                names.append((self._by_name, f"{resource['resourceType']}/{resource['id']}"))
            version = resource.get("meta", {}).get("versionId")
            names += [(table, f"{name}/_history/{version}") for table, name in names if name and version]
            for table, name in names:
                if name:
                    table.setdefault(name, []).append(number)

    def targets(self, reference: str, number: int) -> list[int]:
        """Return the entries that a reference in an entry means."""
        text = reference.partition("#")[0]
        if ":" in text:
            return self._by_url.get(text, [])
        found = self._by_url.get(self._base(number) + text, [])
        if not found and self._is_transient(number):
            named = self._by_name.get(text, [])
            found = named if len(named) == 1 and self._is_transient(named[0]) else []
        return found

    def problem(self, reference: str, number: int, *, is_needed: bool) -> str:
        """Return what is wrong with a reference in an entry, "" if nothing is."""
        found = self.targets(reference, number)
        if len(found) > 1:
            return say(
                "{count} entries of the Bundle match the reference: give them fullUrls of their own.",
                count=len(found),
            )
        if found:
            return ""
        text = reference.partition("#")[0]
        if ":" not in text and text in self._by_name:
            return (
                "The Bundle has an entry with this type and id, but its fullUrl isn't what the reference means"
                " (the base of the entry's own fullUrl with the reference behind it)."
            )
        is_text = parse(text) is None
        return (
            "The Bundle must hold the target of the reference: add it as an entry."
            if is_needed and not is_text
            else ""
        )

    def linked(self) -> set[int]:
        """Return the entries that are linked with the first one, in either direction."""
        neighbours: dict[int, set[int]] = {number: set() for number in self.numbers}
        for number in self.numbers:
            for text in set(_texts(self._entries[number]["resource"])):
                for target in self.targets(text, number) or self._by_name.get(text, []):
                    neighbours[number].add(target)
                    neighbours[target].add(number)
        reached, waiting = set(), self.numbers[:1]
        while waiting:
            number = waiting.pop()
            if number not in reached:
                reached.add(number)
                waiting += neighbours[number]
        return reached

    def _base(self, number: int) -> str:
        """Return what comes before Type/id in the fullUrl of an entry; no URL if it isn't a RESTful one."""
        resource, url = self._entries[number]["resource"], self._entries[number].get("fullUrl", "")
        tail = f"/{resource['resourceType']}/{resource.get('id')}"
        return url[: -len(tail) + 1] if url.endswith(tail) else "\n"

    def _is_transient(self, number: int) -> bool:
        return str(self._entries[number].get("fullUrl", "")).startswith(_TRANSIENT)
