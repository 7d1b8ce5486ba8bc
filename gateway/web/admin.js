// What operators look at.

import { Board } from "./board.js";
import { Charts } from "./charts.js";
import { Letters } from "./letters.js";
import { html } from "./html.js";
import { t } from "./i18n.js";
import { Models } from "./models.js";
import { Settings } from "./settings.js";

export const Admin = () => html`
  <main class="admin" id="main" tabindex="-1">
    <h1 class="hidden">${t("view.admin")}</h1>
    <${Charts} /><${Board} /><${Letters} /><${Models} /><${Settings} />
  </main>`;

