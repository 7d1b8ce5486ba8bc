// The source panel: a document's text around a citation, with the cited span highlighted and in view.

import { download, get, inCollection, ofDocument } from "./api.js";
import { Action, saved } from "./document_row.js";
import { html, signal, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { t } from "./i18n.js";
import { isNarrow } from "./screen.js";
import { paragraphs, stretches } from "./text.js";
import { Trouble } from "./trouble.js";

const PART_SIZE = 100;

/** The citation that is open, with its collection; null when the panel is closed. */
export const shown = signal(null);

let openedBy = null;  // the button that gets the focus back

export const isOpen = (citation) => shown.value?.citation.chunk_id === citation.chunk_id;

export function open(citation, collection) {
  openedBy = document.activeElement;
  shown.value = { citation, collection };
}

export function close() {
  shown.value = null;
  if (openedBy?.isConnected) openedBy.focus();
}

export function SourcePanel() {
  const { citation, collection } = shown.value;
  const [page, setPage] = useState(citation.page);
  const [save, setSave] = useState(null);  // the error of a download
  const heading = useRef(null);
  const reader = useReader(citation, collection, page);
  useEffect(() => setPage(citation.page), [citation]);
  useEffect(() => heading.current.focus(), [citation]);
  const keep = () => download(ofDocument(citation.document_id, "/content"))
    .then((blob) => saved(blob, citation.document_name), setSave);
  const escaped = (event) => { if (event.key === "Escape") { event.stopPropagation(); close(); } };
  return html`
    <aside class="source" aria-labelledby="source-name" role=${isNarrow.value ? "dialog" : "complementary"}
      aria-modal=${isNarrow.value} onKeyDown=${escaped}>
      <header>
        <h2 id="source-name" ref=${heading} tabindex="-1">${citation.document_name}</h2>
        <${Action} icon="download" label=${t("document.download", { name: citation.document_name })} onClick=${keep} />
        <${Action} icon="close" label=${t("source.close")} onClick=${close} />
      </header>
      ${page > 0 && html`<${Pages} page=${page} count=${reader.pageCount} turn=${setPage} />`}
      <${Trouble} error=${save} retry=${keep} />
      <${Trouble} error=${reader.error} retry=${reader.reload} />
      <${Text} citation=${citation} reader=${reader} />
    </aside>`;
}

const Pages = ({ page, count, turn }) => html`
  <nav class="pages" aria-label=${t("source.pages")}>
    <${Action} icon="back" label=${t("page.before")} disabled=${page <= 1} onClick=${() => turn(page - 1)} />
    <span>${count ? t("page.of", { page, count }) : t("page", { page })}</span>
    <${Action} icon="next" label=${t("page.next")} disabled=${!count || page >= count} onClick=${() => turn(page + 1)} />
  </nav>`;

function Text({ citation, reader }) {
  const scroller = useRef(null);
  const { chunks, earlier, later, loaded } = reader;
  const isIn = chunks.some((chunk) => chunk.chunk_id === citation.chunk_id);
  useLayoutEffect(() => {
    if (isIn) scroller.current.querySelector("mark")?.scrollIntoView({ block: "center" });
    else scroller.current.scrollTop = 0;
  }, [citation, isIn]);
  return html`
    <div class="text" ref=${scroller} tabindex="0" role="region" aria-label=${t("source.text")} aria-busy=${!loaded}>
      ${isIn && citation.headings.length > 0 && html`<p class="headings">${citation.headings.join(" › ")}</p>`}
      ${earlier && html`<button type="button" class="more" onClick=${earlier}>${t("source.earlier")}</button>`}
      ${stretches(chunks).flatMap((stretch) => paragraphs(stretch, citation.start, citation.end)).map((pieces) => html`
        <p>${pieces.map(({ text, marked }) => (marked ? html`<mark>${text}</mark>` : text))}</p>`)}
      ${loaded && !chunks.length && !reader.error && html`<p class="empty">${t("source.empty")}</p>`}
      ${later && html`<button type="button" class="more" onClick=${later}>${t("source.later")}</button>`}
    </div>`;
}

const NOTHING = { chunks: [], token: "", fromStart: true, loaded: false, error: null };

/** Reads a page from its beginning, or from a little before the citation where the format has no pages. */
function useReader(citation, collection, page) {
  const [part, setPart] = useState(NOTHING);
  const [pageCount, setPageCount] = useState(0);
  const present = useRef(0);
  const base = `/documents/${encodeURIComponent(citation.document_id)}/chunks`;
  const read = (query) => get(inCollection(collection, `${base}?${new URLSearchParams({ page, page_size: PART_SIZE, ...query })}`));
  const loading = async (load) => {
    const mine = ++present.current;
    const next = await load().catch((error) => ({ ...part, loaded: true, error }));
    if (mine === present.current) setPart(next);
  };
  const reload = () => loading(() => begin(read, citation, page));
  useEffect(() => { setPart(NOTHING); reload(); }, [citation, page]);
  useEffect(() => {
    get(ofDocument(citation.document_id)).then((document) => setPageCount(document.page_count), () => setPageCount(0));
  }, [citation.document_id]);
  const later = () => loading(async () => {
    const { chunks, next_page_token } = await read({ page_token: part.token });
    return { ...part, chunks: [...part.chunks, ...chunks], token: next_page_token };
  });
  const earlier = () => loading(async () => {
    const { chunks } = await read({ around: part.chunks[0].chunk_id });
    const known = new Set(part.chunks.map((chunk) => chunk.chunk_id));
    const added = chunks.filter((chunk) => !known.has(chunk.chunk_id) && chunk.start < part.chunks[0].start);
    return { ...part, chunks: [...added, ...part.chunks], fromStart: !added.length };
  });
  return {
    ...part, pageCount, reload,
    later: part.token && later,
    earlier: !part.fromStart && part.chunks[0]?.start > 0 && earlier,
  };
}

async function begin(read, citation, page) {
  const atStart = page > 0 && part(await read({}), true);
  const isThere = atStart && (page !== citation.page || atStart.chunks.some((chunk) => chunk.chunk_id === citation.chunk_id));
  return isThere ? atStart : part(await read({ around: citation.chunk_id }), false);
}

const part = ({ chunks, next_page_token }, fromStart) =>
  ({ chunks, token: next_page_token, fromStart, loaded: true, error: null });
