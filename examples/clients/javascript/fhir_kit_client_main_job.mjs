// The main job with fhir-kit-client: five record types, from create to 410, and what a refusal says.
//
//     node fhir_kit_client_main_job.mjs [base URL]     (or FHIR_BASE)     Needs: npm ci in this folder
import { Client } from "fhir-kit-client";
import { CHANGES, base, check, issues, record } from "./steps.mjs";

const client = new Client({ baseUrl: base });

// The library throws for all that isn't 2xx: its status, and the OperationOutcome.
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.response?.status, outcome: error.response?.data };
  }
  return {};
}

async function run(resourceType, patientId) {
  console.log(resourceType);
  const sent = await record(resourceType, patientId);
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.push((await client.create({ resourceType, body: sent })).id);
  const [id] = ids;
  check(new Set(ids).size === 3, "created 3 records, each with an id of its own");

  const first = await client.read({ resourceType, id });
  const version = first.meta.versionId;
  const [element, value] = CHANGES[resourceType];
  check(first[element] === sent[element], `read ${id}: its ${element} is ${sent[element]}`);

  const change = { resourceType, id, body: { ...first, [element]: value }, options: { headers: { "If-Match": `W/"${version}"` } } };
  const changed = await client.update(change);
  check(changed[element] === value && changed.meta.versionId !== version, `updated: its ${element} is ${value}`);
  check((await refusal(() => client.update(change))).status === 412, `a second update of version ${version} is refused (412)`);
  const old = await client.vread({ resourceType, id, version });
  check(old[element] === sent[element], `version ${version} still says ${sent[element]}`);
  const history = await client.resourceHistory({ resourceType, id });
  check(history.entry.length === 2, "the history has two versions");

  const found = [];
  let page = await client.search({ resourceType, searchParams: { patient: patientId, _count: 2 } });
  while (page) {
    found.push(...page.entry.map((entry) => entry.resource.id));
    page = page.link.some((link) => link.relation === "next") ? await client.nextPage({ bundle: page }) : undefined;
  }
  check(String(found.sort()) === String(ids.sort()), "found the 3, two a page");

  for (const one of ids) await client.delete({ resourceType, id: one });
  check((await refusal(() => client.read({ resourceType, id }))).status === 410, "deleted: reading gives 410");
}

// A record that is wrong is not stored: 422, and an OperationOutcome that says what to mend, and where.
async function runRefused(patientId) {
  console.log("A refusal");
  const body = { ...(await record("Observation", patientId)), status: "done" };
  const wrong = await refusal(() => client.create({ resourceType: "Observation", body }));
  check(wrong.status === 422, "an Observation with a status that R4 doesn't know is refused (422)");
  const [said] = issues(wrong.outcome);
  check(said.expression[0] === "Observation.status", `at ${said.expression[0]}: ${said.diagnostics}`);
}

const patient = await client.create({ resourceType: "Patient", body: await record("Patient") });
console.log(`Patient ${patient.id} at ${base}`);
for (const type of Object.keys(CHANGES)) await run(type, patient.id);
await runRefused(patient.id);
await client.delete({ resourceType: "Patient", id: patient.id });
console.log("main job done");
