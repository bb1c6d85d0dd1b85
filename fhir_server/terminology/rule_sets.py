"""The value sets with required bindings in R4 whose codes no package lists: rules tell what belongs to them.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

#: The active codes of ISO 4217 and those withdrawn since the Euro was prepared, which older data hold.
_CURRENCIES = frozenset(
    """ AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN
    BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP
    GBP GEL GGP GHS GIP GMD GNF GTQ GYD HKD HNL HRK HTG HUF IDR ILS IMP INR IQD IRR ISK JEP JMD JOD JPY KES
    KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN
    MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG
    SEK SGD SHP SLE SLL SOS SPL SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TVD TWD TZS UAH UGX USD
    USN UYI UYU UYW UZS VED VEF VES VND VUV WST XAF XAG XAU XBA XBB XBC XBD XCD XCG XDR XOF XPD XPF XPT XSU
    XTS XUA XXX YER ZAR ZMW ZWG ZWL ATS BEF BYR CYP DEM EEK ESP FIM FRF GRD IEP ITL LTL LUF LVL MRO MTL NLG
    PTE ROL SIT SKK STD TRL
    """.split()  # noqa: SIM905 - a block of codes is easier to compare with the standard than a list
)

_NAME = r"[A-Za-z0-9][A-Za-z0-9!#$&\-^_.+]{0,126}"
# Values with spaces should be quoted, but the DICOM web endpoints in the wild don't.
_PARAMETER = r'\s*;\s*[A-Za-z0-9!#$&\-^_.+]+=(?:[^;"]+|"[^"]*")'
#: CapabilityStatement.format and TestScript use these (https://hl7.org/fhir/R4/http.html#parameters).
_FORMATS = frozenset({"json", "xml", "ttl", "turtle", "none"})
_mime_type = re.compile(rf"{_NAME}/(?:{_NAME}|\*)(?:{_PARAMETER})*").fullmatch
# The names of UCUM's annotations, brackets, digits, operators and atoms; whether an atom exists is not asked.
_ucum = re.compile(r"(?=\S)(?:\{[!-z|~]*\}|\[[!-~]*?\]|[!-Z^-z|~])+").fullmatch
_VARIANT_TYPES = frozenset(
    {"LA9658-1", "LA6692-3", "LA6686-5", "LA6687-3", "LA6688-1", "LA6689-9", "LA6690-7"}
)


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A value set of one system, and the test that tells its codes."""

    system: str
    accepts: Callable[[str], bool]


def is_currency(code: str) -> bool:
    """Tell whether a code is, or was, one of ISO 4217."""
    return code in _CURRENCIES


def is_mime_type(code: str) -> bool:
    """Tell whether a code has the syntax of a media type (RFC 6838), or is a short name of FHIR's formats."""
    return _mime_type(code) is not None or code in _FORMATS


def is_ucum_unit(code: str) -> bool:
    """Tell whether a code may be a UCUM unit: known characters, and brackets that close."""
    return _ucum(code) is not None and _balanced(code)


def _balanced(code: str) -> bool:
    depth = 0
    for character in re.sub(r"\{[^{}]*\}|\[[^\[\]]*\]", "1", code):
        depth += (character == "(") - (character == ")")
        if depth < 0 or character in "{}[]":
            return False
    return depth == 0


def is_variant_type(code: str) -> bool:
    """Tell whether a code is in the LOINC answer list LL379-9."""
    return code in _VARIANT_TYPES


#: Rule sets by the URL of the value set.
RULE_SETS: dict[str, RuleSet] = {
    "http://hl7.org/fhir/ValueSet/mimetypes": RuleSet("urn:ietf:bcp:13", is_mime_type),
    "http://hl7.org/fhir/ValueSet/currencies": RuleSet("urn:iso:std:iso:4217", is_currency),
    "http://hl7.org/fhir/ValueSet/ucum-units": RuleSet("http://unitsofmeasure.org", is_ucum_unit),
    "http://loinc.org/vs/LL379-9": RuleSet("http://loinc.org", is_variant_type),
}
