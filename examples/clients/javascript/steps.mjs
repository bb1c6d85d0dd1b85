// What both programs share: the records that they send, and how a step is checked.
import { readFile } from "node:fs/promises";

export const base = process.argv[2] ?? process.env.FHIR_BASE ?? "http://127.0.0.1:8080/fhir";

// Record type -> the element that the update changes, with its new value.
export const CHANGES = {
  DocumentReference: ["status", "superseded"],
  Consent: ["status", "inactive"],
  RelatedPerson: ["active", false],
  Observation: ["status", "amended"],
  ExplanationOfBenefit: ["status", "cancelled"],
};

export async function record(type, patientId = "") {
  const text = await readFile(new URL(`../records/${type}.json`, import.meta.url), "utf8");
  return JSON.parse(text.replaceAll("{{patientId}}", patientId));
}

// Prints the step, or stops the program with exit code 1 if the server answered something else.
export function check(truth, what) {
  if (!truth) {
    console.error(`MISMATCH: ${what}`);
    process.exit(1);
  }
  console.log(`  ok  ${what}`);
}

// What an OperationOutcome says is wrong, and where.
export const issues = (outcome) =>
  outcome.issue.map(({ severity, code, expression = [], diagnostics = "" }) => ({ severity, code, expression, diagnostics }));
