// The mesh board: every instance and every server behind them, as they are now.

import { stream } from "./api.js";
import { html, useEffect, useState } from "./html.js";
import { ago, bytes, moment, number, percent, t } from "./i18n.js";
import { Trouble } from "./trouble.js";

const AGAIN_MS = 2000;
const KINDS = { SERVING: "good", NOT_SERVING: "bad", UNREACHABLE: "bad" };

export function Board() {
  const { mesh, error } = useMesh();
  return html`
    <section class="card" aria-labelledby="mesh">
      <header class="bar"><h2 id="mesh">${t("mesh")}</h2>${mesh && html`<${Summary} mesh=${mesh} />`}</header>
      <${Trouble} error=${error} />
      ${mesh && html`<${Instances} instances=${mesh.instances} /><${Backends} backends=${mesh.backends} />`}
    </section>`;
}

/** Follows the mesh, and again after a while when that has ended. */
function useMesh() {
  const [state, setState] = useState({ mesh: null, error: null });
  useEffect(() => {
    const controller = new AbortController();
    const { signal } = controller;
    (async () => {
      while (!signal.aborted) {
        try {
          for await (const [name, mesh] of stream("GET", "/v1/admin/mesh/events", { signal })) {
            if (name === "error") throw mesh;
            setState({ mesh, error: null });
          }
        } catch (error) {
          if (!signal.aborted) setState(({ mesh }) => ({ mesh, error }));
        }
        await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
      }
    })();
    return () => controller.abort();
  }, []);
  return state;
}

function Summary({ mesh }) {
  const all = [...mesh.instances, ...mesh.backends];
  const serving = all.filter(({ health }) => health === "SERVING").length;
  return html`<${Health} health=${serving === all.length ? "SERVING" : "NOT_SERVING"}
    text=${t("mesh.serving", { serving, all: all.length })} />`;
}

const Health = ({ health, text }) => html`
  <span class=${`chip ${KINDS[health] ?? "busy"}`}>${text ?? t(`health.${health}`)}</span>`;

const Instances = ({ instances }) => html`
  <div class="scroll" tabindex="0" role="region" aria-label=${t("instances")}>
    <table>
      <thead><tr>
        <th scope="col">${t("service")}</th><th scope="col">${t("health")}</th>
        <th scope="col">${t("load")}</th><th scope="col" class="figure">${t("in_flight")}</th>
        <th scope="col" class="figure">${t("calls")}</th><th scope="col" class="figure">${t("failed")}</th>
        <th scope="col" class="figure">${t("memory")}</th><th scope="col">${t("version")}</th>
        <th scope="col">${t("since")}</th><th scope="col">${t("address")}</th>
      </tr></thead>
      <tbody>${instances.map((instance) => html`<${Instance} key=${instance.id || instance.address} ...${instance} />`)}</tbody>
    </table>
  </div>`;

const Instance = (instance) => html`
  <tr>
    <th scope="row">${instance.service}</th>
    <td><${Health} health=${instance.health} /></td>
    <td><${Pressure} share=${instance.pressure} service=${instance.service} /></td>
    <td class="figure">${number(instance.in_flight)}</td>
    <td class="figure">${number(instance.requests)}</td>
    <td class=${`figure ${instance.failures ? "bad" : ""}`}>${number(instance.failures)}</td>
    <td class="figure">${bytes(instance.memory_bytes)}</td>
    <td>${instance.version}</td>
    <td>${instance.started_at && html`<time datetime=${instance.started_at} title=${moment(instance.started_at)}>${ago(instance.started_at)}</time>`}</td>
    <td><code>${instance.address}</code></td>
  </tr>`;

const Pressure = ({ share, service }) => html`
  <meter min="0" max="1" low="0.7" high="0.9" optimum="0" value=${Math.min(1, share)}
    aria-label=${t("pressure.of", { service })} title=${percent(share)}>${percent(share)}</meter>`;

const Backends = ({ backends }) => html`
  <ul class="backends" aria-label=${t("backends")}>
    ${backends.map(({ role, uri, health, detail }) => html`
      <li key=${role + uri}><strong>${role}</strong> <${Health} health=${health} />
        <code>${uri}</code> <span class="hint">${detail}</span></li>`)}
  </ul>`;
