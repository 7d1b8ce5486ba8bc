// The collections: which there are, which is open, and how one is made or removed.

import { get, inCollection, post, remove } from "./api.js";
import { onReturn } from "./connection.js";
import { confirmed, Dialog } from "./dialogs.js";
import { html, signal, useEffect, useState } from "./html.js";
import { Icon } from "./icons.js";
import { number, t } from "./i18n.js";
import { go, route } from "./route.js";
import { Trouble } from "./trouble.js";

const DEFAULT = "default";
const NAME = "[a-z0-9][a-z0-9\\-]{0,62}";

export const collections = signal([]);
const trouble = signal(null);

/** The open collection with its counts, where they are known. */
export const opened = () => collections.value.find((each) => each.name === route.value.collection);

export async function refreshCollections() {
  try {
    const found = [];
    for (let token = ""; ;) {
      const page = await get(`/v1/collections?page_size=1000&page_token=${encodeURIComponent(token)}`);
      found.push(...page.collections);
      token = page.next_page_token;
      if (!token) break;
    }
    collections.value = found;
    trouble.value = null;
  } catch (error) {
    trouble.value = error;
  }
}

export function CollectionSwitch() {
  const [creating, setCreating] = useState(false);
  useEffect(() => {
    refreshCollections();
    return onReturn(refreshCollections);
  }, []);
  const { view, collection } = route.value;
  const names = new Set([...collections.value.map((each) => each.name), collection]);
  const switched = (event) => go(view === "admin" ? "ask" : view, event.target.value);
  return html`
    <div class="switch">
      <label class="hidden" for="collection">${t("collection")}</label>
      <select id="collection" value=${collection} onChange=${switched}>
        ${[...names].map((name) => html`<option value=${name} selected=${name === collection}>${name}</option>`)}
      </select>
      <button type="button" class="quiet" aria-label=${t("collection.create")} title=${t("collection.create")}
        onClick=${() => setCreating(true)}><${Icon} name="add" /></button>
      <${Trouble} error=${trouble.value} retry=${refreshCollections} />
      ${creating && html`<${NewCollection} onClose=${() => setCreating(false)} />`}
    </div>`;
}

function NewCollection({ onClose }) {
  const [name, setName] = useState("");
  const [error, setError] = useState(null);
  const create = async (event) => {
    event.preventDefault();
    try {
      await post("/v1/collections", { name });
    } catch (refused) {
      return setError(refused);
    }
    await refreshCollections();
    onClose();
    go("documents", name);
  };
  return html`
    <${Dialog} title=${t("collection.create")} onClose=${onClose}>
      <form onSubmit=${create}>
        <label>${t("collection.name")}
          <input autofocus required pattern=${NAME} value=${name} autocapitalize="none" spellcheck=${false}
            aria-describedby="name-rule" onInput=${(event) => setName(event.target.value)} /></label>
        <p class="hint" id="name-rule">${t("collection.rule")}</p>
        <${Trouble} error=${error} />
        <footer><button class="primary">${t("create")}</button></footer>
      </form>
    <//>`;
}

/** Removes the open collection after asking; `default` stays. */
export function RemoveCollection() {
  const [error, setError] = useState(null);
  const { collection } = route.value;
  if (collection === DEFAULT) return null;
  const removeIt = async () => {
    const sure = await confirmed({
      title: t("collection.delete"),
      text: t("collection.delete.text", { name: collection, n: opened()?.document_count ?? 0 }),
      action: t("delete"),
    });
    if (!sure) return;
    try {
      await remove(inCollection(collection));
      go("documents", DEFAULT);
      await refreshCollections();
    } catch (refused) {
      setError(refused);
    }
  };
  return html`
    <button type="button" class="danger quiet" onClick=${removeIt}>${t("collection.delete")}</button>
    <${Trouble} error=${error} retry=${removeIt} />`;
}

/** How much the open collection holds, in a few words. */
export function Contents() {
  const present = opened();
  if (!present) return null;
  return html`<span class="hint">${t("contents", {
    n: present.document_count, documents: number(present.document_count), chunks: number(present.chunk_count),
  })}</span>`;
}
