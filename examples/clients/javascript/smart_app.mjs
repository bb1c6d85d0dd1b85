// Registers the app of smart_app/ with a server and serves it; both ways of launching then work.
//
//     node smart_app.mjs [FHIR base] [port]     (or FHIR_BASE; default http://127.0.0.1:8080/fhir, port 9000)
//
// The server needs its development authorization server: FHIR_AUTH_DEV_SERVER=true fhir-server serve --load-examples

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";

const [given, port = "9000"] = process.argv.slice(2);
const base = given ?? process.env.FHIR_BASE ?? "http://127.0.0.1:8080/fhir";

const FILES = {
  "/": ["smart_app/index.html", "text/html"],
  "/launch.html": ["smart_app/launch.html", "text/html"],
  "/launch.mjs": ["smart_app/launch.mjs", "text/javascript"],
  "/app.mjs": ["smart_app/app.mjs", "text/javascript"],
  "/app.css": ["smart_app/app.css", "text/css"],
  "/fhir-client.js": ["node_modules/fhirclient/build/fhir-client.pure.min.js", "text/javascript"],
};
let config = {};

const app = createServer(async (request, response) => {
  const { pathname } = new URL(request.url, "http://app");
  const send = (status, type, body) => response.writeHead(status, { "Content-Type": type }).end(body);
  if (pathname === "/config.json") return send(200, "application/json", JSON.stringify(config));
  if (!(pathname in FILES)) return send(404, "text/plain", "not found");
  const [file, type] = FILES[pathname];
  return send(200, `${type}; charset=utf-8`, await readFile(new URL(file, import.meta.url)));
});

async function registered(origin) {
  const smart = await json(`${base}/.well-known/smart-configuration`);
  if (!smart.registration_endpoint) throw new Error(`${base} names no registration_endpoint: is FHIR_AUTH_DEV_SERVER on?`);
  const client = await json(smart.registration_endpoint, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      client_name: "My measures",
      redirect_uris: [`${origin}/`],
      launch_uri: `${origin}/launch.html`,
      token_endpoint_auth_method: "none", // what runs in a browser can't keep a secret
      grant_types: ["authorization_code", "refresh_token"],
    }),
  });
  return client.client_id;
}

async function json(url, options) {
  const answer = await fetch(url, options);
  if (!answer.ok) throw new Error(`${url} gave ${answer.status}: ${await answer.text()}`);
  return answer.json();
}

app.listen(Number(port), "127.0.0.1", async () => {
  const origin = `http://127.0.0.1:${app.address().port}`;
  try {
    config = { iss: base, clientId: await registered(origin) };
  } catch (problem) {
    console.error(problem.message);
    process.exit(1);
  }
  console.log(`standalone launch: ${origin}/`);
  console.log(`EHR launch:        ${new URL("/auth/launch", base)}`);
});
