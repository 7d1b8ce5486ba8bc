// Counts that grow, read every two seconds and kept for five minutes, as series to draw.

import { get } from "./api.js";
import { useEffect, useRef, useState } from "./html.js";

const EVERY_MS = 2000;
const KEPT = 150;
const UNFINISHED = ["QUEUED", "PROCESSING"];

/** {stats, error, samples}: the newest statistics, and the series out of those before. */
export function useSamples() {
  const [state, setState] = useState({ stats: null, error: null, samples: [] });
  const before = useRef(null);
  useEffect(() => {
    let timer;
    let isOver = false;
    const read = async () => {
      try {
        const stats = await get("/v1/admin/stats");
        const now = Date.now() / 1000;
        const sample = sampled(stats, now, before.current);
        before.current = { stats, now };
        setState(({ samples }) => ({ stats, error: null, samples: [...samples, sample].slice(-KEPT) }));
      } catch (error) {
        before.current = null;
        setState(({ stats, samples }) => ({ stats, error, samples }));
      }
      if (!isOver) timer = setTimeout(read, EVERY_MS);
    };
    read();
    return () => { isOver = true; clearTimeout(timer); };
  }, []);
  return state;
}

/** One moment: {at, rates, failures, inFlight} by service, and documents by what they wait for. */
function sampled(stats, at, before) {
  const earlier = new Map(before?.stats.services.map((each) => [each.service, each]));
  const rate = (field) => Object.fromEntries(stats.services.map((each) => {
    const past = earlier.get(each.service);
    return [each.service, past ? Math.max(0, each[field] - past[field]) / (at - before.now) : null];
  }));
  const documents = stats.ingest?.documents ?? {};
  return {
    at,
    rates: rate("requests"),
    failures: rate("failures"),
    inFlight: Object.fromEntries(stats.services.map(({ service, in_flight }) => [service, in_flight])),
    documents: {
      ready: documents.READY ?? 0,
      unfinished: UNFINISHED.reduce((sum, state) => sum + (documents[state] ?? 0), 0),
      failed: documents.FAILED ?? 0,
    },
  };
}
