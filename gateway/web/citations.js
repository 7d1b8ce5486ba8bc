// Marks in an answer's text, and the passages behind them.

import { html } from "./html.js";
import { t } from "./i18n.js";
import { isOpen, open } from "./source.js";

const MARK = /\[\d+\]/g;
const BEGUN_MARK = /\[\d*$/;  // the rest of it is still to come
const SNIPPET_CHARS = 160;

/** An answer's text, its marks as buttons that open their source. */
export function CitedText({ text, sources, collection, isWriting }) {
  const whole = isWriting ? text.replace(BEGUN_MARK, "") : text;
  const byMarker = new Map(sources.map((source) => [source.marker, source]));
  const parts = [];
  let from = 0;
  for (const { 0: marker, index } of whole.matchAll(MARK)) {
    if (!byMarker.has(marker)) continue;
    parts.push(whole.slice(from, index).replace(/ $/, "\u202f"));
    parts.push(html`<${Mark} citation=${byMarker.get(marker)} collection=${collection} />`);
    from = index + marker.length;
  }
  return html`${parts}${whole.slice(from)}`;
}

const Mark = ({ citation, collection }) => html`
  <button type="button" class="mark" aria-label=${t("source.open", labelled(citation))}
    aria-expanded=${isOpen(citation)} onClick=${() => open(citation, collection)}>${digits(citation)}</button>`;

/** The passages that an answer rests on: those that it cites, else those that were read for it. */
export function Sources({ turn, collection }) {
  const shown = turn.cited.length ? turn.cited : turn.sources;
  if (!shown.length) return null;
  return html`
    <section class="sources" aria-label=${t("sources")}>
      <h3>${t(turn.cited.length ? "sources.cited" : "sources.read")}</h3>
      <ol>
        ${shown.map((citation) => html`
          <li key=${citation.chunk_id}>
            <button type="button" aria-expanded=${isOpen(citation)} onClick=${() => open(citation, collection)}>
              <span class="digits">${digits(citation)}</span>
              <span class="name">${citation.document_name}</span>
              ${citation.page > 0 && html`<span class="hint">${t("page", { page: citation.page })}</span>`}
              <span class="snippet">${snippet(citation.text)}</span>
            </button>
          </li>`)}
      </ol>
    </section>`;
}

const digits = ({ marker }) => marker.slice(1, -1);
const labelled = (citation) => ({ marker: digits(citation), name: citation.document_name });

function snippet(text) {
  const points = [...text.replace(/\s+/g, " ")];
  return points.length > SNIPPET_CHARS ? `${points.slice(0, SNIPPET_CHARS).join("")}…` : points.join("");
}
