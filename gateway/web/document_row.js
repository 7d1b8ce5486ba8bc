// One document in the list, and what can be done with it.

import { download, ofDocument, post, remove } from "./api.js";
import { refreshCollections } from "./collections.js";
import { confirmed } from "./dialogs.js";
import { follow, gone, isSettled } from "./following.js";
import { html, useState } from "./html.js";
import { Icon } from "./icons.js";
import { ago, bytes, moment, percent, t } from "./i18n.js";
import { Trouble } from "./trouble.js";

const KINDS = { READY: "good", FAILED: "bad" };

export function DocumentRow({ document }) {
  const [error, setError] = useState(null);
  const { id, name } = document;
  const trying = (action) => async () => {
    setError(null);
    await action().catch(setError);
  };
  const reprocess = trying(async () => follow(await post(ofDocument(id, "/reprocess"))));
  const removeIt = trying(async () => {
    const sure = await confirmed({
      title: t("document.delete"), text: t("document.delete.text", { name }), action: t("delete"),
    });
    if (!sure) return;
    await remove(ofDocument(id));
    gone(id);
    focusList();
    refreshCollections();
  });
  const save = trying(async () => saved(await download(ofDocument(id, "/content")), name));
  return html`
    <li class="row" data-state=${document.state}>
      <div class="about">
        <span class="name">${name}</span>
        <span class="hint"><${Facts} document=${document} /></span>
        ${document.state === "FAILED" && document.error && html`<p class="reason">${document.error.message}</p>`}
        <${Trouble} error=${error} />
      </div>
      <${State} document=${document} />
      <div class="actions">
        <${Action} icon="download" label=${t("document.download", { name })} onClick=${save} />
        <${Action} icon="again" label=${t("document.reprocess", { name })} onClick=${reprocess}
          disabled=${!isSettled(document)} />
        <${Action} icon="remove" label=${t("document.delete.name", { name })} onClick=${removeIt} />
      </div>
    </li>`;
}

function Facts({ document }) {
  const facts = [bytes(document.size_bytes)];
  if (document.page_count) facts.push(t("pages", { n: document.page_count }));
  if (document.chunk_count) facts.push(t("chunks", { n: document.chunk_count }));
  return html`${facts.join(" · ")} · <time datetime=${document.created_at} title=${moment(document.created_at)}>${ago(document.created_at)}</time>`;
}

const State = ({ document: { state, progress, name } }) => html`
  <div class="state" role="status">
    <span class=${`chip ${KINDS[state] ?? "busy"}`}>
      ${t(`state.${state}`)}${state === "PROCESSING" ? ` ${percent(progress)}` : ""}</span>
    ${state === "PROCESSING" && html`
      <progress max="1" value=${progress} aria-label=${t("document.progress", { name })} />`}
  </div>`;

export const Action = ({ icon, label, ...rest }) => html`
  <button type="button" class="quiet" aria-label=${label} title=${label} ...${rest}><${Icon} name=${icon} /></button>`;

/** By a link of its own: a plain one could not send the key. */
export function saved(blob, name) {
  const url = URL.createObjectURL(blob);
  Object.assign(document.createElement("a"), { href: url, download: name }).click();
  URL.revokeObjectURL(url);
}

/** The row that had the focus is gone: the list is where a keyboard goes on. */
const focusList = () => document.querySelector("#main")?.focus();
