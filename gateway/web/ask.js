// Asking: the conversation, the box to write in, and the source beside it.

import { CitedText, Sources } from "./citations.js";
import { collections, Contents, opened } from "./collections.js";
import { again, ask, forget, isAnswering, opening, stop, turnsOf } from "./conversation.js";
import { Invitation } from "./documents.js";
import { html, useEffect, useLayoutEffect, useRef, useState } from "./html.js";
import { Icon } from "./icons.js";
import { decimal, t } from "./i18n.js";
import { route } from "./route.js";
import { isNarrow } from "./screen.js";
import { close, shown, SourcePanel } from "./source.js";
import { Trouble } from "./trouble.js";
import { UploadButton } from "./upload.js";

const QUESTION_MAX = 8192;
const NEAR_END_PX = 120;

export function Ask() {
  const { collection } = route.value;
  const turns = turnsOf(collection);
  useEffect(close, [collection]);
  useEffect(() => {
    const escaped = (event) => { if (event.key === "Escape" && isAnswering.value) stop(); };
    addEventListener("keydown", escaped);
    return () => removeEventListener("keydown", escaped);
  }, []);
  const covered = isNarrow.value && shown.value !== null;
  return html`
    <main class="ask" id="main" tabindex="-1" data-source=${shown.value !== null}>
      <section class="conversation" aria-label=${t("conversation")} inert=${covered}>
        <${Turns} turns=${turns} collection=${collection} />
        <${Composer} collection=${collection} isFresh=${!turns.length} />
      </section>
      ${shown.value && html`<${SourcePanel} key=${shown.value.citation.chunk_id} />`}
    </main>`;
}

function Turns({ turns, collection }) {
  const scroller = useRef(null);
  const last = turns.at(-1);
  useStickyEnd(scroller, [last?.id], [last?.text, last?.state, last?.suggestions]);
  return html`
    <div class="turns" ref=${scroller} tabindex=${turns.length ? "0" : "-1"}>
      ${turns.length ? null : html`<${Welcome} collection=${collection} />`}
      ${turns.map((turn) => html`<${Turn} key=${turn.id} turn=${turn} collection=${collection} isLast=${turn === last} />`)}
      <p class="hidden" role="status">${last && announced(last)}</p>
    </div>`;
}

/** What a screen reader hears: that an answer is being written, then the whole of it, but not every piece. */
function announced({ state, text }) {
  return state === "answering" ? t("answering") : state === "done" ? text : state === "stopped" ? t("stopped") : "";
}

function Turn({ turn, collection, isLast }) {
  const isWriting = turn.state === "answering";
  const retry = () => again(collection, turn);
  return html`
    <article class="turn" aria-busy=${isWriting}>
      <h2 class="question">${turn.question}</h2>
      ${turn.query && turn.query !== turn.question && html`<p class="hint">${t("searched", { query: turn.query })}</p>`}
      <div class="answer" data-state=${turn.state}>
        ${isWriting && !turn.text && html`<p class="hint">${t(turn.sources.length ? "reading" : "searching")}</p>`}
        <${CitedText} text=${turn.text} sources=${turn.sources} collection=${collection} isWriting=${isWriting} />
        ${isWriting && html`<span class="caret" aria-hidden="true" />`}
      </div>
      ${turn.state === "stopped" && html`
        <p class="hint">${t("stopped")} <button type="button" class="link" onClick=${retry}>${t("ask.again")}</button></p>`}
      <${Trouble} error=${turn.error} retry=${retry} />
      ${(turn.text || turn.state !== "answering") && html`<${Sources} turn=${turn} collection=${collection} />`}
      ${turn.state === "done" && html`<${Cost} turn=${turn} />`}
      ${isLast && html`<${Suggestions} questions=${turn.suggestions} collection=${collection} title=${t("suggested.next")} />`}
    </article>`;
}

const Cost = ({ turn: { timings, usage, reason } }) => html`
  <p class="cost hint">
    ${reason === "length" && html`<span>${t("cut")}</span>`}
    ${timings && t("took", { first: decimal(timings.first_token_ms / 1000), total: decimal(timings.total_ms / 1000) })}
    ${usage?.completion_tokens > 0 && ` · ${t("tokens", { n: usage.completion_tokens })}`}
  </p>`;

function Welcome({ collection }) {
  const [questions, setQuestions] = useState([]);
  const count = opened()?.chunk_count;
  useEffect(() => {
    setQuestions([]);
    if (count) opening(collection).then(setQuestions);
  }, [collection, count]);
  const isEmpty = collections.value.length > 0 && count === 0;
  return html`
    <div class="welcome">
      <h1>${t("welcome")}</h1>
      <p class="hint">${t("welcome.text", { name: collection })} <${Contents} /></p>
      ${isEmpty && html`<${Invitation} /><${UploadButton} />`}
      <${Suggestions} questions=${questions} collection=${collection} title=${t("suggested")} />
    </div>`;
}

const Suggestions = ({ questions, collection, title }) => questions.length > 0 && html`
  <section class="suggestions" aria-label=${title}>
    <h3>${title}</h3>
    <ul>
      ${questions.map((question) => html`
        <li key=${question}><button type="button" onClick=${() => ask(collection, question)}>${question}</button></li>`)}
    </ul>
  </section>`;

function Composer({ collection, isFresh }) {
  const [question, setQuestion] = useState("");
  const box = useRef(null);
  useEffect(() => { if (!isNarrow.value) box.current.focus(); }, [collection]);
  useLayoutEffect(() => {
    box.current.style.height = "auto";
    box.current.style.height = `${box.current.scrollHeight}px`;
  }, [question]);
  const submit = (event) => {
    event.preventDefault();
    if (!question.trim()) return;
    ask(collection, question.trim());
    setQuestion("");
  };
  const typed = (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) submit(event);
  };
  return html`
    <form class="composer" onSubmit=${submit}>
      <div class="box">
        <label class="hidden" for="question">${t("question")}</label>
        <textarea id="question" ref=${box} rows="1" maxlength=${QUESTION_MAX} value=${question}
          placeholder=${t(isFresh ? "question.first" : "question.next")}
          onInput=${(event) => setQuestion(event.target.value)} onKeyDown=${typed}></textarea>
        ${isAnswering.value
          ? html`<button type="button" class="stop" aria-label=${t("stop")} title=${t("stop")} onClick=${stop}><${Icon} name="stop" /></button>`
          : html`<button class="primary" aria-label=${t("ask")} title=${t("ask")} disabled=${!question.trim()}><${Icon} name="send" /></button>`}
      </div>
      <p class="hint">
        <span>${t("careful")}</span>
        ${!isFresh && html`<button type="button" class="link" onClick=${() => { close(); forget(collection); box.current.focus(); }}>${t("fresh")}</button>`}
      </p>
    </form>`;
}

/** Keeps the end in view while it grows, unless the reader has scrolled away from it. */
function useStickyEnd(ref, jumps, growths) {
  const isAtEnd = useRef(true);
  useEffect(() => {
    const element = ref.current;
    const scrolled = () => {
      isAtEnd.current = element.scrollHeight - element.scrollTop - element.clientHeight < NEAR_END_PX;
    };
    element.addEventListener("scroll", scrolled, { passive: true });
    return () => element.removeEventListener("scroll", scrolled);
  }, []);
  useLayoutEffect(() => { isAtEnd.current = true; }, jumps);
  useLayoutEffect(() => {
    if (isAtEnd.current) ref.current.scrollTop = ref.current.scrollHeight;
  }, [...jumps, ...growths]);
}
