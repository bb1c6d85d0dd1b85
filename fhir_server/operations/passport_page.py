"""The passport as a page to print, in both languages: no script, nothing loaded, one style sheet whose hash is told.

https://www.w3.org/TR/CSP3/
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape

from fhir_server.interactions.exchange import FhirResponse
from fhir_server.interactions.steps.prepare import instant
from fhir_server.operations.describing import Line
from fhir_server.operations.sections import Filled
from fhir_server.operations.summary_document import COLUMNS, NOTHING, OLDER, Told

_STYLE = """
body{font:11pt/1.4 system-ui,sans-serif;color:#111;max-width:190mm;margin:1rem auto;padding:0 1rem}
h1{font-size:20pt;margin:0}h2{font-size:13pt;border-bottom:1px solid #999;margin:1.2rem 0 .3rem;break-after:avoid}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.2rem .6rem .2rem 0}
th{font-weight:600;font-size:9pt;color:#444}tr{break-inside:avoid}.other{color:#444;font-weight:400}
p{margin:.3rem 0}@media print{body{margin:0;max-width:none}@page{margin:15mm}}
"""
_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()
_HEADERS = (
    ("Content-Security-Policy",
     f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    ("Cache-Control", "no-store"),
    ("Referrer-Policy", "no-referrer"),
)  # fmt: skip
_MADE = {"en": "Made on", "fr": "Établi le"}


def page(told: Told, titles: Mapping[str, str], language: str, now: int) -> FhirResponse:
    """Return 200 with the page; ``language`` comes first, the other one stands beside it."""
    languages = (language, *(other for other in titles if other != language))
    sections = "".join(_section(told, one, languages) for one in told.sections)
    made = f"{_both(_MADE, languages)} {instant(now)[:16].replace('T', ' ')} UTC"
    text = (
        f'<!DOCTYPE html>\n<html lang="{language}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(titles[language])}</title><style>{_STYLE}</style></head>"
        f"<body><header><h1>{_both(titles, languages)}</h1><p>{made}</p></header>"
        f"<main>{sections}</main></body></html>\n"
    )
    return FhirResponse(200, _HEADERS, (text.encode(),), content_type="text/html; charset=utf-8")


def _section(told: Told, filled: Filled, languages: tuple[str, ...]) -> str:
    section = filled.section
    parts = [f"<h2>{_both(section.titles, languages)}</h2>"]
    if section.note:
        parts.append(f"<p>{_both(section.note, languages)}</p>")
    if filled.rows:
        parts.append(_table([told.lines(filled, language) for language in languages], languages))
    else:
        parts.append(f"<p>{_both(NOTHING, languages)}</p>")
    if filled.is_cut:
        parts.append(f"<p>{_both(OLDER, languages)}</p>")
    return f"<section>{''.join(parts)}</section>"


def _table(spoken: list[list[Line]], languages: tuple[str, ...]) -> str:
    """Return the table of lines that were said in each of the languages."""
    shown = [number for number in range(3) if any(line[number] for line in spoken[0])]
    heads = "".join(
        f"<th>{_both({one: COLUMNS[one][number] for one in languages}, languages)}</th>" for number in shown
    )
    rows = ""
    for lines in zip(*spoken, strict=True):
        said = [dict(zip(languages, (line[number] for line in lines), strict=True)) for number in shown]
        rows += f"<tr>{''.join(f'<td>{_both(texts, languages)}</td>' for texts in said)}</tr>"
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"


def _both(texts: Mapping[str, str], languages: tuple[str, ...]) -> str:
    """Return a text in the first language, and behind it in the others where they say something else."""
    first = texts[languages[0]]
    others = (
        f' <span class="other" lang="{one}">/ {escape(texts[one])}</span>'
        for one in languages[1:]
        if texts[one] != first
    )
    return escape(first) + "".join(others)
