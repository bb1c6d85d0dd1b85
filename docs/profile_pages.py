"""Writes docs/profiles: a page for each profile of the health space, made from the profiles themselves.

Run by ``make docs``; tests/packaging/test_profile_pages.py tells when a page is out of date.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fhir_server.datatypes.json_format import decode
from fhir_server.definitions import Definitions
from fhir_server.definitions.content import own_definitions
from fhir_server.validation.snapshot import Snapshots

Json = dict[str, Any]

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "docs" / "profiles"
#: Value sets with more codes are not listed on the page.
MOST_CODES = 14
_NOTE = "<!-- Made by `make docs` from profiles/ and examples/; edit there. -->"
_VALUES = ("fixed", "pattern", "minValue", "maxValue")


class Pages:
    """The pages by file name; reads profiles, value sets and examples once."""

    def __init__(self) -> None:
        definitions = Definitions()
        own = [decode(body) for _, _, body in own_definitions()]
        for definition in own:
            definitions.add(definition)
        self._snapshots = Snapshots(definitions)
        self._valuesets = {d["url"]: d for d in own if d["resourceType"] == "ValueSet"}
        self._systems = {d["url"]: d for d in own if d["resourceType"] == "CodeSystem"}
        self.profiles = {
            d["id"]: d
            for d in own
            if d["resourceType"] == "StructureDefinition" and d["id"].startswith("hs-")
        }
        self._rules: Json = json.loads((ROOT / "examples/rules/expected.json").read_text(encoding="utf-8"))
        self._claims: dict[str, list[str]] = {}
        for file in sorted((ROOT / "examples").glob("rules/*/*.json")) + sorted(
            (ROOT / "examples").glob("pass/*/*.json")
        ):
            resource = json.loads(file.read_text(encoding="utf-8"))
            for url in resource.get("meta", {}).get("profile", ()):
                self._claims.setdefault(url, []).append(file.relative_to(ROOT / "examples").as_posix())

    def all(self) -> dict[str, str]:
        """Return the text of each page by its name in the folder."""
        pages = {f"{id_}.md": _page(self._sections(profile)) for id_, profile in self.profiles.items()}
        return {"README.md": _page(self._index()), **pages}

    def _index(self) -> Iterator[str]:
        yield f"{_NOTE}\n\n# Profiles of the health space"
        yield (
            "What a record must be to enter a citizen's space. Each page has the elements that a profile constrains, "
            "its bindings, its invariants in English and French, what it corresponds to elsewhere, and examples that "
            "pass, warn and fail. The files are in [profiles/](../../profiles/README.md); a running server has them "
            "as `GET StructureDefinition?url=...`. Rules that need more than the record itself (another record, the "
            "clock, the caller) are not profiles but business rules of the server, see [api.md](../api.md)."
        )
        for title, wanted in (("Profiles", False), ("Extensions", True)):
            rows = [
                (f"[{id_}]({id_}.md)", p["type"], p["title"], _french(p, "title"), p["description"])
                for id_, p in sorted(self.profiles.items())
                if (p["type"] == "Extension") == wanted
            ]
            yield f"## {title}"
            yield _table(("id", "type", "title", "titre", "what for"), rows)

    def _sections(self, profile: Json) -> Iterator[str]:
        url, base = profile["url"], profile["baseDefinition"].rpartition("/")[2]
        yield f"{_NOTE}\n\n# {profile['title']} (`{profile['id']}`)"
        yield f"*{_french(profile, 'title')}.* {profile['description']}"
        derived = (
            f"[{base}]({base}.md)"
            if base in self.profiles
            else f"[{base}](https://hl7.org/fhir/R4/{base.lower()}.html)"
        )
        file = f"StructureDefinition-{profile['id']}.json"
        yield "\n".join((
            f"- Address: `{url}`, version {profile['version']}, {profile['status']}",
            f"- On {profile['type']}, derived from {derived}; source: [{file}](../../profiles/{file})",
            f"- JSON Schema: `GET [base]/StructureDefinition/{profile['id']}/$json-schema`, `fhir-server schema {url}`",
            f"- Check a file: `fhir-server validate FILE --profile {url}`",
        ))  # fmt: skip
        yield "## Elements"
        yield "What the profile says of each element; **bold** cardinalities are its own."
        yield _table(("element", "card.", "type", "rule"), self._elements(profile))
        if bindings := list(self._bindings(profile)):
            yield "## Bindings"
            yield _table(("element", "strength", "value set", "codes"), bindings)
        if invariants := list(_invariants(profile)):
            yield "## Invariants"
            yield _table(("key", "severity", "on", "English", "français"), invariants)
            yield "```text\n" + "\n".join(_expressions(profile)) + "\n```"
        if mapped := list(_mapped(profile)):
            yield "## Elsewhere"
            names = {m["identity"]: f"[{m['name']}]({m['uri']})" for m in profile["mapping"]}
            yield _table(
                ("element", *names.values()),
                ((path, *(row.get(n, "") for n in names)) for path, row in mapped),
            )
        yield "## Examples"
        yield from self._examples(url)

    def _elements(self, profile: Json) -> Iterator[tuple[str, ...]]:
        complete = {e["id"]: e for e in self._snapshots.complete(profile)["snapshot"]["element"]}
        for element in profile["differential"]["element"]:
            said = _said(element)
            whole = complete.get(element["id"], element)
            card = f"{whole.get('min', 0)}..{whole.get('max', '*')}"
            own = "min" in element or "max" in element
            if said or own or "type" in element:
                yield (
                    f"`{element['id']}`",
                    f"**{card}**" if own else card,
                    "<br>".join(map(_typed, element.get("type", ()))),
                    "<br>".join(said),
                )

    def _bindings(self, profile: Json) -> Iterator[tuple[str, ...]]:
        for element in profile["differential"]["element"]:
            if "binding" in element:
                url = element["binding"].get("valueSet", "")
                yield f"`{element['id']}`", element["binding"]["strength"], self._named(url), self._codes(url)

    def _named(self, url: str) -> str:
        found = self._valuesets.get(url.partition("|")[0])
        return f"[{found['id']}](../../terminology/ValueSet-{found['id']}.json)" if found else f"`{url}`"

    def _codes(self, url: str) -> str:
        found = self._valuesets.get(url.partition("|")[0])
        if found is None:
            return ""
        codes: list[str] = []
        for part in found.get("compose", {}).get("include", ()):
            system = self._systems.get(part.get("system", ""), {})
            listed = part.get("concept") or system.get("concept", ()) if not part.get("filter") else ()
            codes += [concept["code"] for concept in listed]
        return ", ".join(f"`{code}`" for code in codes) if len(codes) <= MOST_CODES else f"{len(codes)} codes"

    def _examples(self, url: str) -> Iterator[str]:
        claims = self._claims.get(url, [])
        good = [f for f in claims if f.startswith("rules/pass/")] or [
            f for f in claims if f.startswith("pass/")
        ][:5]
        if good:
            yield "Passes: " + ", ".join(f"[{_name(f)}](../../examples/{f})" for f in good) + "."
        bad = [f for f in claims if f.startswith(("rules/warn/", "rules/fail/"))]
        rows = []
        for file in bad:
            row = self._rules[file.removeprefix("rules/")]
            rule = row["rule"].replace(url.rpartition("/")[0] + "/", "")
            verdict = "warns" if file.startswith("rules/warn/") else "fails"
            rows.append(
                (
                    f"[{_name(file)}](../../examples/{file})",
                    verdict,
                    row["code"],
                    f"`{rule}`",
                    f"`{row['expression']}`",
                )
            )
        if rows:
            yield _table(("file", "verdict", "issue code", "rule", "reported at"), rows)
        if not claims:
            yield "It is used by the examples of the other profiles; none claims it itself."


def _said(element: Json) -> list[str]:
    """Return fixed values, patterns, slicing and the like in words."""
    said = []
    if slicing := element.get("slicing"):
        by = " and ".join(f"{d['type']} of `{d['path']}`" for d in slicing.get("discriminator", ()))
        said.append(f"sliced by {by} ({slicing['rules']})")
    for name, value in element.items():
        kind = next((k for k in _VALUES if name.startswith(k)), "")
        if kind:
            said.append(f"{kind} `{_short(value)}`")
    if "binding" in element:
        said.append(f"{element['binding']['strength']} binding")
    said += [f"`{c['key']}`" for c in element.get("constraint", ())]
    return said


def _short(value: Any) -> str:
    """Return a value as people write it: coded ones as system#code."""
    if isinstance(value, dict) and set(value) == {"coding"}:
        return ", ".join(_short(coding) for coding in value["coding"])
    if isinstance(value, dict) and "code" in value:
        return f"{value.get('system', '')}#{value['code']}"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _typed(type_: Json) -> str:
    targets = [url.rpartition("/")[2] for url in (*type_.get("targetProfile", ()), *type_.get("profile", ()))]
    return f"{type_['code']}({', '.join(targets)})" if targets else str(type_["code"])


