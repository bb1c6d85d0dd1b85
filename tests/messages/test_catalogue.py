"""Every sentence of the validation has a translation with the same parameters in every language."""

from __future__ import annotations

import json
from pathlib import Path
from string import Formatter

import pytest

from fhir_server import messages
from fhir_server.datatypes.primitives import JSON_TYPES, PRIMITIVES
from fhir_server.definitions import Definitions
from fhir_server.messages import (
    ENGLISH,
    TRANSLATION,
    alternatives,
    chosen,
    defined,
    languages,
    say,
    together,
    translated,
    translations,
)
from fhir_server.outcome import Issue
from fhir_server.validation.rules.primitive import ELEMENT_ID
from tests.messages.sentences import said

#: https://hl7.org/fhir/R4/valueset-resource-aggregation-mode.html
AGGREGATIONS = ("contained", "referenced", "bundled")
OTHERS = [language for language in languages() if language != ENGLISH]


def constraints() -> dict[str, str]:
    """Return a place of each text of a constraint in the base definitions."""
    definitions = Definitions()
    found: dict[str, str] = {}
    for name in definitions.types.names():
        structure = definitions.structure(name) if "." not in name else None
        for element in (structure or {}).get("snapshot", {}).get("element", ()):
            for constraint in element.get("constraint", ()):
                found.setdefault(constraint["human"], f"{constraint['key']} of {element['path']}")
    return found


def templates() -> dict[str, str]:
    """Return all templates, each with a place where it is said."""
    found = {sentence.template: sentence.place for sentence in said() if not sentence.is_formatted}
    for primitive in (*PRIMITIVES.values(), ELEMENT_ID):
        found |= dict.fromkeys((primitive.json, primitive.form), f"primitive type {primitive.name}")
    found |= dict.fromkeys((*JSON_TYPES.values(), *AGGREGATIONS), "the words of a sentence")
    return found


def fields(template: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(template) if name}


def test_no_sentence_is_made_by_an_f_string() -> None:
    found = [f"{s.place}: {s.template}" for s in said() if s.is_formatted]
    assert not found, "say(...) these, so that they can be translated:\n" + "\n".join(found)


@pytest.mark.parametrize("language", OTHERS)
def test_every_sentence_has_a_translation(language: str) -> None:
    catalogue = translations(language)
    missing = [f"{place}: {t}" for t, place in (templates() | constraints()).items() if t not in catalogue]
    assert not missing, f"add these to fhir_server/messages/{language}.json:\n" + "\n".join(missing)


@pytest.mark.parametrize("language", OTHERS)
def test_translations_have_the_parameters_of_their_templates(language: str) -> None:
    human = constraints()
    different = [
        t for t, text in translations(language).items() if t not in human and fields(t) != fields(text)
    ]
    assert not different


@pytest.mark.parametrize("language", OTHERS)
def test_no_translation_is_left_over(language: str) -> None:
    known = templates().keys() | constraints().keys()
    left_over = [template for template in translations(language) if template not in known]
    assert not left_over, "nothing says these any more"


@pytest.mark.parametrize("language", OTHERS)
def test_a_template_stands_once_in_its_file(language: str) -> None:
    path = Path(messages.__file__).parent / f"{language}.json"
    seen: list[str] = []
    json.loads(
        path.read_bytes(),
        object_pairs_hook=lambda pairs: seen.extend(n for n, v in pairs if isinstance(v, str)),
    )
    assert len(seen) == len(set(seen))


def test_parts_of_a_sentence_are_translated_with_it() -> None:
    sentence = say(
        "The reference must point to {targets}, not to {type}.",
        targets=alternatives(("A", "B", "C")),
        type="D",
    )
    assert sentence == "The reference must point to A or B or C, not to D."
    assert translated(sentence, "fr") == "La référence doit désigner A ou B ou C, non D."
    assert translated(together(("x", "y")), "fr") == "x et y"


def test_what_the_sender_wrote_is_never_translated() -> None:
    sentence = say(
        '{path} has no property "{key}": {advice}', path="a string", key="{advice}", advice=say("remove it.")
    )
    assert translated(sentence, "fr") == "a string n'a pas de propriété « {advice} » : retirez-le."


def test_a_definition_brings_its_translations() -> None:
    parts = [{"url": "lang", "valueCode": "fr-FR"}, {"url": "content", "valueString": "Pas de {x}."}]
    text = defined("No {x}.", {"extension": [{"url": TRANSLATION, "extension": parts}, {"url": "urn:other"}]})
    assert (text, translated(text, "fr")) == ("No {x}.", "Pas de {x}.")
    assert (
        translated(say("{text} (profile {profile})", text=text, profile="p"), "fr")
        == "Pas de {x}. (profil p)"
    )
    assert type(defined("No {x}.", None)) is str


def test_a_sentence_without_translation_stays_english() -> None:
    assert translated("Nobody says this.", "fr") is None
    assert Issue("error", "value", "Nobody says this.").as_json()["diagnostics"] == "Nobody says this."


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("fr", "fr"),
        ("fr-CA", "fr"),
        ("FR-fr;q=0.9, en;q=0.8", "fr"),
        ("en;q=0.8, fr;q=0.9", "fr"),
        ("en, fr", "en"),
        ("de, fr;q=0.5", "fr"),
        ("de", "en"),
        ("*, fr;q=0.5", "en"),
        ("fr;q=0", "en"),
        ("fr;q=x, ;;,", "en"),
    ],
)
def test_the_language_that_is_asked_for(header: str, language: str) -> None:
    assert chosen(header) == language
