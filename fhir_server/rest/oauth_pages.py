"""The pages of the development authorization server: HTML that works without script, in French and English."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from urllib.parse import urlsplit

from fhir_server.access.oauth.clients import Registration
from fhir_server.access.oauth.wording import FRENCH, described
from fhir_server.rest.personas import Persona

STYLE = """
body { font: 1.1rem/1.5 system-ui, sans-serif; max-width: 40rem; margin: 2rem auto; padding: 0 1rem; color: #1b1b1b; }
fieldset { border: 1px solid #767676; border-radius: .4rem; margin: 1rem 0; padding: .5rem 1rem 1rem; }
legend { font-weight: 600; padding: 0 .3rem; }
label { display: block; padding: .35rem 0; }
input, select, button { font: inherit; }
input[type=radio], input[type=checkbox] { width: 1.15rem; height: 1.15rem; margin-right: .5rem; }
button { padding: .6rem 1.4rem; border-radius: .4rem; border: 2px solid #0b4f8a; background: #fff; color: #0b4f8a; }
button.main { background: #0b4f8a; color: #fff; }
:focus-visible { outline: 3px solid #e07a00; outline-offset: 2px; }
code { font-size: .9em; color: #4a4a4a; }
.notice { background: #fff4d6; border-left: .3rem solid #b26b00; padding: .5rem 1rem; }
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
        f'<label><input type="checkbox" name="scope" value="{escape(word)}" checked>'
        f"{escape(described(word, language, types))} <code>{escape(word)}</code></label>"
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
        f'<label><input type="radio" name="{name}" value="{escape(p.reference)}" required{" checked" if not n else ""}>'
        f"{escape(p.name)} <code>{escape(p.reference)}</code></label>"
        for n, p in enumerate(people)
    )
    return f"<fieldset><legend>{legend}</legend>{rows}</fieldset>"


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
