// Documents that are being made searchable, followed by their events until they are READY or FAILED.

import { ofDocument, stream } from "./api.js";
import { refreshCollections } from "./collections.js";
import { signal } from "./html.js";

const AT_ONCE = 2;  // a browser has six connections for a host, and other parts of the page need some
const AGAIN_MS = 2000;
const SETTLED = new Set(["READY", "FAILED", "DELETING"]);

/** The newest that is known of a document, by its id; null once it is deleted. */
export const newest = signal(new Map());

const waiting = [];
const followed = new Set();
let running = 0;

export const isSettled = (document) => SETTLED.has(document.state);

/** Shows a document as it is now, and as it changes until it is settled. */
export function follow(document) {
  tell(document);
  if (isSettled(document) || followed.has(document.id)) return;
  followed.add(document.id);
  waiting.push(document.id);
  beginMore();
}

export function gone(id) {
  newest.value = new Map(newest.value).set(id, null);
}

function tell(document) {
  newest.value = new Map(newest.value).set(document.id, document);
}

function beginMore() {
  while (running < AT_ONCE && waiting.length) run(waiting.shift());
}

async function run(id) {
  running++;
  let settled = false;
  try {
    for await (const [name, document] of stream("GET", ofDocument(id, "/events"))) {
      if (name !== "document" || newest.value.get(id) === null) continue;
      tell(document);
      settled = isSettled(document);
    }
    if (settled) refreshCollections();
  } catch (error) {
    settled = [401, 403, 404].includes(error.status);
  } finally {
    running--;
    if (!settled && newest.value.get(id)) setTimeout(() => { waiting.push(id); beginMore(); }, AGAIN_MS);
    else followed.delete(id);
    beginMore();
  }
}
