// The main job with fhirclient.js in Node: five record types, from create to 410, and what a refusal says.
//
//     node fhirclient_main_job.mjs [base URL]     (or FHIR_BASE)     Needs: npm ci in this folder
import fhirclient from "fhirclient"; // CommonJS: its names come by the default
import { CHANGES, base, check, issues, record } from "./steps.mjs";

const client = new fhirclient.FhirClient(base);

// The library throws for all that isn't 2xx: its HttpError has the status, and its body the OperationOutcome.
async function refusal(call) {
  try {
    await call();
  } catch (error) {
    return { status: error.statusCode ?? error.status, error };
  }
  return {};
}

async function run(type, patientId) {
  console.log(type);
  const sent = await record(type, patientId);
  const ids = [];
  for (let n = 0; n < 3; n += 1) ids.push((await client.create(sent)).id);
  const [id] = ids;
  check(new Set(ids).size === 3, "created 3 records, each with an id of its own");

  const first = await client.fhirRequest(`${type}/${id}`);
  const version = first.meta.versionId;
  const [element, value] = CHANGES[type];
  check(first[element] === sent[element], `read ${id}: its ${element} is ${sent[element]}`);

  const change = () => client.update({ ...first, [element]: value }, { headers: { "If-Match": `W/"${version}"` } });
  const changed = await change();
  check(changed[element] === value && changed.meta.versionId !== version, `updated: its ${element} is ${value}`);
  check((await refusal(change)).status === 412, `a second update of version ${version} is refused (412)`);
  const old = await client.fhirRequest(`${type}/${id}/_history/${version}`);
  check(old[element] === sent[element], `version ${version} still says ${sent[element]}`);
  const history = await client.fhirRequest(`${type}/${id}/_history`);
  check(history.entry.length === 2, "the history has two versions");

  const found = [];
  let next = `${type}?patient=${patientId}&_count=2`;
  while (next) {
    const page = await client.fhirRequest(next);
    found.push(...page.entry.map((entry) => entry.resource.id));
    next = page.link.find((link) => link.relation === "next")?.url;
  }
  check(String(found.sort()) === String(ids.sort()), "found the 3, two a page");

  for (const one of ids) await client.delete(`${type}/${one}`);
  check((await refusal(() => client.fhirRequest(`${type}/${id}`))).status === 410, "deleted: reading gives 410");
}

// A record that is wrong is not stored: 422, and an OperationOutcome that says what to mend, and where.
async function runRefused(patientId) {
  console.log("A refusal");
  const body = { ...(await record("Observation", patientId)), status: "done" };
  const wrong = await refusal(() => client.create(body));
  check(wrong.status === 422, "an Observation with a status that R4 doesn't know is refused (422)");
  // The library has read the body already: it stands at the end of its message.
  const [said] = issues(JSON.parse(wrong.error.message.slice(wrong.error.message.indexOf("{"))));
  check(said.expression[0] === "Observation.status", `at ${said.expression[0]}: ${said.diagnostics}`);
}

const patient = await client.create(await record("Patient"));
console.log(`Patient ${patient.id} at ${base}`);
for (const type of Object.keys(CHANGES)) await run(type, patient.id);
await runRefused(patient.id);
await client.delete(`Patient/${patient.id}`);
console.log("main job done");
