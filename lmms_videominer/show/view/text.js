"use strict";
// Elements and texts. All text from outside becomes a text node here, never markup.

const ACTIONS = {
  accept: { sign: "✓", word: "accept" },
  continue: { sign: "▾", word: "continue" },
  delete: { sign: "×", word: "delete" },
  none: { sign: "·", word: "not decided" },
};

/** An element: properties by name, "class", "data", "on", ARIA and other attributes; then children, texts among them. */
function el(tag, properties, ...children) {
  const element = document.createElement(tag);
  fill(element, properties || {});
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** The same for SVG. */
function svg(tag, properties, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  fill(element, properties || {});
  element.append(...children);
  return element;
}

function fill(element, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "class") element.setAttribute("class", value);
    else if (name === "data") Object.assign(element.dataset, value);
    else if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else element.setAttribute(name, value === true ? "" : value);
  }
}

/** Text of a video, a question or a model: its own direction, kept apart from what stands around it. */
function said(text, tag = "span", kind = "") {
  return el(tag, { class: `said ${kind}`.trim(), dir: "auto" }, String(text));
}

/** h:mm:ss or m:ss, rounded to `decimals` of a second. */
function clock(seconds, decimals = 0) {
  if (!Number.isFinite(seconds)) return "?";
  const scale = 10 ** decimals;
  const units = Math.round(seconds * scale);
  const whole = Math.floor(units / scale);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600);
  const minutes = Math.floor(whole / 60) % 60;
  const head = hours ? `${hours}:${two(minutes)}` : `${minutes}`;
  const tail = decimals ? `.${String(units % scale).padStart(decimals, "0")}` : "";
  return `${head}:${two(whole % 60)}${tail}`;
}

function clockSpan([start, end]) {
  const decimals = end - start < 10 ? 1 : 0;
  return `${clock(start, decimals)}–${clock(end, decimals)}`;
}

function clockSpans(spans, most = 3) {
  const shown = spans.slice(0, most).map(clockSpan).join(", ");
  return spans.length > most ? `${shown} and ${spans.length - most} more` : shown;
}

/** "12", "1 204", "3.4": as many digits as a reader wants. */
function amount(value, digits) {
  if (value === null || value === undefined) return "–";
  const most = digits ?? (Number.isInteger(value) || Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : 2);
  return value.toLocaleString("en", { minimumFractionDigits: digits ?? 0, maximumFractionDigits: most, useGrouping: true });
}

function signed(value, digits = 2) {
  const text = Math.abs(value).toFixed(digits);
  return Number(text) === 0 ? text : `${value < 0 ? "−" : "+"}${text}`;
}

function many(count, one, several = `${one}s`) {
  return `${amount(count)} ${count === 1 ? one : several}`;
}

/** "A" for 0, "Z" for 25, "AA" for 26. */
function letter(index) {
  const before = Math.floor(index / 26);
  return (before ? letter(before - 1) : "") + String.fromCharCode(65 + (index % 26));
}

function cut(text, most) {
  const line = text.replace(/\s+/g, " ").trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

const verdictOf = (result) => (result.correct === null ? "unknown" : result.correct ? "right" : "wrong");
