"""The types of search parameters; a type is one file here and one line in this table."""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.search.parameters import (
    composite,
    date,
    number,
    quantity,
    reference,
    special,
    string,
    token,
    uri,
)
from fhir_server.search.parameters.parameter_type import Context, Converter, Output, ParameterType

TYPES: Mapping[str, ParameterType] = {
    type_.name: type_
    for type_ in (
        composite.TYPE,
        date.TYPE,
        number.TYPE,
        quantity.TYPE,
        reference.TYPE,
        special.TYPE,
        string.TYPE,
        token.TYPE,
        uri.TYPE,
    )
}

__all__ = ["TYPES", "Context", "Converter", "Output", "ParameterType"]
