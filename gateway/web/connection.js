// Whether the edge can be reached. Once it could not, it is asked until it answers again.

import { signal } from "./html.js";

const PAUSE_MS = 2000;

export const connected = signal(navigator.onLine);
const listeners = new Set();

addEventListener("offline", lost);
addEventListener("online", lost);  // a network is not yet the edge: ask

/** Calls back whenever the connection has come back; returns how to stop that. */
export function onReturn(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

let probing = false;

export async function lost() {
  connected.value = false;
  if (probing) return;
  probing = true;
  while (!(await answers())) await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  probing = false;
  connected.value = true;
  for (const listener of listeners) listener();
}


const answers = () => fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok, () => false);

if (!connected.value) lost();
