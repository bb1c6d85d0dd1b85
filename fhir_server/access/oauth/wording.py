"""Scopes in plain words, in French and English, for the person who is to agree to them."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from fhir_server.access.scopes import Scope, parse

FRENCH = "fr"
_OTHERS: Mapping[str, tuple[str, str]] = {
    "openid": ("Know who you are", "Savoir qui vous êtes"),
    "fhirUser": ("Know your record of a person here", "Connaître votre fiche de personne ici"),
    "profile": ("Know your record of a person here", "Connaître votre fiche de personne ici"),
    "launch": ("Open for the patient in view", "S'ouvrir sur le patient affiché"),
    "launch/patient": ("Know which patient you choose", "Savoir quel patient vous choisissez"),
    "offline_access": ("Keep this access when you are away", "Garder cet accès en votre absence"),
    "online_access": ("Keep this access while you are signed in", "Garder cet accès pendant votre session"),
}
_VERBS = {
    "c": ("add", "ajouter"),
    "r": ("read", "lire"),
    "u": ("change", "modifier"),
    "d": ("delete", "supprimer"),
    "s": ("search", "rechercher"),
}
_TYPES = {
    "*": ("all health data", "toutes les données de santé"),
    "Patient": ("identity and contact details", "identité et coordonnées"),
    "Observation": ("measurements and results", "mesures et résultats"),
    "Condition": ("health problems", "problèmes de santé"),
    "AllergyIntolerance": ("allergies", "allergies"),
    "MedicationRequest": ("prescriptions", "prescriptions"),
    "MedicationStatement": ("medicines taken", "médicaments pris"),
    "Immunization": ("vaccinations", "vaccinations"),
    "Procedure": ("procedures", "actes"),
    "DiagnosticReport": ("reports", "comptes rendus"),
    "DocumentReference": ("documents", "documents"),
    "Encounter": ("visits", "consultations et séjours"),
    "ExplanationOfBenefit": ("reimbursements", "remboursements"),
    "Consent": ("consents", "consentements"),
    "Practitioner": ("professionals", "professionnels"),
}
_WHOSE = {"patient": ("of one patient", "d'un patient"), "user": ("that you may see", "que vous pouvez voir")}


def described(word: str, language: str, types: Collection[str]) -> str:
    """Return what a scope allows, as a sentence without its full stop."""
    which = int(language == FRENCH)
    if word in _OTHERS:
        return _OTHERS[word][which]
    scope = next(iter(parse(word, types).resources), None)
    return _of_resources(scope, which) if scope is not None else word


def _of_resources(scope: Scope, which: int) -> str:
    verbs = [_VERBS[letter][which] for letter in scope.letters]
    joined = ", ".join(verbs[:-1]) + (" et " if which else " and ") + verbs[-1] if verbs[1:] else verbs[0]
    about = _TYPES.get(scope.type, (scope.type, scope.type))[which]
    separator = " : " if which else ": "
    text = f"{joined[0].upper()}{joined[1:]}{separator}{about}"
    if scope.level in _WHOSE:
        text += f" {_WHOSE[scope.level][which]}"
    if scope.conditions:
        only = "seulement" if which else "only"
        text += f" ({only} {', '.join(f'{name} = {value}' for name, value in scope.conditions)})"
    return text
