// What every part of the page is written with.

import htm from "./vendor/htm.js";
import { h } from "./vendor/preact.js";

export { Fragment, createRef, render } from "./vendor/preact.js";
export { useEffect, useLayoutEffect, useRef, useState } from "./vendor/hooks.js";
export { batch, computed, effect, signal, useSignal } from "./vendor/signals.js";

export const html = htm.bind(h);
