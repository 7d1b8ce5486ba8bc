// Server-sent events out of a fetched body: unlike EventSource it can post, send a key, and be stopped.

/** Yields [name, data] for each event; comments, such as heartbeats, are left out. */
export async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let waiting = "";
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const blocks = (waiting + value).split("\n\n");
      waiting = blocks.pop();
      for (const event of blocks.map(parsed)) if (event) yield event;
    }
  } finally {
    reader.cancel().catch(() => {});  // it may have failed already, which its reader knows
  }
}

function parsed(block) {
  let name = "message";
  const data = [];
  for (const line of block.split("\n")) {
    if (line.startsWith("event:")) name = line.slice(6).trim();
    if (line.startsWith("data:")) data.push(line.slice(5).trimStart());
  }
  return data.length ? [name, JSON.parse(data.join("\n"))] : null;
}
