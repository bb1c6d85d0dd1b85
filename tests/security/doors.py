"""Every way in which a request can name resources: the registry that the canary walks. ``{t}`` is a type, ``{i}`` an id.

A door that the server doesn't offer stands here, too: it must be closed, and stays watched when it opens.
"""

from __future__ import annotations

#: GET requests.
DOORS = (
    "{t}/{i}", "{t}/{i}/_history", "{t}/{i}/_history/1", "{t}/_history", "_history", "{t}?_id={i}", "{t}",
    "{t}?_id={i}&_elements=id", "{t}?_id={i}&_summary=count", "{t}?_total=accurate&_count=0", "?_type={t}", "?_id={i}",
    "{t}/{i}?_summary=text", "{t}/{i}?_elements=identifier", "Patient/B/{t}", "Patient/B/*", "Patient/A/*",
    "{t}?patient=Patient/B", "{t}?subject=Patient/B", "{t}?_include=*", "{t}?_revinclude=*", "{t}?_include:iterate=*",
    "Patient?_id=A&_revinclude=*", "Patient?_id=A&_revinclude:iterate=*", "{t}?_has:Provenance:target:recorded=gt2000",
    "{t}?patient.name=Family", "{t}?subject:Patient.name=Family", "{t}?_sort=_lastUpdated&_count=1", "{t}?_sort=-_id",
    "{t}?_list=lb", "List/lb/$find", "{t}?_filter=_id eq {i}", "{t}?_lastUpdated=gt2000", "{t}?_security=R",
    "{t}?_tag=x", "{t}?_profile=x", "{t}?_source=x", "{t}?_text=canary", "{t}?_content=canary", "{t}?_at=2030",
    "{t}/{i}/$meta", "{t}/$meta", "$meta", "{t}/{i}/_history/1/$meta", "Patient/B/$everything", "Patient/A/$everything",
    "{t}/{i}/$everything", "$export", "Patient/$export", "Group/g1/$export", "{t}/{i}/$graph", "{t}/{i}/$document",
    "Observation/$lastn?subject=Patient/B", "Patient/B/$docref", "{t}/{i}/$validate", "Encounter/B/{t}", "Practitioner/gp/{t}",
    "$graphql?query={t}", "{t}/$stats", "AuditEvent?entity={t}/{i}", "Provenance?target={t}/{i}", "{t}/{i}/nothing",
)  # fmt: skip

TYPES = (
    "Patient", "Observation", "DiagnosticReport", "CareTeam", "Coverage", "List", "Group", "Device", "Task", "Provenance",
    "RelatedPerson", "Communication", "AuditEvent", "Binary", "Basic", "Consent",
)  # fmt: skip
IDS = ("B", "b1", "b2", "rb", "tb", "lb", "g1", "db", "kb", "pb", "rpb", "mb", "c1", "zz")
#: Who may not see B.
ATTACKERS = (
    "", "A", "app", "narrow app", "everything app", "no patient", "vitals", "gp", "X", "N", "payer", "insurer", "bought",
    "no scope", "parent", "nok", "auditor",
)  # fmt: skip
