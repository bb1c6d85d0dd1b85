"""The words of the access log for the citizen, in each language: what AuditEvents say in codes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """One language. ``deeds`` by AuditEvent.action; ``things`` by resource type; ``purposes`` by v3-ActReason."""

    deeds: Mapping[str, str]
    refused_deeds: Mapping[str, str]
    things: Mapping[str, str]
    purposes: Mapping[str, str]
    record: str
    you: str
    anonymous: str
    unnamed: str
    of_organization: str
    emergency: str
    for_purpose: str
    failed: str


_EN = Words(
    deeds={"C": "added", "R": "read", "U": "changed", "D": "deleted", "E": "looked through"},
    refused_deeds={
        "C": "was refused to add",
        "R": "was refused to read",
        "U": "was refused to change",
        "D": "was refused to delete",
        "E": "was refused to look through",
    },
    things={
        "Patient": "the identity in your record",
        "Observation": "a measurement or result",
        "DocumentReference": "a document",
        "Binary": "a document",
        "Condition": "a health problem",
        "AllergyIntolerance": "an allergy",
        "MedicationRequest": "a prescription",
        "MedicationStatement": "a medicine that you take",
        "MedicationDispense": "a delivery of medicine",
        "Immunization": "a vaccination",
        "Procedure": "a treatment",
        "DiagnosticReport": "a report of examinations",
        "Encounter": "a visit or stay",
        "CarePlan": "a care plan",
        "CareTeam": "your care team",
        "Appointment": "an appointment",
        "Consent": "one of your decisions about sharing",
        "ExplanationOfBenefit": "a reimbursement",
        "Coverage": "your insurance",
        "RelatedPerson": "a person who is close to you",
        "QuestionnaireResponse": "a questionnaire",
        "Provenance": "where an entry comes from",
        "AuditEvent": "this list of accesses",
    },
    purposes={
        "TREAT": "to treat you",
        "ETREAT": "in an emergency",
        "BTG": "in an emergency",
        "PATRQT": "at your request",
        "FAMRQT": "at the request of somebody close to you",
        "HPAYMT": "for reimbursement",
        "HOPERAT": "to run the service",
        "HSYSADMIN": "to operate the system",
        "HRESCH": "for research",
        "PUBHLTH": "for public health",
        "CAREMGT": "to coordinate your care",
    },
    record="your record",
    you="You",
    anonymous="Somebody who did not sign in",
    unnamed="A person whose name is not known",
    of_organization="{who}, of {organization},",
    emergency="emergency access",
    for_purpose="{sentence} {purpose}.",
    failed="{who} asked for {thing} and got no answer.",
)

_FR = Words(
    deeds={"C": "a ajouté", "R": "a consulté", "U": "a modifié", "D": "a supprimé", "E": "a parcouru"},
    refused_deeds={
        "C": "s'est vu refuser l'ajout :",
        "R": "s'est vu refuser la consultation :",
        "U": "s'est vu refuser la modification :",
        "D": "s'est vu refuser la suppression :",
        "E": "s'est vu refuser le parcours :",
    },
    things={
        "Patient": "l'identité de votre dossier",
        "Observation": "une mesure ou un résultat",
        "DocumentReference": "un document",
        "Binary": "un document",
        "Condition": "un problème de santé",
        "AllergyIntolerance": "une allergie",
        "MedicationRequest": "une prescription",
        "MedicationStatement": "un médicament que vous prenez",
        "MedicationDispense": "une délivrance de médicament",
        "Immunization": "une vaccination",
        "Procedure": "un acte de soin",
        "DiagnosticReport": "un compte rendu d'examens",
        "Encounter": "une visite ou un séjour",
        "CarePlan": "un plan de soins",
        "CareTeam": "votre équipe de soins",
        "Appointment": "un rendez-vous",
        "Consent": "une de vos décisions de partage",
        "ExplanationOfBenefit": "un remboursement",
        "Coverage": "votre assurance",
        "RelatedPerson": "une personne proche de vous",
        "QuestionnaireResponse": "un questionnaire",
        "Provenance": "l'origine d'une information",
        "AuditEvent": "cette liste des accès",
    },
    purposes={
        "TREAT": "pour vous soigner",
        "ETREAT": "en urgence",
        "BTG": "en urgence",
        "PATRQT": "à votre demande",
        "FAMRQT": "à la demande d'un proche",
        "HPAYMT": "pour un remboursement",
        "HOPERAT": "pour le fonctionnement du service",
        "HSYSADMIN": "pour l'exploitation du système",
        "HRESCH": "pour la recherche",
        "PUBHLTH": "pour la santé publique",
        "CAREMGT": "pour coordonner vos soins",
    },
    record="votre dossier",
    you="Vous",
    anonymous="Une personne non identifiée",
    unnamed="Une personne dont le nom n'est pas connu",
    of_organization="{who} ({organization})",
    emergency="accès en urgence",
    for_purpose="{sentence} {purpose}.",
    failed="{who} a demandé {thing} sans obtenir de réponse.",
)

#: "You have" in French takes another form of the verb than "he has".
_FR_YOU = {
    "a ajouté": "avez ajouté",
    "a consulté": "avez consulté",
    "a modifié": "avez modifié",
    "a supprimé": "avez supprimé",
    "a parcouru": "avez parcouru",
    "a demandé": "avez demandé",
    "s'est vu": "vous êtes vu",
}
_EN_YOU = {"was refused": "were refused"}

WORDS: Mapping[str, Words] = {"en": _EN, "fr": _FR}
_YOU: Mapping[str, Mapping[str, str]] = {"en": _EN_YOU, "fr": _FR_YOU}


def to_you(sentence: str, language: str) -> str:
    """Return a sentence about the citizen in the second person."""
    for third, second in _YOU[language].items():
        sentence = sentence.replace(f" {third} ", f" {second} ", 1)
    return sentence