def _invariants(profile: Json) -> Iterator[tuple[str, ...]]:
    for element in profile["differential"]["element"]:
        for constraint in element.get("constraint", ()):
            text, french = constraint["human"], _french(constraint, "human")
            yield f"`{constraint['key']}`", constraint["severity"], f"`{element['id']}`", text, french


def _expressions(profile: Json) -> Iterator[str]:
    told: dict[str, str] = {}
    for element in profile["differential"]["element"]:
        for constraint in element.get("constraint", ()):
            told.setdefault(constraint["key"], constraint["expression"])
    return (f"{key}: {expression}" for key, expression in told.items())


def _mapped(profile: Json) -> Iterator[tuple[str, dict[str, str]]]:
    for element in profile["differential"]["element"]:
        if "mapping" in element:
            yield f"`{element['id']}`", {row["identity"]: f"`{row['map']}`" for row in element["mapping"]}


def _french(holder: Json, name: str) -> str:
    for extension in holder.get(f"_{name}", {}).get("extension", ()):
        parts = {part["url"]: part for part in extension["extension"]}
        if parts["lang"]["valueCode"] == "fr":
            return str(parts["content"]["valueString"])
    return ""


def _name(file: str) -> str:
    return Path(file).stem


def _table(head: tuple[str, ...], rows: Any) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join(lines + [f"| {' | '.join(row)} |" for row in rows])


def _page(sections: Iterator[str]) -> str:
    return "\n\n".join(sections) + "\n"


def main() -> None:
    """Write the pages, and remove those of profiles that are gone."""
    pages = Pages().all()
    FOLDER.mkdir(exist_ok=True)
    for file in FOLDER.glob("*.md"):
        if file.name not in pages:
            file.unlink()
    for name, text in pages.items():
        (FOLDER / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
