"""What a client of a role must have shown: ``conformance/clients/roles/*.yaml``.

An item is shown by one call that fits all that it asks for; ``after`` asks for an earlier answer to the same request.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from fhir_server.certification.session import Session, normal, pairs_of
from fhir_server.certification.traffic import Call, Traffic


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to show; ``needs`` says what call shows it."""

    id: str
    says: str
    page: str
    needs: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Role:
    """A role of clients; ``imposes`` are profiles that resources of a type must keep, claimed or not."""

    name: str
    title: str
    items: tuple[Item, ...]
    imposes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


KEYS = frozenset(
    {"interaction", "type", "status", "header", "parameter", "profile", "after", "link", "method", "path"}
)


def read_roles(folder: Path) -> dict[str, Role]:
    """Return the roles below a folder by name; raises ValueError for one that asks for what isn't known."""
    roles = {}
    for file in sorted((folder / "roles").glob("*.yaml")):
        content = yaml.safe_load(file.read_text(encoding="utf-8"))
        items = tuple(Item(i["id"], i["says"], i["page"], i["needs"]) for i in content["shows"])
        if unknown := {key for item in items for key in item.needs} - KEYS:
            raise ValueError(f"{file}: nothing is known of {', '.join(sorted(unknown))}.")
        imposes = {name: tuple(urls) for name, urls in content.get("imposes", {}).items()}
        roles[file.stem] = Role(file.stem, content["title"], items, imposes)
    return roles


class Checklist:
    """What of a role has been shown so far: the first exchange that shows each item."""

    def __init__(self, role: Role) -> None:
        self.role = role
        self.shown: dict[str, tuple[str, Traffic]] = {}
        self._answers: dict[str, set[int]] = {}

    def look(self, call: Call, session: Session) -> None:
        """See whether a call shows what is still to be shown."""
        for item in self.role.items:
            if item.id not in self.shown and self._fits(item.needs, call, session):
                self.shown[item.id] = (call.where, call.traffic)
        if call.entry < 0:
            self._answers.setdefault(_request(call), set()).add(call.status)

    def _fits(self, needs: Mapping[str, Any], call: Call, session: Session) -> bool:
        return all(getattr(self, f"_{key}")(wanted, call, session) for key, wanted in needs.items())

    @staticmethod
    def _interaction(wanted: Any, call: Call, _: Session) -> bool:
        return call.interaction in _list(wanted)

    @staticmethod
    def _type(wanted: Any, call: Call, _: Session) -> bool:
        return call.type in _list(wanted)

    @staticmethod
    def _method(wanted: Any, call: Call, _: Session) -> bool:
        return call.method in _list(wanted)

    @staticmethod
    def _path(wanted: Any, call: Call, _: Session) -> bool:
        return bool(call.path) and call.path[-1] in _list(wanted)

    @staticmethod
    def _status(wanted: Any, call: Call, _: Session) -> bool:
        said = str(call.status)
        return any(
            said == str(one) or (str(one).endswith("xx") and said[0] == str(one)[0]) for one in _list(wanted)
        )

    @staticmethod
    def _header(wanted: Any, call: Call, _: Session) -> bool:
        return all(name.lower() in call.headers for name in _list(wanted))

    @staticmethod
    def _parameter(wanted: Any, call: Call, _: Session) -> bool:
        names = {name.partition(":")[0] for name, _ in pairs_of(f"?{call.query}&{call.form}")}
        return any(name in names for name in _list(wanted))

    @staticmethod
    def _profile(wanted: Any, call: Call, _: Session) -> bool:
        meta = (call.resource or {}).get("meta")
        claimed = meta.get("profile", []) if isinstance(meta, dict) else []
        bare = {str(url).partition("|")[0] for url in claimed}
        return any(url in bare or (url.endswith("*") and any(b.startswith(url[:-1]) for b in bare))
                   for url in _list(wanted))  # fmt: skip

    @staticmethod
    def _link(wanted: Any, call: Call, session: Session) -> bool:
        return session.links.get(normal(call.traffic.target)) in _list(wanted)

    def _after(self, wanted: Any, call: Call, _: Session) -> bool:
        return bool(self._answers.get(_request(call), set()) & set(_list(wanted)))


def _request(call: Call) -> str:
    return f"{call.traffic.method} {call.traffic.target}"


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
