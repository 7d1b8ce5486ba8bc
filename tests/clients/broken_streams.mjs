// What the official Node SDK makes of answers that fail: broken_streams.mjs URL COLLECTION, at an edge that fails.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, collection] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none", maxRetries: 0 });
const request = { model: `ragmesh/${collection}`, messages: [{ role: "user", content: "?" }] };

const stream = await client.chat.completions.create({ ...request, stream: true });
let heard = "";
await assert.rejects(
  async () => { for await (const chunk of stream) heard += chunk.choices[0].delta.content ?? ""; },
  error => error instanceof OpenAI.APIError && error.code === "unavailable");
assert.equal(heard, "Jasmine ");
console.log("ok a stream that breaks is raised after what it said");

await assert.rejects(client.chat.completions.create(request), error => error.status === 503);
console.log("ok an answer that breaks is raised");
