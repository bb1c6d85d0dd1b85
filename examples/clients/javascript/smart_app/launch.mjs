// The record system opens this page with ?iss=...&launch=...; without them the person began here (standalone).
const config = await (await fetch("config.json")).json();
const isFromRecord = new URLSearchParams(location.search).has("launch");
try {
  await FHIR.oauth2.authorize({
    ...(isFromRecord ? {} : { iss: config.iss }), // else fhirclient takes iss and launch from the address
    clientId: config.clientId,
    redirectUri: "./",
    scope: `${isFromRecord ? "launch" : "launch/patient"} openid fhirUser patient/Patient.rs patient/Observation.rs offline_access`,
    pkceMode: "required",
  });
} catch (problem) {
  document.getElementById("state").textContent = problem.message;
}
