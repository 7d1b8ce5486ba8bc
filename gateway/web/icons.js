// Line icons, drawn by the page itself.

import { html } from "./html.js";

const PATHS = {
  ask: "M4 5.5h16v10.5H10l-4.5 4v-4H4z",
  documents: "M6 3.5h8l4 4v13H6zM14 3.5v4h4M9 12h6M9 15.5h6",
  admin: "M3.5 12h4l2.5-7 4 14 2.5-7h4",
  upload: "M12 15.5V4M7.5 8.5 12 4l4.5 4.5M4.5 15v4.5h15V15",
  download: "M12 4v11.5M7.5 11 12 15.5 16.5 11M4.5 15v4.5h15V15",
  again: "M19 12a7 7 0 1 1-2.2-5.1M19.5 3.5v4h-4",
  remove: "M5 7h14M10 7V4.5h4V7M7 7l.7 12.5h8.6L17 7M10.5 10.5v5.5M13.5 10.5v5.5",
  close: "M6 6l12 12M18 6 6 18",
  send: "M12 19V5.5M6.5 11 12 5.5 17.5 11",
  stop: "M7.5 7.5h9v9h-9z",
  add: "M12 5v14M5 12h14",
  back: "M14.5 6 8.5 12l6 6",
  next: "M9.5 6l6 6-6 6",
  key: "M14.5 9.5a4 4 0 1 0-3.2 3.9L13 15h2v2h2v2h3v-3l-5.6-5.4z",
  globe: "M12 3.5a8.5 8.5 0 1 0 0 17 8.5 8.5 0 0 0 0-17zM3.5 12h17M12 3.5c5 5 5 12 0 17-5-5-5-12 0-17z",
};

export const Icon = ({ name }) => html`
  <svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
