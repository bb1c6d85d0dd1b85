"""Health and metrics, for operators."""


def test_live_and_ready(site):
    assert site.get("/health/live").json() == {"status": "live"}
    assert site.get("/health/ready").json() == {"status": "ready"}


def test_metrics_count_requests_by_interaction_and_status(fhir, site):
    def count():
        lines = site.get("/metrics").text.splitlines()
        name = 'fhir_requests_total{interaction="read",status="404"}'
        return next((float(line.rpartition(" ")[2]) for line in lines if line.startswith(name)), 0.0)

    before = count()
    fhir.get("Patient/no-such-patient")
    assert count() == before + 1
    assert "no-such-patient" not in site.get("/metrics").text
