// Where the reader is: #/ask/COLLECTION, #/documents/COLLECTION or #/admin.

import { signal } from "./html.js";

const VIEWS = ["ask", "documents", "admin"];
const DEFAULT_COLLECTION = "default";

export const route = signal(read(DEFAULT_COLLECTION));

addEventListener("hashchange", () => { route.value = read(route.value.collection); });

export const address = (view, collection = route.value.collection) =>
  view === "admin" ? "#/admin" : `#/${view}/${encodeURIComponent(collection)}`;

export function go(view, collection) {
  location.hash = address(view, collection);
}

function read(present) {
  const [, view, collection] = location.hash.split("/");
  return {
    view: VIEWS.includes(view) ? view : "ask",
    collection: collection ? decoded(collection) : present,
  };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
