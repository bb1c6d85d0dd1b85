"""One self-contained HTML page: summary, requirement by requirement, each step with its HTTP exchange.

It is whole without JavaScript, which only filters; what servers sent is escaped, and the page's policy runs nothing of
it.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Sequence
from html import escape
from importlib.resources import files

from fhir_server.testscript.requirements import Proof, Requirement, proofs
from fhir_server.testscript.results import (
    ERROR,
    FAIL,
    PASS,
    SKIP,
    WARNING,
    Exchange,
    Phase,
    Run,
    ScriptResult,
    Step,
)

#: The words for the results; a sign besides the colour.
_SAID = {
    PASS: "✓ pass", WARNING: "! warning", SKIP: "- skip", FAIL: "✗ fail", ERROR: "⚠ error", "": "· unproven",
}  # fmt: skip


def page(run: Run, requirements: Sequence[Requirement]) -> bytes:
    """Return the page of a run."""
    folder = files("fhir_server.testscript.reports")
    style, script = (folder.joinpath(name).read_text() for name in ("page.css", "page.js"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'"
    body = "\n".join([*_summary(run), *_requirements(run, requirements), *_scripts(run)])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<title>Conformance of {escape(run.base)}</title>
<style>{style}</style>
</head>
<body>
<main>
{body}
</main>
<script>{script}</script>
</body>
</html>
""".encode()


def _result(result: str) -> str:
    return f'<span class="result {result or "unproven"}">{_SAID[result]}</span>'


def _wide(label: str) -> str:
    """Return the start of a region that scrolls sideways on a narrow screen, by keyboard too."""
    return f'<div class="wide" role="region" aria-label="{label}" tabindex="0">'


def _summary(run: Run) -> Iterator[str]:
    counts = run.counts()
    yield f"<h1>Conformance of {escape(run.base)}</h1>"
    yield f"<p>{_result(run.result)}. {len(run.scripts)} {escape(run.parts)}, begun {escape(run.started)},"
    yield f"{run.seconds:g} s,"
    yield f"fhir-server {escape(run.version)}.</p>"
    yield f"{_wide('Tests by result')}<table><caption>Tests by result. A skipped test never counts as passed.</caption>"
    yield (
        "<thead><tr>" + "".join(f'<th scope="col">{_result(name)}</th>' for name in counts) + "</tr></thead>"
    )
    yield (
        "<tbody><tr>"
        + "".join(f"<td>{count}</td>" for count in counts.values())
        + "</tr></tbody></table></div>"
    )
    options = "".join(f'<option value="{name}">{_SAID[name]}</option>' for name in counts)
    yield '<div class="find" hidden role="search"><label>Find <input id="words" type="search"></label>'
    yield f'<label>Result <select id="result"><option value="">all</option>{options}</select></label>'
    yield '<span id="shown" class="quiet" role="status"></span></div>'


def _requirements(run: Run, requirements: Sequence[Requirement]) -> Iterator[str]:
    found = proofs(run, requirements)
    if not found:
        return
    yield f"<h2>Requirements</h2>{_wide('Requirements')}<table>"
    proven = sum(bool(proof.result) for proof in found)
    yield f"<caption>{proven} of {len(found)} are looked at by a test of this run.</caption>"
    heads = ("Id", "Statement", "Result", "Tests")
    yield "<thead><tr>" + "".join(f'<th scope="col">{head}</th>' for head in heads) + "</tr></thead><tbody>"
    yield from map(_requirement, found)
    yield "</tbody></table></div>"


def _requirement(proof: Proof) -> str:
    it = proof.requirement
    page = f' <a href="{escape(it.page)}">{escape(it.page.rpartition("/")[2])}</a>' if it.page else ""
    tests = ", ".join(f'<a href="#{_anchor(name)}">{escape(name)}</a>' for name in proof.tests)
    said = tests or f'<span class="quiet">{escape(it.unproven)}</span>'
    level = f"<strong>{escape(it.level)}</strong> " if it.level else ""
    return (
        f'<tr data-result="{proof.result or "unproven"}"><th scope="row">{escape(it.id)}</th>'
        f"<td>{level}{escape(it.statement)}{page}</td><td>{_result(proof.result)}</td><td>{said}</td></tr>"
    )


def _anchor(name: str) -> str:
    return "s-" + "".join(c if c.isascii() and c.isalnum() else "-" for c in name)


def _scripts(run: Run) -> Iterator[str]:
    yield f"<h2>{escape(run.parts.capitalize())}</h2>"
    for script in run.scripts:
        is_open = " open" if script.result in {FAIL, ERROR} else ""
        yield f'<details id="{_anchor(script.name)}" data-result="{script.result}"{is_open}>'
        yield f"<summary>{_result(script.result)} {escape(script.title)}"
        yield f'<span class="quiet">{escape(script.name)}, {script.seconds:g} s</span></summary>'
        yield from _script(script)
        yield "</details>"


def _script(script: ScriptResult) -> Iterator[str]:
    if script.error:
        yield f"<p>{escape(script.error)}</p>"
    for phase in script.phases:
        yield from _phase(phase)


def _phase(phase: Phase) -> Iterator[str]:
    yield f"<h3>{escape(phase.kind)}{'' if phase.kind == phase.name else ': ' + escape(phase.name)}</h3>"
    if phase.description:
        yield f'<p class="quiet">{escape(phase.description)}</p>'
    yield "<ol>"
    yield from (_step(step) for step in phase.steps)
    yield "</ol>"


def _step(step: Step) -> str:
    said = f"<br>{escape(step.message)}" if step.message else ""
    sent = _exchange(step.exchange) if step.exchange is not None else ""
    return f"<li>{_result(step.result)} {escape(step.title)}{said}{sent}</li>"


def _exchange(sent: Exchange) -> str:
    status = f"{sent.status}, {sent.seconds * 1000:.0f} ms" if sent.status else "no answer"
    request = "\n".join([f"{sent.method} {sent.url}", *_headers(sent.request_headers), "", sent.request_body])
    response = "\n".join([str(sent.status), *_headers(sent.response_headers), "", sent.response_body])
    return (
        f"<details><summary>{escape(sent.method)} {escape(sent.url)} → {status}</summary>"
        f"<p>Request</p><pre>{escape(request.strip())}</pre><p>Response</p><pre>{escape(response.strip())}</pre></details>"
    )


def _headers(headers: dict[str, str]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers.items()]
