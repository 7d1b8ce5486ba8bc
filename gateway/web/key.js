// The API key, where the mesh wants one: asked for once, kept for this tab alone.

import { signal } from "./html.js";

const KEPT = "ragmesh.key";

/** What the dialog has to settle: null, or {wrong, resolve} while a key is asked for. */
export const asked = signal(null);
export const hasKey = signal(sessionStorage.getItem(KEPT) !== null);

let asking = null;

export function authorization() {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

/** Asks for a key, once for all who need it; false when the reader declines. */
export function askForKey() {
  asking ??= new Promise((resolve) => { asked.value = { wrong: hasKey.value, resolve }; }).then((key) => {
    asking = asked.value = null;
    if (!key) return false;
    sessionStorage.setItem(KEPT, key);
    hasKey.value = true;
    return true;
  });
  return asking;
}

export function forgetKey() {
  sessionStorage.removeItem(KEPT);
  location.reload();
}
