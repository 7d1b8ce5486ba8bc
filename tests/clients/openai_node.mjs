// What the official Node SDK of OpenAI is promised: openai_node.mjs URL COLLECTION.
import assert from "node:assert/strict";
import OpenAI from "openai";

const [url, collection] = process.argv.slice(2);
const client = new OpenAI({ baseURL: `${url}/v1`, apiKey: "none" });
const model = `ragmesh/${collection}`;
const messages = [{ role: "user", content: "When does the ferry leave?" }];

const languageModel = async () =>
  (await client.models.list()).data.find(each => !each.id.startsWith("ragmesh/")).id;

const checks = {
  async wholeAnswers() {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 24, temperature: 0 });
    assert.ok(answer.choices[0].message.content);
    assert.ok(Array.isArray(answer.choices[0].message.citations));
    assert.ok(answer.usage.total_tokens > 0);
  },

  async streamedAnswers() {
    const stream = await client.chat.completions.create({
      model, messages, max_tokens: 24, stream: true, stream_options: { include_usage: true },
    });
    const chunks = [];
    for await (const chunk of stream) chunks.push(chunk);
    const [first, usage] = [chunks[0], chunks.at(-1)];
    assert.equal(first.choices[0].delta.sources[0].document_name, "ferry.md");
    assert.ok(chunks.map(chunk => chunk.choices[0]?.delta.content ?? "").join(""));
    assert.ok(Array.isArray(chunks.at(-2).choices[0].delta.citations));
    assert.ok(usage.usage.completion_tokens > 0);
  },

  async severalTurns() {
    const answer = await client.chat.completions.create({ model, messages, max_tokens: 24 });
    const said = [...messages, answer.choices[0].message, { role: "user", content: "And on Sundays?" }];
    const again = await client.chat.completions.create({ model, messages: said, max_tokens: 24 });
    assert.equal(again.choices[0].message.query, "When does the ferry leave? And on Sundays?");
  },

  async theStreamHelperOfTheSdk() {
    const stream = client.chat.completions.stream({ model, messages, max_tokens: 24 });
    assert.ok((await stream.finalChatCompletion()).choices[0].message.content);
  },

  async leavingAStream() { // the test looks at the model whether it stopped
    const prompt = "Once upon a time there was a ferry, and this is the very long story of all its journeys:";
    const stream = await client.completions.create({ model: await languageModel(), prompt, max_tokens: 1500, stream: true });
    for await (const chunk of stream) if (chunk.choices[0].text) break;
  },

  async embeddings() {
    const made = await client.embeddings.create({ model: "", input: ["tea", "coffee"] });
    assert.equal(made.data.length, 2);
    assert.ok(made.data[0].embedding.every(Number.isFinite));
  },

  async models() {
    const names = [];
    for await (const each of client.models.list()) names.push(each.id);
    assert.ok(names.includes(model));
    assert.equal((await client.models.retrieve(model)).id, model);
  },

  async completions() {
    const name = await languageModel();
    const written = await client.completions.create({ model: name, prompt: "Once upon a time", max_tokens: 8 });
    assert.ok(written.choices[0].text);
  },

  async errors() {
    await assert.rejects(client.chat.completions.create({ model: "gpt-4o", messages }), OpenAI.NotFoundError);
    const tools = [{ type: "function", function: { name: "f", parameters: {} } }];
    await assert.rejects(client.chat.completions.create({ model, messages, tools }), error =>
      error instanceof OpenAI.BadRequestError && error.param === "tools");
  },
};

for (const [name, check] of Object.entries(checks)) {
  await check();
  console.log("ok", name);
}
