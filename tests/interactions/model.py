"""What the server should hold, as a few dictionaries: the other side of test_model."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, replace


@dataclass(frozen=True)
class Version:
    """One version of a patient; ``label`` is None for a deletion. Labels can change without a new version."""

    label: str | None
    gender: str | None
    tags: frozenset[str]
    method: str


@dataclass
class Model:
    """The versions of each resource by id, oldest first, and what was answered under each key."""

    versions: dict[str, list[Version]] = field(default_factory=dict)
    keys: dict[str, tuple[object, str]] = field(default_factory=dict)

    def copy(self):
        return copy.deepcopy(self)

    def is_living(self, id_):
        return id_ in self.versions and self.versions[id_][-1].label is not None

    @property
    def living(self):
        """The current versions: (number, label, gender, tags) by id."""
        return {
            id_: (len(versions), versions[-1].label, versions[-1].gender, versions[-1].tags)
            for id_, versions in self.versions.items()
            if self.is_living(id_)
        }

    def found(self, label):
        return [id_ for id_ in self.versions if self.is_living(id_) and self.versions[id_][-1].label == label]

    def breaks(self, id_, match):
        """Tell whether an If-Match does not hold."""
        return match is not None and not (self.is_living(id_) and len(self.versions[id_]) == match)

    def write(self, id_, label, gender, method, tags=frozenset()):
        """Make a version; return the status."""
        status = 200 if self.is_living(id_) else 201
        self.versions.setdefault(id_, []).append(Version(label, gender, tags, method))
        return status

    def update(self, id_, label, gender, match=None):
        return 412 if self.breaks(id_, match) else self.write(id_, label, gender, "PUT")

    def delete(self, id_, match=None):
        if self.breaks(id_, match):
            return 412
        if self.is_living(id_):
            self.versions[id_].append(Version(None, None, frozenset(), "DELETE"))
        return 204

    def patch(self, id_, gender, match=None):
        if id_ not in self.versions:
            return 404
        if not self.is_living(id_):
            return 410
        if self.breaks(id_, match):
            return 412
        current = self.versions[id_][-1]
        return self.write(id_, current.label, gender, "PATCH", current.tags)

    def conditional(self, kind, label, gender, new_id):
        """Carry out an interaction whose resource criteria pick; ``new_id`` is what the server has created."""
        found = self.found(label)
        if kind == "DELETE?":
            for id_ in found:
                self.delete(id_)
            return 204
        if len(found) > 1:
            return 412
        if kind == "POST?":
            return 200 if found else self.write(new_id, label, gender, "POST")
        if kind == "PATCH?":
            return self.patch(found[0], gender) if found else 404
        return self.write(found[0] if found else new_id, label, gender, "PUT")

    def relabel(self, id_, tag, *, is_addition):
        if id_ not in self.versions:
            return 404
        if not self.is_living(id_):
            return 410
        current = self.versions[id_][-1]
        tags = current.tags | {tag} if is_addition else current.tags - {tag}
        self.versions[id_][-1] = replace(current, tags=tags)
        return 200

    def single(self, step, new_id):
        """Return the status that one request of a Bundle, or alone, must have; change the model."""
        kind, *rest = step
        if kind == "PUT":
            return self.update(*rest)
        if kind == "DELETE":
            return self.delete(*rest)
        if kind == "PATCH":
            return self.patch(*rest)
        return self.conditional(kind, rest[0], rest[1] if len(rest) > 1 else None, new_id)


#: The order in which a transaction is carried out: https://hl7.org/fhir/R4/http.html#trules.
ORDER = {"DELETE": 0, "DELETE?": 0, "POST?": 1, "PUT": 2, "PUT?": 2, "PATCH": 2, "PATCH?": 2}


def identities(model, listed):
    """Return the ids that the entries of a transaction change; a create that finds nothing is told by its label."""
    gone = _gone(model, listed)
    ids = []
    for step in listed:
        if step[0] in ("PUT", "DELETE", "PATCH"):
            if step[0] == "PUT" or model.is_living(step[1]):
                ids.append(step[1])
            continue
        found = [id_ for id_ in model.found(step[1]) if step[0] == "DELETE?" or id_ not in gone]
        if step[0] == "DELETE?":
            ids += found
        elif not found:
            ids.append(f"?{step[1]}")
        elif step[0] != "POST?":
            ids += found
    return ids


def _gone(model, listed):
    gone = {step[1] for step in listed if step[0] == "DELETE"}
    return gone | {id_ for step in listed if step[0] == "DELETE?" for id_ in model.found(step[1])}


def must_refuse(model, listed):
    """Tell whether a transaction surely is refused: a condition that fails, or a resource that appears twice."""
    ids = identities(model, listed)
    return len(set(ids)) < len(ids) or any(_fails(model, step) for step in listed)


def _fails(model, step):
    if step[0] == "PATCH":
        return not model.is_living(step[1]) or model.breaks(step[1], step[-1])
    return step[0] in ("PUT", "DELETE") and model.breaks(step[1], step[-1])


def expected_refusals(model, listed):
    """Return the statuses with which a transaction may be refused; none when nothing speaks against it."""
    allowed = set()
    ids = identities(model, listed)
    if len(set(ids)) < len(ids):
        allowed |= {400}
    if any(_fails(model, step) for step in listed):
        allowed |= {404, 410, 412, 400}
    gone = _gone(model, listed)
    for step in listed:
        if step[0] in ("POST?", "PUT?", "PATCH?"):
            found = [id_ for id_ in model.found(step[1]) if id_ not in gone]
            if len(found) > 1:
                allowed |= {412, 400}
            if step[0] == "PATCH?" and not found:
                allowed |= {404, 400}
    # Criteria that pick what another entry makes, whatever the order of the two.
    for number, step in enumerate(listed):
        others = [other for n, other in enumerate(listed) if n != number]
        made = {other[2] for other in others if other[0] == "PUT"}
        made |= {other[1] for other in others if other[0] in ("PUT?", "POST?")}
        if step[0] in ("PUT?", "POST?") and step[1] in made:
            allowed |= {400}
    return allowed
