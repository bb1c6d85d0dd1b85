from __future__ import annotations

import pytest

from fhir_server.store.documents import milliseconds, order_key


@pytest.mark.parametrize("moment", [-62_135_596_800_000, -1, 0, 1, 1_767_225_600_000, 253_402_300_799_999])
def test_order_keys_are_64_bits_for_every_fhir_year_and_keep_the_moment(moment):
    key = order_key(moment, "an-id")
    assert -(1 << 63) <= key < 1 << 63
    assert milliseconds(key) == moment
    assert order_key(moment, "an-id") == key < order_key(moment + 1, "another")
