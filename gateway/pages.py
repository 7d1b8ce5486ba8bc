"""The pages that the edge serves: self-contained, nothing is loaded from elsewhere."""

PAGE_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STYLE = """<meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}
code,pre{font:14px/1.4 ui-monospace,monospace;background:#f3f4f6;border-radius:4px;padding:.1em .3em}
pre{padding:.8em;overflow:auto}summary{cursor:pointer;padding:.4em 0}b{display:inline-block;width:4.5em}
details{border-bottom:1px solid #d8dee4}a{color:#0a58ca}</style>"""

HOME = f"""<!doctype html><html lang="en"><title>ragmesh</title>{STYLE}
<h1>ragmesh</h1><p>Answers questions over your own documents.</p>
<ul><li><a href="/docs">the HTTP API</a></li><li><a href="/readyz">is it ready?</a></li>
<li><a href="/v1/admin/mesh">what runs</a></li><li><a href="/metrics">metrics</a></li></ul></html>"""

DOCS = f"""<!doctype html><html lang="en"><title>ragmesh: the HTTP API</title>{STYLE}
<h1>The HTTP API</h1><p>The same as <a href="/openapi.json">openapi.json</a>, for reading.</p><main>loading</main>
<script>
const text = (tag, content) => Object.assign(document.createElement(tag), {{textContent: content}});
const shown = (details, what, content, schemas) => {{
  for (const [type, {{schema}}] of Object.entries(content ?? {{}})) {{
    const name = schema?.$ref?.split("/").pop();
    details.append(text("p", what + ": " + (name ? name + ", " : "") + type));
    if (schema) details.append(text("pre", JSON.stringify(name ? schemas[name] : schema, null, 2)));
  }}
}};
fetch("/openapi.json").then(answer => answer.json()).then(api => {{
  const main = document.querySelector("main");
  main.textContent = "";
  for (const [path, methods] of Object.entries(api.paths))
    for (const [method, operation] of Object.entries(methods)) {{
      const details = document.createElement("details"), summary = document.createElement("summary");
      summary.append(text("b", method.toUpperCase()), text("code", path), " " + operation.summary);
      details.append(summary);
      for (const parameter of operation.parameters)
        details.append(text("p", parameter.name + " (" + parameter.in + ")"));
      shown(details, "body", operation.requestBody?.content, api.components.schemas);
      for (const [status, answer] of Object.entries(operation.responses))
        if (status < 400) shown(details, status, answer.content, api.components.schemas);
      main.append(details);
    }}
}});
</script></html>"""
