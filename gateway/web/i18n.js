// The page's words in the reader's language.

import { computed, effect, signal } from "./html.js";
import { en } from "./words_en.js";
import { zh } from "./words_zh.js";

const WORDS = { en, zh };
const KEPT = "ragmesh.language";

export const language = signal(chosen());

effect(() => { document.documentElement.lang = language.value === "zh" ? "zh-CN" : "en"; });

/** The text for a key; `{name}` in it stands for a value, and `{n}` picks the singular in English where it is 1. */
export function t(key, values = {}) {
  const words = WORDS[language.value];
  const text = (values.n === 1 && words[`${key}.one`]) || words[key];
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name]);
}

export function choose(next) {
  language.value = next;
  localStorage.setItem(KEPT, next);
}

function chosen() {
  const kept = localStorage.getItem(KEPT);
  return kept in WORDS ? kept : navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

const formats = computed(() => ({
  number: new Intl.NumberFormat(language.value),
  decimal: new Intl.NumberFormat(language.value, { maximumFractionDigits: 1 }),
  percent: new Intl.NumberFormat(language.value, { style: "percent" }),
  day: new Intl.DateTimeFormat(language.value, { dateStyle: "medium" }),
  moment: new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" }),
  ago: new Intl.RelativeTimeFormat(language.value, { numeric: "auto", style: "short" }),
}));

export const number = (value) => formats.value.number.format(value);
export const decimal = (value) => formats.value.decimal.format(value);
export const percent = (share) => formats.value.percent.format(share);
export const moment = (time) => formats.value.moment.format(new Date(time));

export function bytes(size) {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const step = size > 0 ? Math.min(Math.floor(Math.log(size) / Math.log(1024)), units.length - 1) : 0;
  return `${decimal(size / 1024 ** step)} ${units[step]}`;
}

export function ago(time) {
  const seconds = (new Date(time) - Date.now()) / 1000;
  const { ago: format, day } = formats.value;
  if (seconds > -60) return format.format(Math.min(0, Math.round(seconds)), "second");
  if (seconds > -3600) return format.format(Math.round(seconds / 60), "minute");
  if (seconds > -86400) return format.format(Math.round(seconds / 3600), "hour");
  return day.format(new Date(time));
}
