"""The definitions, read once."""

import pytest

from fhir_server.definitions import Definitions


@pytest.fixture(scope="session")
def types():
    """The R4 type model."""
    return Definitions().types
