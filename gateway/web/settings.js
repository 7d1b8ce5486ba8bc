// The settings in effect, and where each came from.

import { useFetched } from "./fetched.js";
import { html, useState } from "./html.js";
import { t } from "./i18n.js";
import { Trouble } from "./trouble.js";

export function Settings() {
  const { content, error, reload } = useFetched("/v1/admin/config");
  const [wanted, setWanted] = useState("");
  const found = content?.settings.filter(({ key }) => key.includes(wanted.toUpperCase())) ?? [];
  return html`
    <section class="card" aria-labelledby="settings">
      <details>
        <summary><h2 id="settings">${t("settings")}</h2></summary>
        <${Trouble} error=${error} retry=${reload} />
        <label class="find"><span class="hidden">${t("settings.find")}</span>
          <input type="search" placeholder=${t("settings.find")} value=${wanted}
            onInput=${(event) => setWanted(event.target.value)} /></label>
        <div class="scroll" tabindex="0" role="region" aria-label=${t("settings")}>
          <table>
            <thead><tr><th scope="col">${t("setting")}</th><th scope="col">${t("setting.value")}</th>
              <th scope="col">${t("setting.source")}</th></tr></thead>
            <tbody>${found.map(({ key, value, source, dynamic }) => html`
              <tr key=${key}>
                <th scope="row"><code>${key}</code></th><td><code>${value}</code></td>
                <td>${source}${dynamic && html` <span class="chip">${t("setting.dynamic")}</span>`}</td>
              </tr>`)}</tbody>
          </table>
        </div>
      </details>
    </section>`;
}
