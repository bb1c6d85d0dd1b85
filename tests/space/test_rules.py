@pytest.mark.parametrize("type_", ["Coverage", "FamilyMemberHistory"])
def test_no_other_resource_with_a_relationship_is_a_representative(type_):
    relationship = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v3-RoleCode", "code": "GUARD"}]
    }
    assert not rules.is_representative({"resourceType": type_, "relationship": relationship})
