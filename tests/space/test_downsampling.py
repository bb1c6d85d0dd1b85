"""Buckets and LTTB against what can be counted by hand; SampledData as points."""

from decimal import Decimal

from fhir_server.space.downsampling import buckets, lttb, points_of


def test_buckets_hold_each_value_once_and_begin_where_they_should():
    points = [(n, Decimal(n)) for n in range(100)]
    made = buckets(points, 0, 100, 4)
    assert [(b.start, b.end, b.count) for b in made] == [
        (0, 25, 25),
        (25, 50, 25),
        (50, 75, 25),
        (75, 100, 25),
    ]
    assert [(b.minimum, b.maximum, b.mean) for b in made][1] == (25, 49, 37)


def test_buckets_of_uneven_length_agree_with_their_bounds():
    points = [(n, Decimal(1)) for n in range(10)]
    made = buckets(points, 0, 10, 3)
    assert sum(b.count for b in made) == 10
    assert all(b.count == b.end - b.start for b in made)


def test_empty_buckets_are_left_out_and_ends_are_exclusive():
    made = buckets([(0, Decimal(1)), (99, Decimal(3)), (100, Decimal(5))], 0, 100, 10)
    assert [(b.start, b.count) for b in made] == [(0, 1), (90, 1)]


def test_lttb_keeps_ends_and_the_peak():
    points = [(n, Decimal(60)) for n in range(1000)]
    points[417] = (417, Decimal(180))
    made = lttb(points, 20)
    assert len(made) == 20
    assert (made[0], made[-1]) == (points[0], points[-1])
    assert points[417] in made
    assert made == sorted(made)


def test_lttb_of_few_points_is_all_of_them():
    points = [(n, Decimal(n)) for n in range(5)]
    assert lttb(points, 10) == points


def test_sampled_data_are_points():
    observation = {
        "status": "final",
        "effectiveInstant": "1970-01-01T00:00:01Z",
        "valueSampledData": {
            "origin": {"value": 10, "unit": "mV"},
            "period": 100,
            "factor": Decimal("0.5"),
            "dimensions": 1,
            "data": "2 E -4 U 0",
        },
    }
    assert list(points_of(observation)) == [(1000, 11, "mV"), (1200, 8, "mV"), (1400, 10, "mV")]
    assert list(points_of({**observation, "status": "entered-in-error"})) == []
