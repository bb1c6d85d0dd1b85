"""The rule of each resource type: whose it is, and who may see it at all. A type without a rule is served to nobody.

https://hl7.org/fhir/R4/compartmentdefinition-patient.html
"""

from __future__ import annotations

from enum import Enum, auto


class Rule(Enum):
    """How documents of a type are closed."""

    #: Belongs to one home patient.
    PATIENT = auto()
    #: May belong to several patients by nature: shown to a patient only if it names no other.
    SHARED = auto()
    #: Practitioners, organisations and so on: whoever is signed in may read.
    DIRECTORY = auto()
    #: Definitions: everybody reads, the operator writes (a hostile expression is code).
    CONFORMANCE = auto()
    #: Only the operator.
    OPERATOR = auto()
    #: Created by the server alone; auditors and the patient concerned read.
    AUDIT = auto()


_PATIENT = """
AllergyIntolerance AdverseEvent BodyStructure CarePlan CareTeam ChargeItem Claim ClaimResponse ClinicalImpression
Communication CommunicationRequest Composition Condition Consent Coverage CoverageEligibilityRequest
CoverageEligibilityResponse DetectedIssue DeviceRequest DeviceUseStatement DiagnosticReport DocumentManifest
DocumentReference Encounter EnrollmentRequest EpisodeOfCare ExplanationOfBenefit FamilyMemberHistory Flag Goal
ImagingStudy Immunization ImmunizationEvaluation ImmunizationRecommendation Invoice List MeasureReport Media
MedicationAdministration MedicationDispense MedicationRequest MedicationStatement MolecularSequence NutritionOrder
Observation Patient Person Procedure Provenance QuestionnaireResponse RelatedPerson RequestGroup ResearchSubject
RiskAssessment ServiceRequest Specimen SupplyDelivery SupplyRequest VisionPrescription
Binary Bundle Device Task MessageHeader Contract PaymentNotice PaymentReconciliation GuidanceResponse
VerificationResult DeviceMetric Subscription
"""
_SHARED = "Account Appointment AppointmentResponse Schedule"
_DIRECTORY = (
    "Practitioner PractitionerRole Organization Location HealthcareService Endpoint Medication Substance"
)
_CONFORMANCE = """
CapabilityStatement CodeSystem CompartmentDefinition ConceptMap GraphDefinition ImplementationGuide
MessageDefinition NamingSystem OperationDefinition SearchParameter StructureDefinition StructureMap
TerminologyCapabilities TestReport TestScript ValueSet Questionnaire
"""

RULES: dict[str, Rule] = {
    **dict.fromkeys(_PATIENT.split(), Rule.PATIENT),
    **dict.fromkeys(_SHARED.split(), Rule.SHARED),
    **dict.fromkeys(_DIRECTORY.split(), Rule.DIRECTORY),
    **dict.fromkeys(_CONFORMANCE.split(), Rule.CONFORMANCE),
    "Group": Rule.OPERATOR,
    "AuditEvent": Rule.AUDIT,
}


def rule(type_: str) -> Rule:
    """Return the rule of a type; of types that nobody wrote one for: the operator's."""
    return RULES.get(type_, Rule.OPERATOR)
