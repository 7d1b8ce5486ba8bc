// Requests to the edge. What fails is a Problem with a sentence for people.

import { askForKey, authorization, kept } from "./key.js";
import { lost } from "./connection.js";
import { t } from "./i18n.js";
import { events } from "./sse.js";

const UNAUTHENTICATED = 401;

export class Problem extends Error {
  constructor(status, detail, code = "", retriable = status === 429 || status >= 500) {
    super(detail);
    this.status = status;
    this.code = code;
    this.retriable = retriable;
  }
}

export const inCollection = (collection, rest = "") => `/v1/collections/${encodeURIComponent(collection)}${rest}`;
export const ofDocument = (id, rest = "") => `/v1/documents/${encodeURIComponent(id)}${rest}`;

export const get = (path, options) => request("GET", path, options).then((answer) => answer.json());
export const post = (path, body, options) => request("POST", path, { body, ...options }).then((answer) => answer.json());
export const remove = (path) => request("DELETE", path);
export const download = (path) => request("GET", path).then((answer) => answer.blob());

/** The events of a stream as [name, data], until it ends or `signal` aborts it. */
export async function* stream(method, path, { body, signal } = {}) {
  const answer = await request(method, path, { body, signal });
  try {
    yield* events(answer.body);
  } catch (error) {
    if (signal?.aborted) return;
    throw unreachable(error);
  }
}

/** What an answer that is no success says. */
export function problemOf(status, text) {
  try {
    const { detail, code, error } = JSON.parse(text);
    return new Problem(status, detail ?? error.message, code ?? error?.code);
  } catch {
    return new Problem(status, t("error.status", { status }));
  }
}

export function unreachable(error) {
  if (error instanceof Problem || error.name === "AbortError") return error;
  lost();
  return new Problem(0, t("error.unreachable"), "UNAVAILABLE", true);
}

async function request(method, path, { body, signal } = {}) {
  const key = kept();
  const answer = await fetch(path, {
    method,
    signal,
    headers: { ...authorization(), ...(body && { "Content-Type": "application/json" }) },
    body: body && JSON.stringify(body),
  }).catch((error) => { throw unreachable(error); });
  if (answer.ok) return answer;
  const problem = problemOf(answer.status, await answer.text());
  if (answer.status === UNAUTHENTICATED && (await askForKey(key))) return request(method, path, { body, signal });
  throw problem;
}
