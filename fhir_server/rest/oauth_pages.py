"""The pages of the development authorization server: HTML that works without script, in French and English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import urlsplit

from fhir_server.access.oauth.clients import Registration
from fhir_server.access.oauth.wording import FRENCH, described
from fhir_server.rest.personas import Persona

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --quiet: #57606a; --paper: #fff; --page: #f3f5f8; --line: #c9d0d8;
  --field: #767f89; --accent: #0b4f8a; --on: #fff; --note: #fff4d6; --edge: #b26b00; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6edf3; --quiet: #9aa4ae; --paper: #161b22; --page: #0d1117; --line: #3d444d; --field: #7d8590;
    --accent: #6cb6ff; --on: #0d1117; --note: #2e2408; --edge: #e3b341; } }
* { box-sizing: border-box; }
body { font: 1.05rem/1.5 system-ui, sans-serif; margin: 0; padding: 1rem; color: var(--ink); background: var(--page); }
main { max-width: 40rem; margin: 0 auto; padding: 1.2rem 1.5rem; background: var(--paper); border-radius: .7rem;
  border: 1px solid var(--line); border-top: .35rem solid var(--accent); overflow-wrap: anywhere; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: .2rem 0 1rem; }
fieldset { border: 1px solid var(--line); border-radius: .5rem; margin: 1.2rem 0; padding: .3rem 1rem .7rem;
  min-width: 0; }
legend { font-weight: 600; padding: 0 .4rem; }
fieldset p { margin: .2rem 0; color: var(--quiet); }
.people { max-height: 19rem; overflow-y: auto; }
label { display: block; padding: .4rem 0; }
.choice { display: grid; grid-template-columns: auto 1fr; column-gap: .6rem; align-items: start; }
.choice code { grid-column: 2; }
input, select, button { font: inherit; color: inherit; }
select { display: block; width: 100%; padding: .5rem; background: var(--paper); border: 1px solid var(--field);
  border-radius: .4rem; }
input[type=radio], input[type=checkbox] { width: 1.2rem; height: 1.2rem; margin: .15rem 0 0;
  accent-color: var(--accent); }
button { padding: .6rem 1.6rem; border-radius: .4rem; border: 2px solid var(--accent); background: none;
  color: var(--accent); cursor: pointer; margin: .3rem .5rem .3rem 0; }
button.main { background: var(--accent); color: var(--on); font-weight: 600; }
:focus-visible { outline: 3px solid #e07a00; outline-offset: 2px; }
code { font-size: .85em; color: var(--quiet); }
.notice { background: var(--note); border-left: .3rem solid var(--edge); padding: .5rem 1rem; margin: 0 0 1rem; }
"""
_WORDS: Mapping[str, tuple[str, str]] = {
    "title": ("Let {app} in?", "Autoriser {app} ?"),
    "test": (
        "This is a test: anybody can sign in as anybody here. Never use real data.",
        "Ceci est un essai : chacun peut se connecter sous tout nom. N'utilisez jamais de vraies données.",
    ),
    "who": ("Who are you?", "Qui êtes-vous ?"),
    "patient": ("Whose record?", "Le dossier de qui ?"),
    "own": ("my own, or none", "le mien, ou aucun"),
    "what": ("What may {app} do?", "Que peut faire {app} ?"),
    "untick": ("Untick what you don't want.", "Décochez ce que vous ne voulez pas."),
    "allow": ("Allow", "Autoriser"),
    "deny": ("Refuse", "Refuser"),
    "simulate": ("For developers: what is to happen", "Pour les développeurs : ce qui doit arriver"),
    "nothing": ("what I choose", "ce que je choisis"),
    "nobody": (
        "The server holds no person yet. Store a Patient first.",
        "Le serveur ne contient encore personne. Enregistrez d'abord un Patient.",
    ),
    "refused": ("This can't go on", "Impossible de continuer"),
    "launch": (
        "Start an app as a record system would",
        "Lancer une application comme le ferait un logiciel métier",
    ),
    "app": ("App", "Application"),
    "start": ("Start", "Lancer"),
    "none": (
        "No app with a launch_uri is registered.",
        "Aucune application avec un launch_uri n'est enregistrée.",
    ),
    "later": ("choose when asked", "choisir plus tard"),
}
#: Errors that can be had on purpose.
SIMULATED = ("access_denied", "server_error", "temporarily_unavailable", "invalid_scope")


def page_headers(*redirects: str) -> dict[str, str]:
    """Return the headers of a page; its form may only lead on to where ``redirects`` are."""
    onwards = "".join(sorted({f" {_source(redirect)}" for redirect in redirects}))
    return {
        "Content-Security-Policy": "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'; "
        f"form-action 'self'{onwards}",
        "X-Frame-Options": "DENY",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
        "Content-Language": "fr, en",
    }


