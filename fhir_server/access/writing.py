"""What a caller may not write: judged on the version before and the one after, from the documents alone.

Visibility is another question (``AccessContext.admits``); here are the rules that no policy can lift.
https://hl7.org/fhir/R4/security.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.access.caller import Caller, Kind
from fhir_server.access.rules import Rule, rule
from fhir_server.outcome import FhirError, error

Document = Mapping[str, Any]

#: Types that need no patient: without one they are their depositor's.
_OF_DEPOSITOR = frozenset({"Binary", "Bundle", "Device", "DeviceMetric", "MessageHeader", "Task"})
#: Types that by nature name persons beside the home patient; these are seen in the home patient's space only.
NAME_OTHERS = frozenset(
    {"Coverage", "Claim", "ExplanationOfBenefit", "Communication", "RequestGroup", "CareTeam"}
)
#: Who changes only what they deposited themselves; labels are another matter.
_OWN_WRITERS = (Kind.CITIZEN, Kind.REPRESENTATIVE, Kind.APP)


def check_home(caller: Caller, type_: str, after: Document) -> None:
    """Raise FhirError 422 unless a patient's document has one patient, and no second one."""
    if caller.kind is Kind.OPERATOR or rule(type_) not in (Rule.PATIENT, Rule.SHARED):
        return
    if "p" not in after and type_ not in _OF_DEPOSITOR:
        raise error(
            "business-rule",
            f"The {type_} must name its patient by a reference of the form Patient/[id].",
            expression=type_,
        )
    if after.get("cp") and type_ not in NAME_OTHERS:
        raise error(
            "business-rule",
            f"The {type_} names more than one patient; it can belong to one only.",
            expression=type_,
        )


def check_change(caller: Caller, before: Document, after: Document | None, *, labels_only: bool) -> None:
    """Raise FhirError 403 when a change or deletion (``after`` None) is not this caller's to make."""
    if caller.kind is Kind.OPERATOR:
        return
    old = before.get("_sec", {})
    if not labels_only and caller.kind in _OWN_WRITERS and caller.subject not in old.get("auth", ()):
        raise forbidden("Others deposited this resource; you may hide it, but not change it.")
    if after is None:
        return
    home = before.get("p", old.get("own"))
    if home is not None and after.get("p") != home:
        raise forbidden("A resource can't move to another patient.")
    new, is_own = after["_sec"], caller.kind in (Kind.CITIZEN, Kind.REPRESENTATIVE)
    if not is_own and _is_lowered(old, new):
        raise forbidden("Security labels can only be raised; the patient may lower them.")
    if not is_own and old.get("mask", []) != new.get("mask", []):
        raise forbidden("Only the patient masks a document, and shows it again.")
    if is_own and old.get("hid", []) != new.get("hid", []):
        raise forbidden("What a professional has yet to explain is shown by a professional.")


def check_consent(caller: Caller, made: Document) -> None:
    """Raise FhirError 403 when the writer of a Consent (its access keys are ``made``) is one of those it names."""
    if caller.kind is Kind.REPRESENTATIVE and caller.subject in made.get("who", ()):
        raise forbidden("Nobody can write a Consent about themselves for another person.")


def _is_lowered(old: Document, new: Document) -> bool:
    if new["conf"] < old.get("conf", 0):
        return True
    return bool(set(old.get("lab", ())) - set(new.get("lab", ())))


def forbidden(text: str) -> FhirError:
    """Return a 403; its text says the same whether anything is there or not."""
    return error("forbidden", text, status=403)
