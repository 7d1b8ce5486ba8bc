// What went wrong, where it went wrong.

import { html } from "./html.js";
import { t } from "./i18n.js";

/** An error for the reader, and a way to try again where that can help. */
export const Trouble = ({ error, retry }) => error && html`
  <div class="trouble" role="alert">
    <p>${error.message}</p>
    ${retry && (error.retriable ?? true) && html`<button type="button" onClick=${retry}>${t("retry")}</button>`}
  </div>`;
