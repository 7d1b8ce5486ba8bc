// The page: its frame, and the view that the address names.

import { Admin } from "./admin.js";
import { Ask } from "./ask.js";
import { CollectionSwitch } from "./collections.js";
import { connected } from "./connection.js";
import { Dialogs } from "./dialogs.js";
import { Documents } from "./documents.js";
import { effect, html, render } from "./html.js";
import { choose, language, t } from "./i18n.js";
import { Icon } from "./icons.js";
import { forgetKey, hasKey } from "./key.js";
import { address, route } from "./route.js";
import { DropZone } from "./upload.js";

const VIEWS = { ask: Ask, documents: Documents, admin: Admin };

const Page = () => html`
  <a class="skip" href="#main" onClick=${skip}>${t("skip")}</a>
  <header class="top">
    <a class="brand" href=${address("ask")}>ragmesh</a>
    <${CollectionSwitch} />
    <${Navigation} />
    <span class="space"></span>
    ${hasKey.value && html`
      <button type="button" class="quiet" aria-label=${t("key.forget")} title=${t("key.forget")} onClick=${forgetKey}>
        <${Icon} name="key" /></button>`}
    <${Language} />
  </header>
  <p class="offline" role="status">${connected.value ? "" : t("offline")}</p>
  <${VIEWS[route.value.view]} />
  <${DropZone} />
  <${Dialogs} />`;

const Navigation = () => html`
  <nav class="views" aria-label=${t("views")}>
    ${Object.keys(VIEWS).map((view) => html`
      <a key=${view} href=${address(view)} aria-current=${view === route.value.view ? "page" : null}>
        <${Icon} name=${view} />${t(`view.${view}`)}</a>`)}
  </nav>`;

const Language = () => {
  const other = language.value === "zh" ? "en" : "zh";
  return html`
    <button type="button" class="quiet language" lang=${other} onClick=${() => choose(other)}>
      <${Icon} name="globe" />${other === "zh" ? "中文" : "English"}</button>`;
};

/** The address names a view, so a link into the page must not change it. */
function skip(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}

effect(() => { document.title = `${t(`view.${route.value.view}`)} · ragmesh`; });

const root = document.getElementById("app");
root.replaceChildren();
render(html`<${Page} />`, root);
