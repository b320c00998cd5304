// The panel of one node: its frames, captions, the policy's words, its cluster mates, its rewards.

const READINGS = { lenient: "read leniently: the reply did not follow the format", default: "no action could be read: the default was taken" };
const REWARD_PARTS = [
  ["format", "r format"],
  ["length", "r length"],
  ["action", "r action"],
  ["tree", "R tree"],
  ["total", "R total"],
  ["advantage", "advantage"],
];
const MOST_MATES = 60;

function nodePanel(result, node, act) {
  if (!node) return el("p", { class: "quiet" }, "Choose a part of the timeline to see its frames, its caption and why it was kept or dropped.");
  const frames = result.frames.filter((frame) => frame.node === node.id);
  const title = node.depth ? `Node ${node.id}` : "The whole video";
  return el(
    "div",
    { class: "node" },
    el("h3", { tabindex: "-1" }, title, " ", badge(node)),
    facts([
      ["time", spanButtons(node.spans, act)],
      ["depth", amount(node.depth)],
      ["events", node.events.length > 1 ? amount(node.events.length) : null],
      ["key frames", frames.length ? frames.map((frame) => `${result.frames.indexOf(frame) + 1}`).join(", ") : null],
      ["score", scoreOf(frames)],
      ["note", node.note ? said(node.note) : null],
      ["reading", READINGS[node.reading]],
      ["tokens", node.tokens ? amount(node.tokens) : null],
    ]),
    nodePictures(result, node, act),
    words(node),
    mates(result, node, act),
    rewardTable(node),
    node.prompt ? el("details", {}, el("summary", {}, "What the policy was asked"), said(node.prompt, "pre")) : null,
  );
}

function scoreOf(frames) {
  const scores = frames.map((frame) => frame.score).filter((score) => score !== null);
  if (scores.length <= 2) return scores.length ? scores.map((score) => amount(score, 3)).join(", ") : null;
  return `${amount(Math.min(...scores), 3)} to ${amount(Math.max(...scores), 3)}`;
}

function spanButtons(spans, act, most = 4) {
  const buttons = spans.slice(0, most).map((span) => el("button", { type: "button", class: "time", title: "Show on the timeline", on: { click: () => act.show(span) } }, clockSpan(span)));
  return el("span", { class: "times" }, buttons, spans.length > most ? ` and ${spans.length - most} more` : null);
}

/** The frames of a node: what the captioner saw of it, as far as there are pictures, and its key frames. */
function nodePictures(result, node, act) {
  const keys = new Map(result.frames.map((frame, place) => [frame.index, place + 1]));
  const own = result.frames.filter((frame) => frame.node === node.id).map((frame) => [frame.t, frame.index]);
  const seen = node.events.flatMap((event) => event.seen).filter(([, index]) => index >= 0 && result.pictures[index]);
  const byIndex = new Map([...seen, ...own].map(([time, index]) => [index, time]));
  const ordered = [...byIndex].sort((a, b) => a[1] - b[1]);
  if (!ordered.length) {
    const count = node.events.reduce((sum, event) => sum + event.seen.length, 0);
    return count ? el("p", { class: "quiet" }, `${many(count, "frame")} seen, no picture on this page.`) : null;
  }
  const items = ordered.map(([index, time]) => {
    const number = keys.get(index);
    const label = `${number ? `Key frame ${number}` : "Frame"} at ${clock(time, 1)}`;
    return el("li", {}, el("button", { type: "button", class: number ? "frame key" : "frame", "aria-label": label, on: { click: () => act.seek(time) } }, picture(result, index, ""), el("span", { "aria-hidden": "true" }, clock(time, 1))));
  });
  return el("ul", { class: "pictures", "aria-label": "Frames of the node" }, items);
}

function words(node) {
  if (!node.words.trim()) return null;
  return [el("h4", {}, "The policy’s words"), said(node.words, "blockquote")];
}

/** The node's events with their captions: one by itself, or a cluster of events that may lie far apart. */
function mates(result, node, act) {
  const told = node.events.filter((event) => event.caption);
  if (!told.length) return null;
  if (node.events.length === 1) return [el("h4", {}, "Caption"), said(told[0].caption, "p", "caption")];
  const rows = told.slice(0, MOST_MATES).map((event) => el("li", {}, el("button", { type: "button", class: "time", on: { click: () => act.show(event.span) } }, clockSpan(event.span)), " ", said(event.caption)));
  const more = told.length > MOST_MATES ? el("p", { class: "quiet" }, `and ${told.length - MOST_MATES} more`) : null;
  return [el("h4", {}, `Captions of its cluster of ${many(node.events.length, "event")}`), el("ul", { class: "mates" }, rows), more];
}

function rewardTable(node) {
  if (!node.reward) return null;
  const rows = REWARD_PARTS.map(([name, label]) => [label, name === "advantage" ? advantageBar(node.reward.advantage) : amount(node.reward[name], 3)]);
  return [el("h4", {}, "Rewards of this decision"), table("", ["part", "value"], rows, "numbers")];
}

function advantageBar(value) {
  const bar = el("span", { class: value < 0 ? "leaning down" : "leaning up", "aria-hidden": "true" }, el("span", {}));
  bar.firstChild.style.width = `${Math.min(50, Math.abs(value) * 20)}%`;
  return el("span", { class: "with-bar" }, bar, signed(value, 3));
}
