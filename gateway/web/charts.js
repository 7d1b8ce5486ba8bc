// Statistics as small live charts.

import { html, useEffect, useLayoutEffect, useRef } from "./html.js";
import { bytes, decimal, language, number, t } from "./i18n.js";
import { useSamples } from "./rates.js";
import { isDark } from "./screen.js";
import { Trouble } from "./trouble.js";

const HEIGHT_PX = 120;
const WINDOW_S = 300;
const WINDOW_MIN_S = 30;  // to begin with
const AXIS_PX = 40;

export function Charts() {
  const { stats, error, samples } = useSamples();
  return html`
    <section class="statistics" aria-labelledby="statistics">
      <h2 id="statistics" class="hidden">${t("statistics")}</h2>
      <${Trouble} error=${error} />
      ${stats?.ingest && html`<${Tiles} ingest=${stats.ingest} />`}
      <div class="charts">
        <${Chart} title=${t("chart.rates")} samples=${samples} pick=${(sample) => sample.rates} />
        <${Chart} title=${t("chart.failures")} samples=${samples} pick=${(sample) => sample.failures} />
        <${Chart} title=${t("chart.in_flight")} samples=${samples} pick=${(sample) => sample.inFlight} />
        <${Chart} title=${t("chart.documents")} samples=${samples} pick=${(sample) => sample.documents}
          named=${(name) => t(`chart.documents.${name}`)} />
      </div>
    </section>`;
}

const Tiles = ({ ingest }) => html`
  <dl class="tiles">
    <${Tile} name=${t("collections")} value=${number(ingest.collections)} />
    <${Tile} name=${t("documents")} value=${number(Object.values(ingest.documents).reduce((sum, n) => sum + n, 0))} />
    <${Tile} name=${t("tile.chunks")} value=${number(ingest.chunks)} />
    <${Tile} name=${t("tile.stored")} value=${bytes(ingest.stored_bytes)} />
    <${Tile} name=${t("tile.oldest")} value=${`${decimal(ingest.oldest_unfinished_ms / 1000)} s`} />
  </dl>`;

const Tile = ({ name, value }) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`;

/** Lines over the last minutes; beside it, in words, what they are now. */
function Chart({ title, samples, pick, named = (name) => name }) {
  const series = Object.keys(samples.length ? pick(samples.at(-1)) : {});
  const colours = palette();
  const now = samples.length ? pick(samples.at(-1)) : {};
  return html`
    <figure class="chart">
      <figcaption>${title}</figcaption>
      <${Lines} samples=${samples} pick=${pick} series=${series} colours=${colours} />
      <ul class="legend">
        ${series.map((name, index) => html`
          <li key=${name}><i style=${{ background: colours[index % colours.length] }} aria-hidden="true"></i>
            ${named(name)} <b>${now[name] === null ? "–" : decimal(now[name])}</b></li>`)}
      </ul>
    </figure>`;
}

function Lines({ samples, pick, series, colours }) {
  const place = useRef(null);
  const chart = useRef(null);
  const shape = [series.join(), isDark.value, language.value].join("|");
  useLayoutEffect(() => {
    if (!series.length) return undefined;
    let isOver = false;
    import("./vendor/uplot.js").then(({ default: uPlot }) => {
      if (isOver) return;
      chart.current = new uPlot(options(series, colours, place.current.clientWidth), [[], ...series.map(() => [])], place.current);
      chart.current.setData(columns(samples, pick, series));
    });
    return () => { isOver = true; chart.current?.destroy(); chart.current = null; };
  }, [shape]);
  useEffect(() => { chart.current?.setData(columns(samples, pick, series)); }, [samples]);
  useEffect(() => {
    const observer = new ResizeObserver(([{ contentRect: { width } }]) => chart.current?.setSize({ width, height: HEIGHT_PX }));
    observer.observe(place.current);
    return () => observer.disconnect();
  }, []);
  return html`<div class="lines" ref=${place} aria-hidden="true"></div>`;
}

const columns = (samples, pick, series) =>
  [samples.map(({ at }) => at), ...series.map((name) => samples.map((sample) => pick(sample)[name] ?? null))];

function options(series, colours, width) {
  const style = getComputedStyle(document.documentElement);
  const ink = style.getPropertyValue("--faint").trim();
  const line = style.getPropertyValue("--line").trim();
  const axis = { stroke: ink, font: "11px system-ui", ticks: { show: false }, grid: { stroke: line, width: 1 } };
  return {
    width,
    height: HEIGHT_PX,
    padding: [8, 26, 0, 0],
    cursor: { show: false },
    legend: { show: false },
    scales: {
      x: { range: (_, low, high) => [Math.max(high - WINDOW_S, Math.min(low, high - WINDOW_MIN_S)), high] },
      y: { range: (_, low, high) => [0, Math.max(1, (high ?? 0) * 1.15)] },
    },
    axes: [
      { ...axis, size: 22, space: 84, grid: { show: false }, values: (_, times) => times.map(clock) },
      { ...axis, size: AXIS_PX, space: 28, values: (_, values) => values.map((value) => decimal(value)) },
    ],
    series: [{}, ...series.map((_, index) => ({ stroke: colours[index % colours.length], width: 1.5, points: { show: false } }))],
  };
}

const clock = (seconds) => new Date(seconds * 1000).toLocaleTimeString(language.value, { timeStyle: "medium", hourCycle: "h23" });

function palette() {
  const style = getComputedStyle(document.documentElement);
  return (isDark.value, [1, 2, 3, 4, 5].map((n) => style.getPropertyValue(`--series-${n}`).trim()));
}
