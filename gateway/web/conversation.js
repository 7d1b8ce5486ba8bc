// The conversation with a collection: its turns, the one that is being answered, and how that is stopped.

import { inCollection, post, Problem, stream } from "./api.js";
import { computed, signal } from "./html.js";
import { t } from "./i18n.js";

const SUGGESTIONS = 3;

/** Turns by collection: {id, question, query, text, sources, cited, state, error, usage, timings, suggestions}. */
const conversations = signal(new Map());
const NONE = [];

let lastId = 0;
let running = null;  // {id, controller}

export const turnsOf = (collection) => conversations.value.get(collection) ?? NONE;
export const isAnswering = computed(() =>
  [...conversations.value.values()].some((turns) => turns.at(-1)?.state === "answering"));

/** Asks in the light of what was said before, and shows the answer as it is written. */
export async function ask(collection, question) {
  stop();
  const earlier = turnsOf(collection).filter((turn) => turn.state === "done");
  const turn = {
    id: ++lastId, question, query: "", text: "", sources: [], cited: [], state: "answering", error: null, suggestions: [],
  };
  const controller = new AbortController();
  running = { id: turn.id, controller };
  write(collection, [...turnsOf(collection), turn]);
  const change = (fields) => write(collection, turnsOf(collection).map(
    (each) => (each.id === turn.id ? { ...each, ...(typeof fields === "function" ? fields(each) : fields) } : each)));
  try {
    await hear(collection, [...earlier.flatMap(said), { role: "user", content: question }], controller.signal, change);
  } catch (error) {
    if (!controller.signal.aborted) change({ state: "failed", error });
  } finally {
    if (running?.id === turn.id) running = null;
  }
  if (controller.signal.aborted) return change({ state: "stopped" });
  if (turnsOf(collection).at(-1)?.state === "done") change({ suggestions: await following(collection) });
}

/** Ends the answer that is being written; the mesh stops its model. */
export function stop() {
  running?.controller.abort();
}

/** Asks a failed or stopped question once more, in its place. */
export function again(collection, turn) {
  write(collection, turnsOf(collection).filter((each) => each.id !== turn.id));
  return ask(collection, turn.question);
}

export function forget(collection) {
  stop();
  write(collection, NONE);
}

/** Questions to begin with; none where they can't be had, for nothing depends on them. */
export const opening = (collection) => suggested(collection, {});

async function hear(collection, messages, signal, change) {
  let isEnded = false;
  const heard = {
    sources: ({ citations, query = "" }) => change({ sources: citations, query }),
    token: ({ text }) => change((turn) => ({ text: turn.text + text })),
    usage: (usage) => change({ usage }),
    done: ({ citations, timings, finish_reason }) =>
      change({ state: "done", cited: citations, timings, reason: finish_reason }),
    error: ({ code, message, retriable }) => { throw new Problem(0, message, code, retriable); },
  };
  const path = inCollection(collection, "/answer");
  const body = { question: messages.at(-1).content, stream: true };
  for await (const [name, data] of stream("POST", path, { body, signal })) {
    heard[name]?.(data);
    isEnded ||= name === "done";
  }
  if (!isEnded && !signal.aborted) throw new Problem(0, t("error.broken"), "UNAVAILABLE", true);
}

const said = ({ question, text }) => [{ role: "user", content: question }, { role: "assistant", content: text }];

function following(collection) {
  const { text, reason } = turnsOf(collection).at(-1);
  return reason === "not_found" ? NONE : suggested(collection, { answer: text });
}

const suggested = (collection, basis) =>
  post(inCollection(collection, "/suggestions"), { count: SUGGESTIONS, ...basis }).then(({ questions }) => questions, () => NONE);

function write(collection, turns) {
  conversations.value = new Map(conversations.value).set(collection, turns);
}
