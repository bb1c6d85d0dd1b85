"""What the tests of the patch engines share."""

import pytest

from fhir_server.definitions import Definitions


@pytest.fixture(scope="session")
def types():
    """The R4 type model."""
    return Definitions().types
