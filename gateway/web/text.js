// A document's text, put together from its passages. The mesh counts code points, JavaScript counts UTF-16 units.

const WRAPPED = /([^\n]{60,})\n/g;  // a line that ends so late was broken for its width, not for its meaning

/**
 * Joins passages, which may share text with their neighbours, into stretches without gaps: [{start, end, text}].
 * Between two stretches the document has nothing but white space.
 */
export function stretches(chunks) {
  const joined = [];
  for (const chunk of [...chunks].sort((one, other) => one.start - other.start)) {
    const last = joined.at(-1);
    if (!last || chunk.start > last.end) {
      joined.push({ start: chunk.start, end: chunk.end, text: chunk.text });
    } else if (chunk.end > last.end) {
      last.text += [...chunk.text].slice(last.end - chunk.start).join("");
      last.end = chunk.end;
    }
  }
  return joined;
}

/** The paragraphs of a stretch, each cut where the span from `start` to `end` begins and ends: [[{text, marked}]]. */
export function paragraphs(stretch, start, end) {
  const made = [[]];
  for (const { text, marked } of cut(stretch, start, end)) {
    const [first, ...others] = text.split(/\n\s*\n/);
    add(made.at(-1), first, marked);
    for (const other of others) {
      made.push([]);
      add(made.at(-1), other, marked);
    }
  }
  return made.filter((pieces) => pieces.length);
}

function cut(stretch, start, end) {
  const points = [...stretch.text];
  const from = clamp(start - stretch.start, points.length);
  const to = clamp(end - stretch.start, points.length);
  return [
    { text: points.slice(0, from).join(""), marked: false },
    { text: points.slice(from, to).join(""), marked: true },
    { text: points.slice(to).join(""), marked: false },
  ];
}

function add(pieces, text, marked) {
  if (text.trim()) pieces.push({ text: text.replace(WRAPPED, "$1 "), marked });
}

const clamp = (value, most) => Math.max(0, Math.min(value, most));
