// The models of the inference server.

import { useFetched } from "./fetched.js";
import { html } from "./html.js";
import { number, t } from "./i18n.js";
import { Trouble } from "./trouble.js";

export function Models() {
  const { content, error, reload } = useFetched("/v1/admin/models");
  return html`
    <section class="card" aria-labelledby="models">
      <header class="bar"><h2 id="models">${t("models")}</h2></header>
      <${Trouble} error=${error} retry=${reload} />
      ${content && html`
        <div class="scroll" tabindex="0" role="region" aria-label=${t("models")}>
          <table>
            <thead><tr>
              <th scope="col">${t("model")}</th><th scope="col">${t("model.role")}</th><th scope="col">${t("health")}</th>
              <th scope="col">${t("model.weights")}</th><th scope="col">${t("model.languages")}</th>
              <th scope="col" class="figure">${t("model.context")}</th>
              <th scope="col" class="figure">${t("calls")}</th><th scope="col" class="figure">${t("failed")}</th>
            </tr></thead>
            <tbody>${content.models.map((model) => html`<${Model} key=${model.name + model.version} ...${model} />`)}</tbody>
          </table>
        </div>`}
    </section>`;
}

const Model = (model) => html`
  <tr>
    <th scope="row">${model.name} <span class="hint">${model.version}</span></th>
    <td>${t(`role.${model.role}`)}</td>
    <td><span class=${`chip ${model.state === "READY" ? "good" : "bad"}`} title=${model.reason}>${model.state.toLowerCase()}</span></td>
    <td>${model.weights}</td>
    <td>${model.languages.length > 6 ? t("model.many", { n: model.languages.length }) : model.languages.join(" ")}</td>
    <td class="figure">${model.context_length ? number(model.context_length) : ""}</td>
    <td class="figure">${number(model.successes)}</td>
    <td class=${`figure ${model.failures ? "bad" : ""}`}>${number(model.failures)}</td>
  </tr>`;
