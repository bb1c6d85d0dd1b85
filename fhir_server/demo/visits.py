"""What care leaves in a space: reports, prescriptions, results, and the payer's statements."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from decimal import Decimal

from fhir_server.demo import care, documents, reimbursements
from fhir_server.demo.citizens import TODAY, Citizen, at
from fhir_server.demo.codes import Json
from fhir_server.demo.directory import FUND
from fhir_server.space.statements import Act

#: The price of a visit since a day, the latest first.
_PRICES = (
    (date(2024, 12, 22), "30.00"),
    (date(2023, 11, 1), "26.50"),
    (date(2017, 5, 1), "25.00"),
    (date.min, "23.00"),
)
_MEDICINES = (
    ("N02BE01", "Paracétamol 1 g"),
    ("J01CA04", "Amoxicilline 1 g"),
    ("R06AX27", "Desloratadine 5 mg"),
)
_FREE = Decimal("0.00")


def visit(citizen: Citizen, *, is_chronic: bool) -> Iterator[Json]:
    """Yield a visit to the doctor: report, statement, and often a prescription or laboratory results."""
    draw, day = citizen.draw, citizen.day()
    doctor, practice = citizen.directory.doctor(citizen.index), citizen.directory.practice(citizen.index)
    labels = ("MASQUE_PS",) if draw.random() < 0.01 else ()
    yield from _document(
        citizen, "consultation", day, origin="practice", by=(doctor, practice), labels=labels
    )
    rate = 100 if is_chronic else 30 if draw.random() < 0.05 else 70
    price = Decimal(next(price for since, price in _PRICES if day >= since))
    flat = _FREE if citizen.age_on(day) < 18 else reimbursements.participation(day)
    act = Act("consultation-generaliste", "Consultation de médecine générale", price, price, rate, flat)
    pathway = "out" if rate == 30 else "attending"
    nature = "long-term" if is_chronic else "illness"
    yield _statement(citizen, "professional", [act], doctor, day, pathway=pathway, nature=nature)
    if draw.random() < 0.55:
        yield from _prescription(citizen, day, doctor, practice)
    if draw.random() < 0.3:
        yield from _laboratory(citizen, day)


def stay(citizen: Citizen) -> Iterator[Json]:
    """Yield a stay in hospital: encounter, report, letter and statement."""
    day, hospital = citizen.day(), citizen.directory.hospital(citizen.index)
    doctor = citizen.directory.doctor(citizen.index + 1)
    out = min(day + timedelta(days=citizen.draw.randrange(1, 6)), TODAY)
    yield care.stay(
        citizen.new_id("stay"),
        citizen.holder,
        period=(at(day, "08:00"), at(out, "11:00")),
        at=hospital,
        by=doctor,
        reason="Intervention programmée",
    )
    for kind in ("stay", "discharge"):
        yield from _document(citizen, kind, out, origin="hospital", by=(doctor, hospital))
    price, flat = Decimal("200.00"), Decimal("24.00")
    act = Act("acte-lourd", "Acte opératoire", price, price, 100, flat, "forfait-acte")
    yield _statement(citizen, "institutional", [act], hospital, day, pathway="referred")


def _prescription(citizen: Citizen, day: date, doctor: str, practice: str) -> Iterator[Json]:
    """Yield the prescription as document and as order, and the pharmacy's statement."""
    draw = citizen.draw
    yield from _document(citizen, "prescription", day, origin="practice", by=(doctor, practice))
    yield care.prescription(
        citizen.new_id("prescription"),
        citizen.holder,
        draw.choice(_MEDICINES),
        on=day.isoformat(),
        by=doctor,
        dosage="3 fois par jour",
        is_over=True,
    )
    flat = _FREE if citizen.age_on(day) < 18 else reimbursements.franchise(day)
    prices = [Decimal(draw.randrange(90, 2500)).scaleb(-2) for _ in range(draw.randrange(1, 4))]
    boxes = [
        Act("medicament-65", "Médicament, une boîte (prix inventé)", price, price, 65, flat, "franchise")
        for price in prices
    ]
    yield _statement(citizen, "pharmacy", boxes, citizen.directory.pharmacy(citizen.index), day)


def _laboratory(citizen: Citizen, day: date) -> Iterator[Json]:
    """Yield laboratory results, the report that holds them together, and its document."""
    draw, laboratory = citizen.draw, citizen.directory.laboratory(citizen.index)
    taken, issued = at(day, "08:05"), at(day, "16:20")
    values = {
        "glucose": Decimal(draw.randrange(40, 90)).scaleb(-1),
        "ldl": Decimal(draw.randrange(70, 210)),
        "creatinine": Decimal(draw.randrange(5, 15)).scaleb(-1),
    }
    made = {kind: citizen.new_id(kind) for kind in values}
    for kind, value in values.items():
        yield care.result(
            made[kind], kind, citizen.holder, taken=taken, issued=issued, by=[laboratory], value=value
        )
    yield care.report(
        citizen.new_id("report"),
        citizen.holder,
        taken=taken,
        issued=issued,
        by=[laboratory],
        results=list(made.values()),
    )
    lines = [f"{care.RESULTS[kind][2]} : {value} {care.RESULTS[kind][3]}" for kind, value in values.items()]
    yield from _document(
        citizen, "biology", day, origin="laboratory", by=(laboratory, laboratory), lines=lines
    )


def _document(
    citizen: Citizen,
    kind: str,
    day: date,
    *,
    origin: str,
    by: tuple[str, str],
    lines: list[str] | None = None,
    labels: tuple[str, ...] = (),
) -> Iterator[Json]:
    """Yield content and entry of a document ``by`` an author and a custodian."""
    title = f"{documents.KINDS[kind][2]}, {day.day:02}/{day.month:02}/{day.year}"
    author, custodian = by
    entry, content = documents.document(
        citizen.new_id("document"),
        kind,
        citizen.holder,
        deposited=citizen.time(day),
        origin=origin,
        authors=[author],
        custodian=custodian,
        title=title,
        lines=[title, f"{citizen.given} {citizen.family}", *(lines or ["Suites simples."])],
        labels=labels,
    )
    yield content
    yield entry


def _statement(
    citizen: Citizen,
    type_: str,
    acts: list[Act],
    provider: str,
    day: date,
    *,
    pathway: str = "attending",
    nature: str = "illness",
) -> Json:
    id_ = citizen.new_id("statement")
    return reimbursements.statement(
        id_,
        id_,
        type_,
        acts,
        holder=citizen.holder,
        holder_number=citizen.number,
        insurer=FUND,
        provider=provider,
        on=day,
        created=min(day + timedelta(days=5), TODAY),
        has_complementary=citizen.draw.random() < 0.9,
        pathway=pathway,
        nature=nature,
    )
