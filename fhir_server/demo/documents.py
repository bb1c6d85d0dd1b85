"""Documents: the index entry and its content, with the content's real size and hash.

https://hl7.org/fhir/R4/documentreference.html, binary.html
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Sequence

from fhir_server.demo.codes import (
    DOCUMENT_CLASS,
    DOCUMENT_FORMAT,
    DOCUMENT_TYPE,
    LOINC,
    PATIENT_AUTHOR,
    PRACTICE_SETTING,
    SECTOR,
    THO,
    VISIBILITY,
    Json,
    concept,
    reference,
    resource,
)
from fhir_server.demo.identities import uuid
from fhir_server.demo.pdf import pdf

#: Classes of documents (TRE_A03).
_CLASSES = {
    "10": "Compte rendu",
    "11": "Synthèse",
    "42": "Prescription",
    "43": "Dispensation",
    "44": "Plan de soins, protocole de soins",
    "45": "Traitement administré",
    "52": "Certificat, déclaration",
    "90": "Autres documents déposés par le patient",
}
#: Kinds of documents: system and code of the type, what it is called, its class.
KINDS = {
    "consultation": (LOINC, "11488-4", "CR ou fiche de consultation ou de visite", "10"),
    "biology": (LOINC, "11502-2", "CR d'examens biologiques", "10"),
    "imaging": (LOINC, "18748-4", "CR d'imagerie médicale", "10"),
    "stay": (LOINC, "34112-3", "CR hospitalier (séjour)", "10"),
    "discharge": (LOINC, "11490-0", "Lettre de liaison à la sortie d'un établissement de soins", "10"),
    "operation": (LOINC, "34874-8", "CR opératoire", "10"),
    "anaesthesia": (LOINC, "77436-4", "CR d'anesthésie", "10"),
    "emergency": (LOINC, "15507-7", "CR de passage aux urgences", "10"),
    "child": (LOINC, "59283-2", "CR d'examen de l'enfant", "10"),
    "eyes": (LOINC, "78513-9", "CR de consultation en ophtalmologie", "10"),
    "delivery": (LOINC, "15508-5", "CR d'accouchement", "10"),
    "screening": (LOINC, "75492-9", "CR d'acte diagnostique à visée préventive ou de dépistage", "10"),
    "summary": (LOINC, "60591-5", "Synthèse médicale", "11"),
    "prescription": (LOINC, "57833-6", "Prescription de produits de santé", "42"),
    "dispensation": (LOINC, "60593-1", "Dispensation médicamenteuse", "43"),
    "vaccinations": (LOINC, "11369-6", "Historique des vaccinations", "11"),
    "vaccination": (LOINC, "87273-9", "Note de vaccination", "45"),
    "certificate": (LOINC, "89601-9", "Certificat médical", "52"),
    "long-term": (DOCUMENT_TYPE, "PROT_ALD", "Protocole de soins ALD", "44"),
    "own": (DOCUMENT_TYPE, "EXPPAT_2", "Autre document du patient", "90"),
    "wishes": (DOCUMENT_TYPE, "EXPPAT_1", "Volontés et droits du patient", "90"),
    "old-biology": (DOCUMENT_TYPE, "DOCPAT05", "CR de biologie déposé par le patient", "90"),
}  # fmt: skip

#: Where documents come from: sector and practice setting, each a row of TRE_R02 or TRE_A01.
_PATIENT = (PATIENT_AUTHOR, "EXP_PATIENT", "Expression personnelle du patient")
_AMBULATORY = (PRACTICE_SETTING, "AMBULATOIRE", "Ambulatoire")
ORIGINS = {
    "hospital": (
        (SECTOR, "SA01", "Etablissement public de santé"),
        (PRACTICE_SETTING, "ETABLISSEMENT", "Etablissement de santé"),
    ),
    "practice": ((SECTOR, "SA08", "Cabinet de groupe"), _AMBULATORY),
    "laboratory": ((SECTOR, "SA25", "Laboratoire de biologie médicale"), _AMBULATORY),
    "pharmacy": ((SECTOR, "SA33", "Pharmacie d'officine"), _AMBULATORY),
    "patient": (_PATIENT, _PATIENT),
}
#: Displays of the labels beyond confidentiality.
LABELS = {
    "MASQUE_PS": "Masqué aux professionnels de santé",
    "INVISIBLE_PATIENT": "Non visible par le patient",
    "INVISIBLE_REPRESENTANTS_LEGAUX": "Non visible par représentants légaux du patient",
}
_NORMAL = concept(f"{THO}/v3-Confidentiality", "N", "normal")
_FORMAT = {"system": DOCUMENT_FORMAT, "code": "urn:ihe:iti:xds-sd:pdf:2008"}


def document(
    id_: str,
    kind: str,
    holder: str,
    *,
    deposited: str,
    origin: str,
    authors: Sequence[str],
    custodian: str,
    title: str,
    lines: Sequence[str],
    care: str = "",
    labels: Sequence[str] = (),
) -> tuple[Json, Json]:
    """Return DocumentReference and Binary of a PDF with these lines.

    ``deposited`` is the instant of the deposit, ``care`` the day of the care when that is another one.
    """
    content = pdf(lines)
    system, type_, name, class_ = KINDS[kind]
    facility, setting = ORIGINS[origin]
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    entry = resource("DocumentReference", id_, "hs-document") | {
        "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": uuid(f"document {id_}")},
        "status": "current",
        "type": {"coding": [{"system": system, "code": type_}], "text": name},
        "category": [concept(DOCUMENT_CLASS, class_, _CLASSES[class_])],
        "subject": reference(holder),
        "date": deposited,
        "author": [reference(author) for author in authors],
        "custodian": reference(custodian),
        "securityLabel": [_NORMAL, *(concept(VISIBILITY, label, LABELS[label]) for label in labels)],
        "content": [
            {
                "attachment": {
                    "contentType": "application/pdf",
                    "language": "fr-FR",
                    "url": f"Binary/{id_}",
                    "size": len(content),
                    "hash": b64encode(digest).decode(),
                    "title": title,
                    "creation": deposited,
                },
                "format": _FORMAT,
            }
        ],
        "context": {
            "period": {"start": care or deposited[:10], "end": care or deposited[:10]},
            "facilityType": concept(*facility),
            "practiceSetting": concept(*setting),
        },
    }
    bytes_ = resource("Binary", id_, "hs-document-binary") | {
        "contentType": "application/pdf",
        "securityContext": reference(f"DocumentReference/{id_}"),
        "data": b64encode(content).decode(),
    }
    return entry, bytes_
