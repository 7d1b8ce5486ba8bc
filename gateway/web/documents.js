// The documents of a collection, newest first, a page at a time.

import { get, inCollection } from "./api.js";
import { Contents, refreshCollections, RemoveCollection } from "./collections.js";
import { onReturn } from "./connection.js";
import { DocumentRow } from "./document_row.js";
import { follow, newest } from "./following.js";
import { html, useEffect, useRef, useState } from "./html.js";
import { Icon } from "./icons.js";
import { t } from "./i18n.js";
import { route } from "./route.js";
import { Trouble } from "./trouble.js";
import { UploadButton, uploads, Uploads } from "./upload.js";

const PAGE_SIZE = 50;
const FILTERS = ["", "READY", "PROCESSING", "QUEUED", "FAILED"];

export function Documents() {
  const { collection } = route.value;
  const [filter, setFilter] = useState("");
  const list = useList(collection, filter);
  const shown = merged(list.documents, collection, filter);
  const isEmpty = list.loaded && !shown.length && !uploads.value.some((each) => each.collection === collection);
  return html`
    <main class="documents" id="main" tabindex="-1">
      <header class="bar">
        <h1>${collection}</h1><${Contents} />
        <span class="space"></span>
        <${RemoveCollection} /><${UploadButton} />
      </header>
      <div class="filters" role="group" aria-label=${t("filter")}>
        ${FILTERS.map((state) => html`
          <button type="button" key=${state} class="chip" aria-pressed=${state === filter}
            onClick=${() => setFilter(state)}>${t(`state.${state || "any"}`)}</button>`)}
      </div>
      <${Trouble} error=${list.error} retry=${list.reload} />
      <ul class="rows" aria-label=${t("documents")} aria-busy=${!list.loaded}>
        <${Uploads} collection=${collection} />
        ${shown.map((document) => html`<${DocumentRow} key=${document.id} document=${document} />`)}
      </ul>
      ${isEmpty && (filter ? html`<p class="empty">${t("documents.none")}</p>` : html`<${Invitation} />`)}
      ${list.more && html`<button type="button" class="more" onClick=${list.more}>${t("more")}</button>`}
    </main>`;
}

/** What stands where there is no document yet. */
export const Invitation = () => html`
  <div class="invitation">
    <${Icon} name="upload" />
    <p>${t("invitation")}</p>
    <p class="hint">${t("invitation.formats")}</p>
  </div>`;

function useList(collection, filter) {
  const [list, setList] = useState({ documents: [], token: "", loaded: false, error: null });
  const present = useRef(0);
  const load = async (token, documents) => {
    const mine = ++present.current;  // an answer that comes after a later question is dropped
    const query = new URLSearchParams({ page_size: PAGE_SIZE, ...(token && { page_token: token }), ...(filter && { state: filter }) });
    try {
      const page = await get(inCollection(collection, `/documents?${query}`));
      if (mine !== present.current) return;
      page.documents.forEach(follow);
      setList({ documents: [...documents, ...page.documents], token: page.next_page_token, loaded: true, error: null });
    } catch (error) {
      if (mine === present.current) setList({ documents, token, loaded: true, error });
    }
  };
  const reload = () => load("", []);
  useEffect(() => {
    setList({ documents: [], token: "", loaded: false, error: null });
    reload();
    refreshCollections();
    return onReturn(reload);
  }, [collection, filter]);
  return { ...list, reload, more: list.token && (() => load(list.token, list.documents)) };
}

/** The list as it is by now: with what was uploaded since, without what was deleted, each in its newest state. */
function merged(listed, collection, filter) {
  const known = newest.value;
  const ids = new Set(listed.map((document) => document.id));
  const added = [...known.values()].filter((document) => document?.collection === collection && !ids.has(document.id));
  const oldest = listed.at(-1)?.created_at ?? "";
  return [...added.filter((document) => document.created_at >= oldest), ...listed]
    .map((document) => (known.has(document.id) ? known.get(document.id) : document))
    .filter((document) => document && (!filter || document.state === filter))
    .sort((one, other) => (one.created_at < other.created_at ? 1 : -1));
}
