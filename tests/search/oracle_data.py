"""Random resources and random queries for the oracle: few values, so that many match."""

from __future__ import annotations

from tests.search.test_oracle import UCUM

FAMILIES = ["O'Brien", "Müller", "Muller-Schmidt", "van der Berg", "Berg", "Łukasz", "smith", "SMITH"]
SEARCHED_NAMES = [
    "obrien",
    "O'Br",
    "mul",
    "MÜLLER",
    "schmidt",
    "berg",
    "der",
    "lukasz",
    "Smith",
    "smith",
    "ith",
    "x",
]
CITIES = ["Saint-Denis", "St. Gallen", "Denis", "Épinay sur Seine"]
DATES = ["2019", "2020-02", "2020-02-28", "2020-02-29", "2020-03-01T00:00:00Z", "2020-02-29T23:59:59.500Z",
         "2020-03-01T00:00:00+01:00", "2020-03-01T12:30:00-05:00"]  # fmt: skip
DAYS = ["1980", "1980-02", "1980-02-29", "1981-01-01"]
PREFIXES = ["", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb"]
NUMBERS = ["1", "1.0", "1.04", "0.95", "100", "99.5", "1000", "0.001", "2"]
SYSTEMS = ["http://a.example", "http://b.example"]
CODES = ["c1", "C1", "c2"]
TEXTS = ["Heart rate", "Rate of heart", "Blood sugar"]
URLS = ["http://x.example/p", "http://x.example/p/a", "http://x.example/q"]

#: Parameters that results are sorted by.
ORDERS = {
    "Patient": ["birthdate", "gender", "-birthdate", "-gender"], "Observation": ["date", "status", "-status"],
    "Encounter": ["date", "status"], "Condition": ["recorded-date"], "PlanDefinition": ["title", "-title"],
}  # fmt: skip


class Maker:
    """Makes resources and queries from a source of random choices; ids begin with ``run``."""

    def __init__(self, random, run, base):
        self.random, self.run, self.base = random, run, base
        self.tag = {"tag": [{"system": "urn:oracle", "code": run}]}

    def pick(self, values):
        return self.random.choice(list(values))

    def maybe(self, holder, name, make, often=0.6):
        if self.random.random() < often:
            value = make()
            if value:
                holder[name] = value

    def some(self, make, most=2):
        return [make() for _ in range(self.random.randint(0, most))]

    def id(self, type_):
        return f"{self.run}-{type_[:2].lower()}{self.random.randint(1, 3)}"

    def reference(self, *types):
        type_ = self.pick(types)
        text = f"{type_}/{self.id(type_)}"
        form = self.random.random()
        if form < 0.1:
            return {"reference": f"{self.base}/{text}"}
        if form < 0.2:
            return {"identifier": {"system": self.pick(SYSTEMS), "value": self.pick(CODES)}}
        if form < 0.25:
            return {"reference": f"http://elsewhere.example/fhir/{type_}/1"}
        return {"reference": text}

    def coding(self):
        made = {"code": self.pick(CODES)}
        self.maybe(made, "system", lambda: self.pick(SYSTEMS), 0.8)
        self.maybe(made, "display", lambda: self.pick(TEXTS), 0.4)
        return made

    def concept(self):
        made = {"coding": [self.coding() for _ in range(self.random.randint(1, 2))]}
        self.maybe(made, "text", lambda: self.pick(TEXTS), 0.3)
        return made

    def identifier(self):
        made = {"system": self.pick(SYSTEMS), "value": self.pick(CODES)}
        self.maybe(made, "type", lambda: {"coding": [{"system": self.pick(SYSTEMS), "code": "MR"}]}, 0.5)
        return made

    def quantity(self):
        unit = self.pick(["mg", "g", "kg", "tablet"])
        system = UCUM if unit != "tablet" else SYSTEMS[0]
        made = {"value": float(self.pick(NUMBERS)), "system": system, "code": unit, "unit": unit}
        self.maybe(made, "comparator", lambda: self.pick(["<", ">="]), 0.2)
        return made

    def period(self):
        made = {}
        self.maybe(made, "start", lambda: self.pick(["2019", "2020-02", "2020-02-28"]))
        self.maybe(made, "end", lambda: self.pick(["2020-02-29", "2020-03-01T00:00:00Z", "2021"]))
        return made

    def patient(self):
        made = {"resourceType": "Patient", "name": self.some(lambda: {"family": self.pick(FAMILIES)})}
        self.maybe(made, "gender", lambda: self.pick(["male", "female"]))
        self.maybe(made, "birthDate", lambda: self.pick(DAYS))
        self.maybe(made, "active", lambda: True, 0.3)
        self.maybe(made, "address", lambda: [{"city": self.pick(CITIES), "line": [self.pick(FAMILIES)]}])
        self.maybe(made, "identifier", lambda: self.some(self.identifier))
        self.maybe(made, "telecom", lambda: self.some(self.telecom))
        self.maybe(made, "generalPractitioner", lambda: [self.reference("Practitioner", "Organization")])
        return made

    def telecom(self):
        return self.pick([
            {"system": "phone", "value": "+33 (0)1-23"}, {"system": "email", "value": "A.B@c.example"},
            {"system": "phone", "value": "0123"}, {"system": "url", "value": "0123"},
        ])  # fmt: skip

    def practitioner(self):
        return {"resourceType": "Practitioner", "name": [{"family": self.pick(FAMILIES)}]}

    def organization(self):
        return {"resourceType": "Organization", "name": self.pick(FAMILIES)}

    def location(self):
        made = {"resourceType": "Location", "name": self.pick(FAMILIES)}
        self.maybe(
            made,
            "position",
            lambda: {"latitude": self.pick([48.8, 48.9, 45.7]), "longitude": self.pick([2.3, 4.8])},
        )
        return made

    def encounter(self):
        made = {
            "resourceType": "Encounter",
            "status": self.pick(["finished", "planned"]),
            "class": self.coding(),
        }
        self.maybe(made, "subject", lambda: self.reference("Patient"))
        self.maybe(made, "period", self.period)
        self.maybe(made, "serviceProvider", lambda: self.reference("Organization"))
        self.maybe(made, "participant", lambda: [{"individual": self.reference("Practitioner")}])
        return made

    def observation(self):
        made = {
            "resourceType": "Observation",
            "status": self.pick(["final", "amended"]),
            "code": self.concept(),
        }
        self.maybe(made, "subject", lambda: self.reference("Patient", "Location"), 0.8)
        self.maybe(made, "encounter", lambda: self.reference("Encounter"))
        self.maybe(
            made, "performer", lambda: self.some(lambda: self.reference("Practitioner", "Organization"))
        )
        kind = self.random.randint(0, 3)
        if kind < 2:
            made["effectiveDateTime"] = self.pick(DATES)
        elif kind == 2:
            self.maybe(made, "effectivePeriod", self.period)
        else:
            made["effectiveTiming"] = {"event": [self.pick(DATES[4:]), self.pick(DATES[4:])]}
        kind = self.random.randint(0, 3)
        if kind < 2:
            made["valueQuantity"] = self.quantity()
        elif kind == 2:
            made["valueCodeableConcept"] = self.concept()
        self.maybe(
            made,
            "component",
            lambda: self.some(lambda: {"code": self.concept(), "valueQuantity": self.quantity()}),
        )
        if self.random.random() < 0.2:
            made["contained"] = [
                {"resourceType": "Patient", "id": "in", "name": [{"family": self.pick(FAMILIES)}]}
            ]
            made["subject"] = {"reference": "#in"}
        return made

    def condition(self):
        made = {
            "resourceType": "Condition",
            "subject": {"reference": f"Patient/{self.id('Patient')}"},
            "code": self.concept(),
        }
        kind = self.random.randint(0, 3)
        if kind == 0:
            made["onsetRange"] = {
                "low": {"value": 1, "system": UCUM, "code": "mg"},
                "high": {"value": 2, "system": UCUM, "code": "mg"},
            }
        elif kind == 1:
            made["onsetString"] = self.pick(CITIES)
        elif kind == 2:
            self.maybe(made, "onsetPeriod", self.period)
        self.maybe(made, "recordedDate", lambda: self.pick(DATES))
        return made

    def risk_assessment(self):
        prediction = {"outcome": {"text": "x"}}
        if self.random.random() < 0.6:
            prediction["probabilityDecimal"] = float(self.pick(NUMBERS))
        else:
            prediction["probabilityRange"] = {
                end: {"value": value, "unit": "%", "system": UCUM, "code": "%"}
                for end, value in (("low", 1), ("high", float(self.pick(["1", "2", "99.5"]))))
            }
        return {
            "resourceType": "RiskAssessment", "status": "final", "prediction": [prediction],
            "subject": {"reference": f"Patient/{self.id('Patient')}"},
        }  # fmt: skip

    def plan_definition(self):
        made = {"resourceType": "PlanDefinition", "status": "active", "url": f"{self.pick(URLS)}/{self.run}"}
        self.maybe(made, "version", lambda: self.pick(["1", "1.2", "2.0"]))
        self.maybe(made, "title", lambda: self.pick(FAMILIES))
        return made

    def care_plan(self):
        made = {"resourceType": "CarePlan", "status": "active", "intent": "plan"}
        made["subject"] = {"reference": f"Patient/{self.id('Patient')}"}
        version = self.pick(["", "|1", "|1.2", "|2.0"])
        self.maybe(made, "instantiatesCanonical", lambda: [f"{self.pick(URLS)}/{self.run}{version}"], 0.8)
        self.maybe(made, "instantiatesUri", lambda: [self.pick(URLS)])
        return made

    def resources(self):
        """Up to three resources of each type with ids, so that references often lead somewhere."""
        makers = [
            self.patient, self.practitioner, self.organization, self.location, self.encounter, self.observation,
            self.condition, self.risk_assessment, self.plan_definition, self.care_plan,
        ]  # fmt: skip
        for make in makers:
            for number in range(1, 6 if make == self.observation else 4):
                made = {key: value for key, value in make().items() if value != []}
                yield {
                    **made,
                    "id": f"{self.run}-{made['resourceType'][:2].lower()}{number}",
                    "meta": self.tag,
                }

    # Queries: for each type the parameters with what makes a value, and the modifiers.

    def name(self):
        return self.pick(SEARCHED_NAMES)

    def token(self):
        return self.pick(["", "", "|", f"{SYSTEMS[0]}|", f"{SYSTEMS[1]}|"]) + self.pick(CODES)

    def system(self):
        return f"{self.pick(SYSTEMS)}|"

    def date(self):
        return self.pick(PREFIXES) + self.pick([*DATES, "2020-02-29T23:59Z", "2021"])

    def day(self):
        return self.pick(PREFIXES) + self.pick(DAYS)

    def number(self):
        return self.pick([*PREFIXES, "ap"]) + self.pick([*NUMBERS, "1e0", "1e2", "0"])

    def quantity_value(self):
        return self.number() + self.pick(
            ["", f"|{UCUM}|mg", f"|{UCUM}|kg", "||mg", "||tablet", f"|{SYSTEMS[0]}|tablet"]
        )

    def target(self, *types):
        type_ = self.pick(types)
        id_ = self.id(type_)
        forms = [f"{type_}/{id_}", f"{self.base}/{type_}/{id_}", f"{type_}/{id_}/_history/1"]
        return self.pick([*forms, f"http://elsewhere.example/fhir/{type_}/1"])

    def short(self, type_):
        return self.pick([self.id(type_), f"{type_}/{self.id(type_)}"])

    def queries(self):
        """The type, and (name with modifier, function that makes a value)."""
        flag = self.pick(["true", "false"])
        patient = [
            ("family", self.name), ("family:exact", lambda: self.pick(FAMILIES)), ("name:contains", self.name),
            ("name", self.name), ("address-city", lambda: self.pick(["saint", "st gallen", "epinay", "denis"])),
            ("address", self.name), ("gender", lambda: self.pick(["male", "female", "http://hl7.org/fhir/administrative-gender|male"])),
            ("gender:not", lambda: "male"), ("active", lambda: flag), ("active:not", lambda: "true"),
            ("birthdate", self.day), ("identifier", self.token), ("identifier:not", self.token), ("identifier", self.system),
            ("identifier:of-type", lambda: f"{self.pick(SYSTEMS)}|MR|{self.pick(CODES)}"),
            ("phone", lambda: self.pick(["0123", "+33(0)123"])), ("email", lambda: "a.b@C.example"),
            ("telecom", lambda: self.pick(["0123", "phone|0123", "url|0123"])),
            ("general-practitioner", lambda: self.target("Practitioner", "Organization")),
            ("general-practitioner:Practitioner", lambda: self.id("Practitioner")),
            ("general-practitioner:identifier", self.token),
            ("general-practitioner:Practitioner.family", self.name), ("general-practitioner.name", self.name),
            ("_has:Observation:patient:code", self.token), ("_has:Condition:patient:code:not", self.token),
            ("_has:Encounter:patient:_has:Observation:encounter:status", lambda: self.pick(["final", "amended"])),
            ("_has:Observation:subject:performer:Practitioner.family", self.name),
            *((f"{n}:missing", lambda: flag) for n in ("family", "gender", "birthdate", "phone", "email", "identifier",
                                                       "address", "active", "general-practitioner")),
        ]  # fmt: skip
        observation = [
            ("code", self.token), ("code:not", self.token), ("code:text", lambda: self.pick(["rate", "heart", "blood s", "x"])),
            ("code", self.system), ("status", lambda: self.pick(["final", "http://hl7.org/fhir/observation-status|amended", "x"])),
            ("date", self.date), ("value-quantity", self.quantity_value), ("value-concept", self.token),
            ("component-value-quantity", self.quantity_value), ("combo-code", self.token), ("combo-code:not", self.token),
            ("combo-value-quantity", self.quantity_value), ("performer", lambda: self.target("Practitioner", "Organization")),
            ("subject", lambda: self.target("Patient", "Location")), ("patient", lambda: self.short("Patient")),
            ("subject:Patient", lambda: self.id("Patient")), ("subject:Location", lambda: self.id("Location")),
            ("encounter", lambda: self.short("Encounter")), ("performer:identifier", self.token),
            ("code-value-quantity", lambda: f"{self.token()}${self.number()}||mg"),
            ("component-code-value-quantity", lambda: f"{self.token()}${self.number()}||mg"),
            ("combo-code-value-quantity", lambda: f"{self.token()}${self.number()}|{UCUM}|g"),
            ("subject:Patient.family", self.name), ("subject.name", self.name), ("patient.gender", lambda: "male"),
            ("encounter.status", lambda: "finished"), ("encounter.service-provider.name", self.name),
            ("performer:Practitioner.family:exact", lambda: self.pick(FAMILIES)),
            ("encounter.date", self.date), ("patient.general-practitioner:Organization.name", self.name),
            *((f"{n}:missing", lambda: flag) for n in ("date", "value-quantity", "subject", "patient", "encounter",
                                                       "performer", "value-concept", "combo-code", "component-code")),
        ]  # fmt: skip
        others = {
            "Encounter": [
                ("date", self.date), ("class", self.token), ("subject", lambda: self.short("Patient")),
                ("status:not", lambda: "planned"), ("participant.family", self.name), ("date:missing", lambda: flag),
                ("_has:Observation:encounter:value-quantity", self.quantity_value),
            ],
            "Condition": [
                ("onset-age", self.quantity_value), ("onset-info", lambda: self.pick(["saint", "gallen", "st", "epinay"])),
                ("onset-date", self.date), ("recorded-date", self.date), ("onset-info:missing", lambda: flag),
                ("patient.birthdate", self.day), ("code:text", lambda: "sugar"), ("onset-age:missing", lambda: flag),
            ],
            "RiskAssessment": [("probability", self.number), ("probability:missing", lambda: flag)],
            "Location": [
                ("name", self.name), ("near", lambda: f"48.85|2.35|{self.pick(['1', '10', '200', '500'])}|km"),
                ("near:missing", lambda: flag), ("_has:Observation:subject:code", self.token),
            ],
            "PlanDefinition": [
                ("url", lambda: f"{self.pick(URLS)}/{self.run}"), ("url:below", lambda: self.pick(URLS)), ("title", self.name),
                ("url:above", lambda: f"{self.pick(URLS)}/{self.run}/deep/er"), ("version", lambda: self.pick(["1", "1.2"])),
                ("_has:CarePlan:instantiates-canonical:patient", lambda: self.short("Patient")),
            ],
            "CarePlan": [
                ("instantiates-canonical", lambda: f"{self.pick(URLS)}/{self.run}{self.pick(['', '|1', '|1.2'])}"),
                ("instantiates-canonical:below", lambda: f"{self.pick(URLS)}/{self.run}{self.pick(['', '|1', '|2'])}"),
                ("instantiates-uri", lambda: self.pick(URLS)), ("instantiates-uri:below", lambda: self.pick(URLS)),
                ("instantiates-canonical.title", self.name), ("instantiates-canonical:missing", lambda: flag),
            ],
        }  # fmt: skip
        type_, known = self.pick([
            *[("Patient", patient)] * 4, *[("Observation", observation)] * 5, *others.items(),
        ])  # fmt: skip
        pairs = []
        for _ in range(self.pick([1, 1, 1, 2, 3])):
            name, make = self.pick(known)
            is_single = name.endswith((":missing", ":of-type")) or name == "near"
            count = 1 if is_single else self.pick([1, 1, 2])
            pairs.append((name, ",".join(dict.fromkeys(make() for _ in range(count)))))
        return type_, pairs
