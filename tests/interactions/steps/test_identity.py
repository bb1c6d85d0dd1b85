"""Ids that the server assigns: RFC 9562 version 7, then the bucket of the home patient."""

import re
import uuid

from hypothesis import given
from hypothesis import strategies as st

from fhir_server.interactions.steps.identity import NaturalIds, id_source, uuid7


@given(st.integers(0, 2**48 - 1), st.binary(min_size=10, max_size=10))
def test_uuid7_holds_its_moment_its_version_and_its_variant(milliseconds, random):
    parsed = uuid.UUID(uuid7(milliseconds, random))
    assert (parsed.version, parsed.variant) == (7, uuid.RFC_4122)
    assert parsed.int >> 80 == milliseconds


def test_ids_have_the_form_of_fhir_ids_and_grow_with_time():
    now = iter(range(1_700_000_000_000, 1_700_000_001_000))
    new_id = id_source(b"secret", lambda: next(now))
    ids = [new_id(None) for _ in range(50)]
    assert ids == sorted(ids)
    assert len(set(ids)) == 50
    assert all(re.fullmatch(r"[a-z0-9\-.]{41}", id_) for id_ in ids)


def test_resources_of_one_patient_share_the_patients_bucket():
    new_id = id_source(b"secret", lambda: 1_700_000_000_000)
    patient = new_id(None)
    assert {new_id(patient)[-4:] for _ in range(20)} == {patient[-4:]}
    assert new_id("client-chosen")[-4:] == new_id("client-chosen")[-4:]


def test_without_the_secret_the_bucket_of_a_patient_is_not_known():
    buckets = {id_source(bytes([n]), lambda: 1)("client-chosen")[-4:] for n in range(20)}
    assert len(buckets) == 20


def test_ids_of_natural_keys_are_the_same_each_time_and_begin_alike_for_one_citizen():
    def ids():
        return NaturalIds(b"secret", id_source(b"secret", lambda: 1))

    first, other = ids().of("a", b"key"), ids().of("a", b"other")
    assert first == ids().of("a", b"key")
    assert first != other
    assert first[:13] == other[:13]
    assert first[-5:] == other[-5:]
    assert ids().of("b", b"key")[:13] != first[:13]
    assert uuid.UUID(first[:36]).version == 8
    assert NaturalIds(b"another", id_source(b"secret", lambda: 1)).of("a", b"key") != first
