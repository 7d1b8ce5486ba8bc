// The API key, where the mesh wants one: asked for once, kept for this tab alone.

import { signal } from "./html.js";

const KEPT = "ragmesh.key";

/** What the dialog has to settle: null, or {wrong, resolve} while a key is asked for. */
export const asked = signal(null);
export const hasKey = signal(sessionStorage.getItem(KEPT) !== null);

let asking = null;
let isDeclined = false;

// Who declined is asked again once they do something, not by what the page does of itself.
for (const deed of ["pointerdown", "keydown"]) addEventListener(deed, () => { isDeclined &&= asked.value !== null; }, true);

export function authorization() {
  const key = sessionStorage.getItem(KEPT);
  return key ? { Authorization: `Bearer ${key}` } : {};
}

export const kept = () => sessionStorage.getItem(KEPT);

/** Asks for a key in the place of the one that a request used, once for all who need it; false when declined. */
export function askForKey(used) {
  if (kept() !== used) return Promise.resolve(true);  // there is another one meanwhile
  if (isDeclined) return Promise.resolve(false);
  asking ??= new Promise((resolve) => { asked.value = { wrong: hasKey.value, resolve }; }).then((key) => {
    asking = asked.value = null;
    isDeclined = !key;
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
