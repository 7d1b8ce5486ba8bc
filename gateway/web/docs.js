// The API's description, for reading.

const api = await (await fetch("/openapi.json")).json();
const main = document.querySelector("main");
main.replaceChildren(...Object.entries(api.paths).flatMap(([path, methods]) =>
  Object.entries(methods).map(([method, operation]) => described(path, method, operation))));

function described(path, method, operation) {
  const details = document.createElement("details");
  const summary = document.createElement("summary");
  summary.append(text("b", method.toUpperCase()), text("code", path), ` ${operation.summary}`);
  details.append(summary, ...(operation.parameters ?? []).map((one) => text("p", `${one.name} (${one.in})`)));
  details.append(...contents("body", operation.requestBody?.content));
  for (const [status, answer] of Object.entries(operation.responses))
    if (status !== "default") details.append(...contents(status, answer.content));
  return details;
}

function contents(what, content = {}) {
  return Object.entries(content).flatMap(([type, { schema }]) => {
    const name = schema?.$ref?.split("/").pop();
    const shown = name ? api.components.schemas[name] : schema;
    const title = text("p", `${what}: ${name ? `${name}, ` : ""}${type}`);
    return shown ? [title, text("pre", JSON.stringify(shown, null, 2))] : [title];
  });
}

function text(tag, content) {
  return Object.assign(document.createElement(tag), { textContent: content });
}
