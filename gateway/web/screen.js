// How much room there is, and whether it is dark.

import { signal } from "./html.js";

export const isNarrow = matching("(max-width: 760px)");
export const isDark = matching("(prefers-color-scheme: dark)");

function matching(query) {
  const media = matchMedia(query);
  const matches = signal(media.matches);
  media.addEventListener("change", () => { matches.value = media.matches; });
  return matches;
}
