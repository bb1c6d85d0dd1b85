"""Who treats the citizens of the demo: practices, hospitals, laboratories, pharmacies, and the payer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from fhir_server.demo.codes import HS, Json
from fhir_server.demo.identities import rpps
from fhir_server.demo.persons import organization, practitioner

FUND = "Organization/demo-fund"
#: One doctor with a practice for so many citizens; one hospital, laboratory and pharmacy for ten times as many.
_PER_DOCTOR = 800
_FINESS = "https://finess.esante.gouv.fr"
_NAMES = ("MODELE", "SPECIMEN", "GABARIT", "COBAYE", "PARANGON")
#: Kind of place: sector, name, and the digit that its numbers have after 99.
_PLACES = {
    "practice": (("SA08", "Cabinet de groupe"), "Cabinet médical", 1),
    "hospital": (("SA01", "Etablissement public de santé"), "Centre hospitalier", 2),
    "laboratory": (("SA25", "Laboratoire de biologie médicale"), "Laboratoire", 3),
    "pharmacy": (("SA33", "Pharmacie d'officine"), "Pharmacie", 4),
}


@dataclass(frozen=True, slots=True)
class Directory:
    """The places for a number of citizens."""

    citizens: int

    def records(self) -> Iterator[Json]:
        """Yield all organisations and professionals."""
        yield organization(
            "demo-fund", (f"{HS}/sid/payer", "demo"), name="Caisse de démonstration",
            sector=("SA24", "Organisme de sécurité sociale"),
        )  # fmt: skip
        for kind, (sector, name, digit) in _PLACES.items():
            for place in range(self._count(kind)):
                number = f"99{digit}{place:06}"
                yield organization(
                    f"demo-{kind}-{place}",
                    (_FINESS, number),
                    name=f"{name} de démonstration {place + 1}",
                    sector=sector,
                )
        for place in range(self._count("practice")):
            family = _NAMES[place % len(_NAMES)]
            yield practitioner(
                f"demo-doctor-{place}", rpps(1_000_000 + place), family=family, given="Dominique",
                profession=("10", "Médecin"),
            )  # fmt: skip

    def doctor(self, index: int) -> str:
        """Return the reference to a citizen's doctor."""
        return f"Practitioner/demo-doctor-{index % self._count('practice')}"

    def practice(self, index: int) -> str:
        """Return the reference to the doctor's practice."""
        return self._place("practice", index)

    def hospital(self, index: int) -> str:
        """Return the reference to a citizen's hospital."""
        return self._place("hospital", index)

    def laboratory(self, index: int) -> str:
        """Return the reference to a citizen's laboratory."""
        return self._place("laboratory", index)

    def pharmacy(self, index: int) -> str:
        """Return the reference to a citizen's pharmacy."""
        return self._place("pharmacy", index)

    def _place(self, kind: str, index: int) -> str:
        return f"Organization/demo-{kind}-{index % self._count(kind)}"

    def _count(self, kind: str) -> int:
        return 1 + self.citizens // (_PER_DOCTOR if kind == "practice" else 10 * _PER_DOCTOR)
