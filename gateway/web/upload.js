// Uploads: dropped or chosen, a few at a time, each shown until its document is in the list.

import { askForKey, authorization, kept } from "./key.js";
import { inCollection, Problem, problemOf, unreachable } from "./api.js";
import { follow } from "./following.js";
import { html, signal, useEffect, useRef } from "./html.js";
import { Icon } from "./icons.js";
import { bytes, percent, t } from "./i18n.js";
import { go, route } from "./route.js";
import { Trouble } from "./trouble.js";

const AT_ONCE = 2;  // a browser has six connections for a host, and other parts of the page need some

/** Uploads that are not yet documents, in the order in which they were asked for. */
export const uploads = signal([]);

let uploading = 0;
let lastId = 0;

/** Takes files for the open collection, and shows them. */
export function take(files) {
  const { collection, view } = route.value;
  const added = [...files].map((file) => ({ id: ++lastId, file, collection, sent: 0, error: null, begun: false }));
  uploads.value = [...uploads.value, ...added];
  if (added.length && view !== "documents") go("documents", collection);
  beginMore();
}

function beginMore() {
  for (const upload of uploads.value.filter((each) => !each.begun).slice(0, Math.max(0, AT_ONCE - uploading))) {
    run(upload);
  }
}

function again(id) {
  change(id, { begun: false, error: null, sent: 0 });
  beginMore();
}

async function run(upload) {
  uploading++;
  change(upload.id, { begun: true, error: null, sent: 0 });
  try {
    const document = await sent(upload);
    forget(upload.id);
    follow(document);
  } catch (error) {
    change(upload.id, { error });
  } finally {
    uploading--;
    beginMore();
  }
}

async function sent(upload) {
  const key = kept();
  const [status, text] = await transfer(upload);
  if (status === 401 && (await askForKey(key))) return sent(upload);
  if (status >= 300) throw problemOf(status, text);
  return JSON.parse(text);
}

/** By XMLHttpRequest: fetch tells nothing of how much has been sent. */
function transfer({ id, file, collection }) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", inCollection(collection, `/documents?name=${encodeURIComponent(file.name)}`));
    const headers = { ...authorization(), "Content-Type": "application/octet-stream" };
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => change(id, { sent: event.loaded });
    request.onload = () => resolve([request.status, request.responseText]);
    request.onerror = () => reject(unreachable(new TypeError("network")));
    request.onabort = () => reject(new Problem(0, t("upload.stopped")));
    change(id, { stop: () => request.abort() });
    request.send(file);
  });
}

const change = (id, fields) => {
  uploads.value = uploads.value.map((each) => (each.id === id ? { ...each, ...fields } : each));
};
const forget = (id) => { uploads.value = uploads.value.filter((each) => each.id !== id); };

export function UploadButton() {
  const input = useRef(null);
  const chosen = () => { take(input.current.files); input.current.value = ""; };
  return html`
    <button type="button" class="primary" onClick=${() => input.current.click()}>
      <${Icon} name="upload" />${t("upload")}</button>
    <input ref=${input} class="hidden" type="file" multiple tabindex="-1" aria-label=${t("upload.choose")}
      onChange=${chosen} />`;
}

/** The files on their way into a collection. */
export const Uploads = ({ collection }) => uploads.value
  .filter((upload) => upload.collection === collection)
  .map((upload) => html`<${Upload} key=${upload.id} ...${upload} />`);

function Upload(upload) {
  const { id, file, sent, error, begun, stop } = upload;
  const share = file.size ? sent / file.size : 0;
  return html`
    <li class="row">
      <div class="about">
        <span class="name">${file.name}</span>
        <span class="hint">${bytes(file.size)}</span>
        <${Trouble} error=${error} retry=${() => again(id)} />
      </div>
      ${!error && html`
        <div class="state">
          <span class="chip busy">${begun ? t("uploading", { percent: percent(share) }) : t("upload.waiting")}</span>
          <progress max="1" value=${share} aria-label=${t("upload.progress", { name: file.name })} />
        </div>`}
      <div class="actions">
        <button type="button" class="quiet" aria-label=${t("upload.leave", { name: file.name })}
          onClick=${() => { stop?.(); forget(id); }}><${Icon} name="close" /></button>
      </div>
    </li>`;
}

/** Lets files be dropped anywhere on the page. */
export function DropZone() {
  const over = useDrop();
  return over.value && html`
    <div class="drop"><p><${Icon} name="upload" />${t("drop", { name: route.value.collection })}</p></div>`;
}

const dragging = signal(false);

function useDrop() {
  useEffect(() => {
    let depth = 0;  // entering a child comes before leaving its parent
    const withFiles = (handle) => (event) => {
      if (!event.dataTransfer?.types.includes("Files")) return;
      event.preventDefault();
      handle(event);
      dragging.value = depth > 0;
    };
    const handlers = {
      dragenter: withFiles(() => { depth++; }),
      dragleave: withFiles(() => { depth--; }),
      dragover: withFiles(() => {}),
      drop: withFiles((event) => { depth = 0; take(event.dataTransfer.files); }),
    };
    for (const [name, handler] of Object.entries(handlers)) addEventListener(name, handler);
    return () => { for (const [name, handler] of Object.entries(handlers)) removeEventListener(name, handler); };
  }, []);
  return dragging;
}
