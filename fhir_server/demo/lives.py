"""The life of one citizen: what a space holds after some years, drawn from plausible distributions.

No statistics of a real population are meant: the shares are chosen to give a load of a realistic shape.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from fhir_server.demo import care, measures, persons, visits, wishes
from fhir_server.demo.citizens import GIVEN_NAMES, TODAY, Citizen
from fhir_server.demo.codes import Json

_RELATIONS = {"MTH": "female", "FTH": "male", "SIS": "female", "BRO": "male", "DAU": "female", "SON": "male",
              "FRND": "female", "NBOR": "male"}  # fmt: skip
_WISHES = ("OPTIN", "OPTINR", "OPTOUT", "OPTOUTE")
_ORGANS = ("cornea", "heart", "skin", "kidney", "liver", "lung")
_VACCINES = (
    ("J07CA09", "DTCaP-Hib-HepB"),
    ("J07AL02", "Pneumocoque"),
    ("J07BD52", "Rougeole, oreillons, rubéole"),
)
_FLU = ("J07BB02", "Grippe")
#: Long diseases (ICD-10) and what is taken against them (ATC).
_DISEASES = (
    (("E11.9", "Diabète de type 2"), ("A10BA02", "Metformine 1000 mg")),
    (("I10", "Hypertension artérielle"), ("C09AA05", "Ramipril 5 mg")),
    (("J45.9", "Asthme"), ("R03AC02", "Salbutamol 100 µg")),
)


def life(citizen: Citizen) -> Iterator[Json]:
    """Yield the citizen and all records, each after those that it refers to."""
    draw = citizen.draw
    is_opposed = draw.random() < 0.02
    yield persons.patient(
        citizen.id,
        citizen.number,
        family=citizen.family,
        given=[citizen.given],
        gender=citizen.gender,
        born=citizen.born,
        active=not is_opposed,
    )
    yield from _contacts(citizen)
    if is_opposed:
        yield _opposition(citizen)
        return
    is_chronic = draw.random() < (0.02 if citizen.age < 40 else 0.15 if citizen.age < 60 else 0.4)
    yield from _wish(citizen)
    if is_chronic:
        yield from _disease(citizen)
    yield from _vaccinations(citizen)
    for _ in range(min(1 + int(draw.expovariate(0.35)) + 3 * is_chronic, 24)):
        yield from visits.visit(citizen, is_chronic=is_chronic)
    if draw.random() < 0.12:
        yield from visits.stay(citizen)
    if is_chronic or (citizen.age > 13 and draw.random() < 0.3):
        yield from _measures(citizen, is_chronic=is_chronic)


def _contacts(citizen: Citizen) -> Iterator[Json]:
    """Yield whom to warn: for a minor one parent or both, for others up to three people."""
    draw, is_minor = citizen.draw, citizen.age < 18
    count = draw.randrange(1, 3) if is_minor else draw.choices((0, 1, 2, 3), (35, 35, 20, 10))[0]
    relations = list(_RELATIONS)[:2] if is_minor else draw.sample(list(_RELATIONS)[2:], 3)
    for place, relation in enumerate(relations[:count], 1):
        yield persons.contact(
            f"{citizen.id}-contact-{place}",
            citizen.holder,
            family=citizen.family,
            given=draw.choice(GIVEN_NAMES[_RELATIONS[relation]]),
            relation=relation,
            phone=f"+33 6 39 98 {draw.randrange(100):02} {draw.randrange(100):02}",
            priority=place,
            roles=("ECON", "GUARD") if is_minor else ("ECON",),
        )


def _opposition(citizen: Citizen) -> Json:
    by = f"RelatedPerson/{citizen.id}-contact-1" if citizen.age < 18 else ""
    stated = citizen.time(citizen.day(700))
    return wishes.opposition(citizen.new_id("opposition"), citizen.holder, stated=stated, by=by)


def _wish(citizen: Citizen) -> Iterator[Json]:
    """Yield the wish of one in five, stated from 13 years on; one in eight of these was another before."""
    draw = citizen.draw
    if citizen.age < 16 or draw.random() > 0.2:
        return
    rule = draw.choices(_WISHES, (68, 14, 14, 4))[0]
    organs = draw.sample(_ORGANS, draw.randrange(1, 3)) if rule in {"OPTINR", "OPTOUTE"} else ()
    day = citizen.day(700)
    if draw.random() < 0.125:
        before = citizen.time(day - timedelta(days=20))
        old = "OPTOUT" if rule == "OPTIN" else "OPTIN"
        yield wishes.wish(citizen.new_id("wish"), citizen.holder, old, stated=before, is_current=False)
    yield wishes.wish(citizen.new_id("wish"), citizen.holder, rule, stated=citizen.time(day), organs=organs)


def _disease(citizen: Citizen) -> Iterator[Json]:
    disease, medicine = citizen.draw.choice(_DISEASES)
    since = citizen.day().isoformat()
    yield care.condition(citizen.new_id("condition"), citizen.holder, disease, since=since)
    yield care.prescription(
        citizen.new_id("prescription"),
        citizen.holder,
        medicine,
        on=since,
        by=citizen.directory.doctor(citizen.index),
        dosage="1 fois par jour",
    )


def _vaccinations(citizen: Citizen) -> Iterator[Json]:
    """Yield a child's vaccinations, or last autumn's of every second older person."""
    given: list[tuple[tuple[str, str], date]] = []
    if citizen.age < 20:
        given = [(v, citizen.born + timedelta(days=61 + 120 * n)) for n, v in enumerate(_VACCINES)]
    elif citizen.age >= 65 and citizen.draw.random() < 0.55:
        given = [(_FLU, date(TODAY.year - 1, 10, citizen.draw.randrange(14, 31)))]
    by = citizen.directory.doctor(citizen.index)
    for vaccine, day in given:
        if day < TODAY:
            id_ = citizen.new_id("vaccine")
            yield care.vaccination(id_, citizen.holder, vaccine, on=day.isoformat(), by=by, dose=1)


def _measures(citizen: Citizen, *, is_chronic: bool) -> Iterator[Json]:
    """Yield a device and some days of what it measures."""
    draw = citizen.draw
    kind, name = ("meter", "Tensiomètre") if is_chronic else ("wearable", "Montre")
    device = persons.device(citizen.new_id("device"), name=name, kind=kind, holder=citizen.holder)
    yield device
    whose = {"holder": citizen.holder, "device": f"Device/{device['id']}"}
    rest, weight = draw.randrange(50, 80), draw.randrange(450, 1100)
    for back in range(1, 1 + draw.randrange(4, 12)):
        day = TODAY - timedelta(days=back)
        pulse, when = rest + draw.randrange(30), citizen.time(day)
        yield measures.measure(citizen.new_id("hr"), "heart-rate", pulse, when=when, **whose)
        if is_chronic:
            low = draw.randrange(65, 95)
            high = low + draw.randrange(30, 70)
            yield measures.blood_pressure(citizen.new_id("bp"), high, low, when=when, **whose)
        else:
            steps, total = draw.randrange(500, 18000), day.isoformat()
            yield measures.measure(citizen.new_id("steps"), "steps-day", steps, when=total, **whose)
        if back % 7 == 1:
            kilograms = Decimal(weight + draw.randrange(-5, 6)).scaleb(-1)
            yield measures.measure(citizen.new_id("weight"), "body-weight", kilograms, when=when, **whose)
