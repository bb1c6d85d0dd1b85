"""The value sets with required bindings in R4 whose codes no package lists: rules tell what belongs to them.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

#: The active codes of ISO 4217 and those withdrawn since the Euro was prepared, which older data hold.
CURRENCIES = frozenset(
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

#: BCP 47: language, script, region, variants, extensions, private use; and the tags that were kept from before.
_language_tag = re.compile(
    r"(?:[A-Za-z]{2,3}(?:-[A-Za-z]{3}){0,3}|[A-Za-z]{4,8})(?:-[A-Za-z]{4})?(?:-(?:[A-Za-z]{2}|\d{3}))?"
    r"(?:-(?:[A-Za-z0-9]{5,8}|\d[A-Za-z0-9]{3}))*(?:-[0-9A-WYZa-wyz](?:-[A-Za-z0-9]{2,8})+)*"
    r"(?:-x(?:-[A-Za-z0-9]{1,8})+)?|[xX](?:-[A-Za-z0-9]{1,8})+|[iI]-[A-Za-z]{2,8}|sgn-[A-Z]{2}(?:-[A-Z]{2})?"
).fullmatch

#: ISO 3166-1: alpha-2 and alpha-3 codes.
COUNTRIES = frozenset(
    """ AD AE AF AG AI AL AM AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BV
    BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CR CU CV CW CX CY CZ DE DJ DK DM DO DZ EC EE EG EH ER ES ET
    FI FJ FK FM FO FR GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU ID IE IL IM
    IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC MD
    ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NU NZ OM PA PE
    PF PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST
    SV SX SY SZ TC TD TF TG TH TJ TK TL TM TN TO TR TT TV TW TZ UA UG UM US UY UZ VA VC VE VG VI VN VU WF WS
    YE YT ZA ZM ZW
    ABW AFG AGO AIA ALA ALB AND ARE ARG ARM ASM ATA ATF ATG AUS AUT AZE BDI BEL BEN BES BFA BGD BGR BHR BHS
    BIH BLM BLR BLZ BMU BOL BRA BRB BRN BTN BVT BWA CAF CAN CCK CHE CHL CHN CIV CMR COD COG COK COL COM CPV
    CRI CUB CUW CXR CYM CYP CZE DEU DJI DMA DNK DOM DZA ECU EGY ERI ESH ESP EST ETH FIN FJI FLK FRA FRO FSM
    GAB GBR GEO GGY GHA GIB GIN GLP GMB GNB GNQ GRC GRD GRL GTM GUF GUM GUY HKG HMD HND HRV HTI HUN IDN IMN
    IND IOT IRL IRN IRQ ISL ISR ITA JAM JEY JOR JPN KAZ KEN KGZ KHM KIR KNA KOR KWT LAO LBN LBR LBY LCA LIE
    LKA LSO LTU LUX LVA MAC MAF MAR MCO MDA MDG MDV MEX MHL MKD MLI MLT MMR MNE MNG MNP MOZ MRT MSR MTQ MUS
    MWI MYS MYT NAM NCL NER NFK NGA NIC NIU NLD NOR NPL NRU NZL OMN PAK PAN PCN PER PHL PLW PNG POL PRI PRK
    PRT PRY PSE PYF QAT REU ROU RUS RWA SAU SDN SEN SGP SGS SHN SJM SLB SLE SLV SMR SOM SPM SRB SSD STP SUR
    SVK SVN SWE SWZ SXM SYC SYR TCA TCD TGO THA TJK TKL TKM TLS TON TTO TUN TUR TUV TWN TZA UGA UKR UMI URY
    USA UZB VAT VCT VEN VGB VIR VNM VUT WLF WSM YEM ZAF ZMB ZWE
    """.split()  # noqa: SIM905 - a block of codes is easier to compare with the standard than a list
)


def is_language_tag(code: str) -> bool:
    """Tell whether a code is a well-formed language tag (BCP 47)."""
    return _language_tag(code) is not None


def is_country(code: str) -> bool:
    """Tell whether a code is a country's of ISO 3166-1, two or three letters; three digits may be one."""
    return code in COUNTRIES or (len(code) == 3 and code.isdigit())


@dataclass(frozen=True, slots=True)
class RuleSet:
    """A value set of one system, and the test that tells its codes."""

    system: str
    accepts: Callable[[str], bool]


def is_currency(code: str) -> bool:
    """Tell whether a code is, or was, one of ISO 4217."""
    return code in CURRENCIES


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

#: Rules by the URL of the code system, for value sets that include all of it.
SYSTEM_RULES: dict[str, Callable[[str], bool]] = {
    "urn:ietf:bcp:13": is_mime_type,
    "urn:ietf:bcp:47": is_language_tag,
    "urn:iso:std:iso:4217": is_currency,
    "urn:iso:std:iso:3166": is_country,
    "http://unitsofmeasure.org": is_ucum_unit,
}
