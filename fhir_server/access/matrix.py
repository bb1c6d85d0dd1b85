"""Which profession may see which classes of documents and data: an upper bound that no Consent lifts, as data.

``profession_matrix.json`` beside this module is the default; a space may have a file of its own (setting
``access.profession_matrix``). Order of 26 October 2023; what is marked as assumption in it isn't known from there.
"""

from __future__ import annotations

from importlib import resources
from typing import Any, Literal

import msgspec

from fhir_server.access.policy import EVERYTHING, Clause, any_of, both, either, none_of, unless


class MatrixError(ValueError):
    """The file doesn't keep the schema; the text tells where."""


class DocumentType(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One type of documents: a coding of DocumentReference.type."""

    system: str
    code: str
    display: str = ""
    assumption: bool = False


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a profession sees; ``types`` are resource types, ``documents`` types of documents.

    ``except`` takes away from all, ``only`` leaves nothing else.
    """

    profession: str
    display: str = ""
    documents: Literal["all", "only", "except"] = "all"
    document_types: tuple[DocumentType, ...] = ()
    types: Literal["all", "only", "except"] = "all"
    resource_types: tuple[str, ...] = ()
    assumption: bool = False

    def seen(self) -> Clause:
        """Return what of a space this row leaves."""
        return both(
            _bound(self.types, list(self.resource_types), EVERYTHING),
            _bound(
                self.documents,
                [f"{d.system}|{d.code}" for d in self.document_types],
                unless(any_of("_sec.cls", ["DocumentReference", "DocumentManifest", "Composition"])),
            ),
        )


def _bound(mode: str, classes: list[str], other: Clause) -> Clause:
    """Return what a bound leaves; ``other`` is what it doesn't speak of."""
    if mode == "all":
        return EVERYTHING
    if mode == "except":
        return none_of("_sec.cls", classes)
    return any_of("_sec.cls", classes) if other == EVERYTHING else either(other, any_of("_sec.cls", classes))


class Matrix(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The rows by profession (``system`` is their code system); ``otherwise`` is for who has none of them."""

    system: str
    rows: tuple[Row, ...]
    otherwise: Row
    title: str = ""
    source: str = ""

    def seen_by(self, profession: str | None) -> Clause:
        """Return what a profession (its code) may see at most."""
        return self.row(profession).seen()

    def row(self, profession: str | None) -> Row:
        """Return the row of a profession."""
        return next((row for row in self.rows if row.profession == profession), self.otherwise)


def read_matrix(text: bytes) -> Matrix:
    """Return the matrix that a JSON file holds; raises MatrixError when it doesn't keep the schema."""
    try:
        made = msgspec.json.decode(text, type=Matrix)
    except msgspec.MsgspecError as problem:
        raise MatrixError(str(problem)) from problem
    known = [row.profession for row in made.rows]
    if len(known) != len(set(known)):
        raise MatrixError("Two rows are of one profession - at `$.rows`")
    return made


def schema() -> dict[str, Any]:
    """Return the JSON Schema of such files."""
    made = msgspec.json.schema(Matrix)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **made}


#: The matrix of the law, as far as it is known.
DEFAULT = read_matrix(resources.files(__package__).joinpath("profession_matrix.json").read_bytes())
