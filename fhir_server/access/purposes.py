"""Purposes of use (v3-ActReason, R4's PurposeOfUse): which one is a kind of which other.

https://terminology.hl7.org/CodeSystem-v3-ActReason.html
"""

from __future__ import annotations

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
_ROOT = "PurposeOfUse"
#: Each purpose with those directly below it.
_TREE = {
    _ROOT: "HMARKT HOPERAT HPAYMT HRESCH PATRQT PUBHLTH TREAT",
    "HOPERAT": "CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP HQUALIMP HSYSADMIN "
    "MEMADMIN MILCDM PATADMIN PATSFTY PERFMSR RECORDMGT SYSDEV TRAIN",
    "HSYSADMIN": "LABELING METAMGT",
    "SYSDEV": "HTEST",
    "HPAYMT": "CLMATTCH COVAUTH COVERAGE REMITADV",
    "COVERAGE": "ELIGDTRM ELIGVER ENROLLM MILDCRG",
    "HRESCH": "BIORCH CLINTRCH DSRCH POARCH TRANSRCH",
    "CLINTRCH": "CLINTRCHNPC CLINTRCHPC PRECLINTRCH",
    "PATRQT": "FAMRQT PWATRNY SUPNWK",
    "PUBHLTH": "DISASTER THREAT",
    "TREAT": "CLINTRL COC ETREAT POPHLTH",
    "ETREAT": "BTG ERTREAT",
}
_PARENT = {code: parent for parent, below in _TREE.items() for code in below.split()}

#: Emergencies: somebody answers an emergency call, or breaks the glass.
EMERGENCIES = frozenset({"ETREAT", "BTG"})


def above(purpose: str) -> frozenset[str]:
    """Return a purpose with all that it is a kind of; of one that isn't known, itself alone."""
    found = {purpose}
    while (purpose := _PARENT.get(purpose, "")) != "":
        found.add(purpose)
    return frozenset(found)


def is_known(purpose: str) -> bool:
    """Tell whether a code is a purpose of use."""
    return purpose in _PARENT or purpose == _ROOT


#: Purposes for which nobody ever reads a space: payment and what is below it, and marketing.
#: Code de la sante publique L1111-18: data can't be required when a complementary contract is concluded.
FORBIDDEN = frozenset(code for code in _PARENT if above(code) & {"HPAYMT", "HMARKT"})