def consent_page(
    language: str,
    client: Registration,
    request_id: str,
    scopes: Sequence[str],
    people: Sequence[Persona],
    *,
    user: str,
    patient: str,
    types: Sequence[str],
) -> str:
    """Return the page that asks who one is and what the app may do; ``user`` and ``patient`` are settled if given."""
    app = client.client_name
    who = [p for p in people if p.reference == user] if user else people
    parts = [f'<input type="hidden" name="request" value="{escape(request_id)}">']
    parts.append(_choice("persona", _say("who", language), who))
    if not patient and _asks_for_patient(scopes):
        patients = "".join(_option(p.id, f"{p.name} ({p.reference})") for p in people if p.type == "Patient")
        parts.append(
            f"<fieldset><legend>{_say('patient', language)}</legend><label>{_say('patient', language)} "
            f'<select name="patient"><option value="">{_say("own", language)}</option>{patients}</select></label>'
            "</fieldset>"
        )
    boxes = "".join(
        f'<label class="choice"><input type="checkbox" name="scope" value="{escape(word)}" checked>'
        f"<span>{escape(described(word, language, types))}</span> <code>{escape(word)}</code></label>"
        for word in scopes
    )
    errors = "".join(_option(name, name) for name in SIMULATED)
    parts.append(
        f"<fieldset><legend>{_say('what', language, app)}</legend><p>{_say('untick', language)}</p>{boxes}</fieldset>"
        f'<label>{_say("simulate", language)} <select name="simulate">'
        f'<option value="">{_say("nothing", language)}</option>{errors}</select></label>'
        f'<p><button class="main" name="action" value="allow">{_say("allow", language)}</button> '
        f'<button name="action" value="deny">{_say("deny", language)}</button></p>'
    )
    form = f'<form method="post" action="/auth/consent">{"".join(parts)}</form>'
    body = form if who else f"<p>{_say('nobody', language)}</p>"
    return _page(
        language, _say("title", language, app), f'<p class="notice">{_say("test", language)}</p>{body}'
    )


def launch_page(language: str, clients: Iterable[Registration], people: Sequence[Persona]) -> str:
    """Return the page that starts one of these apps in the context of a patient."""
    apps = "".join(_option(c.client_id, c.client_name) for c in clients)
    if not apps:
        return _page(language, _say("launch", language), f"<p>{_say('none', language)}</p>")
    patients = "".join(_option(p.id, p.name) for p in people if p.type == "Patient")
    users = "".join(_option(p.reference, f"{p.name} ({p.reference})") for p in people)
    form = (
        f'<label>{_say("app", language)} <select name="client_id">{apps}</select></label>'
        f'<label>{_say("patient", language)} <select name="patient">{patients}</select></label>'
        f'<label>{_say("who", language)} <select name="user"><option value="">{_say("later", language)}</option>{users}'
        f'</select></label><p><button class="main">{_say("start", language)}</button></p>'
    )
    return _page(
        language, _say("launch", language), f'<form method="post" action="/auth/launch">{form}</form>'
    )


def error_page(language: str, description: str) -> str:
    """Return the page about an error that must not be sent to anybody."""
    title = _say("refused", language)
    return _page(language, title, f'<p role="alert" lang="en">{escape(description)}</p>')


def _source(address: str) -> str:
    """Return an address as a source of a policy: https://www.w3.org/TR/CSP3/#framework-directive-source-list."""
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}" if parts.scheme in ("http", "https") else f"{parts.scheme}:"


def _asks_for_patient(scopes: Sequence[str]) -> bool:
    return any(word == "launch/patient" or word.startswith("patient/") for word in scopes)


def _choice(name: str, legend: str, people: Sequence[Persona]) -> str:
    rows = "".join(
        f'<label class="choice"><input type="radio" name="{name}" value="{escape(p.reference)}" required'
        f"{' checked' if not n else ''}><span>{escape(p.name)}</span> <code>{escape(p.reference)}</code></label>"
        for n, p in enumerate(people)
    )
    return f'<fieldset><legend>{legend}</legend><div class="people">{rows}</div></fieldset>'


def _option(value: str, text: str) -> str:
    return f'<option value="{escape(value)}">{escape(text)}</option>'


def _say(key: str, language: str, app: str = "") -> str:
    """Return a text of the pages, ready for HTML."""
    return escape(_WORDS[key][int(language == FRENCH)].format(app=app))


def _page(language: str, title: str, body: str) -> str:
    return (
        f'<!DOCTYPE html><html lang="{escape(language)}"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="/auth/style.css"></head>'
        f"<body><main><h1>{title}</h1>{body}</main></body></html>"
    )
