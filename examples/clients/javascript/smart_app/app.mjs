// After the launch: exchange the code, read the patient and the latest measures, renew the access on request.
const at = (id) => document.getElementById(id);
const hasLaunched = new URLSearchParams(location.search).has("state") || sessionStorage.getItem("SMART_KEY");

if (hasLaunched) {
  try {
    await show(await FHIR.oauth2.ready());
  } catch (problem) {
    at("state").textContent = `It did not work: ${problem.message}`;
    at("signin").hidden = false;
    sessionStorage.clear();
  }
} else {
  at("signin").hidden = false;
}

async function show(client) {
  at("state").textContent = "Reading…";
  const patient = await client.patient.read();
  const found = await client.request(`Observation?patient=${client.patient.id}&_sort=-date&_count=10`);
  at("name").textContent = nameOf(patient);
  at("who").textContent = `Patient/${patient.id}, born ${patient.birthDate ?? "?"}; signed in as ${client.user.fhirUser}`;
  at("measures").replaceChildren(...(found.entry ?? []).map(({ resource }) => row(resource)));
  at("record").hidden = false;
  at("state").textContent = "";
  at("refresh").addEventListener("click", async () => {
    const before = client.state.tokenResponse.access_token;
    await client.refresh();
    const again = await client.patient.read();
    const isNew = client.state.tokenResponse.access_token !== before;
    at("renewed").textContent = isNew ? `Renewed; ${nameOf(again)} read again.` : "The token is the old one.";
  });
}

function nameOf({ name: [{ text, given = [], family = "" } = {}] = [] }) {
  return text ?? [...given, family].join(" ");
}

function row(observation) {
  const { code, effectiveDateTime = "", effectivePeriod, valueQuantity: value, component = [] } = observation;
  const values = [value, ...component.map((part) => part.valueQuantity)].filter(Boolean);
  const line = document.createElement("tr");
  line.append(
    cell((effectiveDateTime || effectivePeriod?.start || "").slice(0, 16).replace("T", " ")),
    cell(code.text ?? code.coding?.[0]?.display ?? code.coding?.[0]?.code ?? ""),
    cell(values.map(({ value, unit = "" }) => `${value} ${unit}`.trim()).join(" / ")),
  );
  return line;
}

function cell(text) {
  const made = document.createElement("td");
  made.textContent = text; // never innerHTML: what others wrote is text
  return made;
}
