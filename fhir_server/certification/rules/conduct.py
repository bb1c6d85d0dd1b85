"""What a client must do after what it was told: wait, read again, get another token, stop."""

from __future__ import annotations

import base64
import json

from fhir_server.certification.session import Session, fingerprint
from fhir_server.certification.traffic import Call

#: Seconds that a client's clock may differ, and that a request is on its way.
_TOLERANCE = 0.1
#: So often may a client send what was refused for what it says.
_TRIES = 2


def waits(call: Call, session: Session) -> list[str] | None:
    """After 429 and 503 a client waits as long as Retry-After says, and at least a moment when it says nothing."""
    sent = call.traffic
    wait = session.waits.get(f"{sent.method} {sent.target}")
    others = [
        w for w in session.waits.values() if w.status == 429 and w.since <= sent.at < w.until - _TOLERANCE
    ]
    if call.entry >= 0 or (wait is None and not others) or (wait is not None and sent.at < wait.since):
        return None
    asked = wait or others[0]
    if sent.at < asked.until - _TOLERANCE:
        return [(f"After {asked.status} with Retry-After: {asked.asked} the client came back "
                f"{'with the same request' if wait else 'with another request'} before that time.")]  # fmt: skip
    if not asked.asked and sent.at - asked.since < _TOLERANCE:
        return [f"After {asked.status} the client came back at once: wait a second, and longer each time."]
    return []


def reads_again(call: Call, session: Session) -> list[str] | None:
    """After a conflict (409, 412) a client reads the resource again before it writes it."""
    sent = session.conflicts.get((call.type, call.id))
    if sent is None or call.interaction not in {"update", "patch"} or not call.id:
        return None
    if call.headers.get("if-match", "") == sent:
        return [("The update was sent again after a conflict without reading the resource: read it, make the change "
                "in what is there now, and send that with its version.")]  # fmt: skip
    return []


def stops(call: Call, session: Session) -> list[str] | None:
    """What was refused for what it says isn't sent again and again."""
    tries = session.repeats.get(fingerprint(call.traffic), 0)
    if call.entry >= 0 or not tries:
        return None
    if tries < _TRIES:
        return []
    return ["The same request was sent again after it was refused for what it says: it is refused each time."]


def bearer(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """Authorization holds a bearer token."""
    sent = call.traffic.headers.get("authorization")
    if sent is None or call.entry >= 0:
        return None
    return (
        [] if call.token else [f"Authorization is of the scheme {sent.partition(' ')[0]}; SMART uses Bearer."]
    )


def token_in_time(call: Call, session: Session) -> list[str] | None:  # noqa: ARG001
    """A token is not used after its time; that of an opaque one isn't known."""
    ends = _expiry(call.token) if call.token and call.entry < 0 else None
    if ends is None:
        return None
    return ["The token had expired before the request was sent."] if call.traffic.wall > ends else []


def token_replaced(call: Call, session: Session) -> list[str] | None:
    """A token that was refused is replaced, not sent again."""
    if not call.token or call.entry >= 0 or not session.refused_tokens:
        return None
    is_refused = call.token in session.refused_tokens
    return ["A token was sent again after it had been refused (401): get another one."] if is_refused else []


def _expiry(token: str) -> float | None:
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        payload = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return float(payload["exp"])
    except (ValueError, KeyError, TypeError):
        return None
