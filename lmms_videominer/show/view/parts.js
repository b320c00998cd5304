// Parts that several views have: verdicts, badges, pictures, tables of numbers.

function verdictMark(result) {
  const verdict = verdictOf(result);
  const sign = { right: "✓", wrong: "✗", unknown: "–" }[verdict];
  const word = { right: "right", wrong: "wrong", unknown: "not known whether right" }[verdict];
  return el("span", { class: `verdict ${verdict}`, role: "img", "aria-label": word, title: word }, sign);
}

function actionOf(node) {
  return node.action || "none";
}

function actionWord(node) {
  if (node.action) return ACTIONS[node.action].word;
  return node.undecided ? "undecided: a limit was reached" : node.depth ? "part of the video" : "the whole video";
}

function badge(node) {
  const action = actionOf(node);
  return el("span", { class: "badge", data: { action } }, el("span", { "aria-hidden": "true" }, ACTIONS[action].sign), ` ${actionWord(node)}`);
}

/** The picture of a frame of `result`, or an empty frame with its time where there is none. */
function picture(result, index, label) {
  const uri = result.pictures[index];
  if (uri && uri.startsWith("data:image/webp;base64,")) return el("img", { src: uri, alt: label, decoding: "async", loading: "lazy" });
  return el("span", { class: "no-picture", role: "img", "aria-label": `${label}, no picture` });
}

function facts(pairs) {
  const rows = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, rows.map(([name, value, note]) => el("div", {}, el("dt", {}, name), el("dd", {}, value, note ? el("small", {}, ` ${note}`) : null))));
}

function table(caption, head, rows, kind = "") {
  const columns = head.map((name) => el("th", { scope: "col" }, name));
  const body = rows.map((cells) => el("tr", {}, cells.map((cell, place) => (place ? el("td", {}, cell) : el("th", { scope: "row" }, cell)))));
  const made = el("table", { class: kind }, caption ? el("caption", {}, caption) : null, el("thead", {}, el("tr", {}, columns)), el("tbody", {}, body));
  return el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": caption || head.join(", ") }, made);
}

const USAGE = [
  ["captions made", (u) => u.vlm_calls, (u) => (u.vlm_calls_cached ? `+ ${amount(u.vlm_calls_cached)} cached` : "")],
  ["decisions made", (u) => u.policy_calls, (u) => (u.policy_calls_cached ? `+ ${amount(u.policy_calls_cached)} cached` : "")],
  ["answer calls", (u) => u.answer_calls, () => ""],
  ["tokens", (u) => u.prompt_tokens + u.completion_tokens, (u) => (u.completion_tokens ? `${amount(u.completion_tokens)} written` : "")],
  ["frames decoded", (u) => u.frames_decoded, () => ""],
  ["frames scored", (u) => u.scores, (u) => (u.scores_cached ? `+ ${amount(u.scores_cached)} cached` : "")],
  ["seconds", secondsOf, () => ""],
];

function secondsOf(usage) {
  return Object.values(usage.seconds).reduce((sum, value) => sum + value, 0);
}

function costs(usage) {
  const always = new Set(["captions made", "decisions made", "seconds"]);
  const shown = USAGE.filter(([name, value, note]) => always.has(name) || value(usage) || note(usage));
  const amiss = [
    ["captions missing", usage.captions_missing],
    ["decisions unread", usage.decisions_unread],
    ["damaged frames", usage.frames_substituted],
  ].filter(([, count]) => count);
  return facts([...shown.map(([name, value, note]) => [name, amount(value(usage)), note(usage)]), ...amiss.map(([name, count]) => [name, amount(count)])]);
}

/** A bar whose parts are the seconds of each stage, with a legend that names them. */
function secondsBar(usage) {
  const stages = Object.entries(usage.seconds).filter(([, value]) => value > 0);
  const total = secondsOf(usage);
  if (!total) return null;
  const parts = stages.map(([, value], place) => {
    const part = el("span", { class: `stage stage-${place % 6}` });
    part.style.flexGrow = String(value / total);
    return part;
  });
  const names = stages.map(([name, value], place) => el("li", {}, el("span", { class: `dot stage-${place % 6}`, "aria-hidden": "true" }), `${name} `, el("b", {}, `${amount(value)} s`)));
  return el("div", { class: "seconds" }, el("div", { class: "bar", "aria-hidden": "true" }, parts), el("ul", {}, names));
}

function optionList(result) {
  if (!result.options.length) return null;
  const rows = result.options.map((option, index) => {
    const chosen = index === result.chosen;
    const right = index === result.right;
    const wrong = chosen && (result.right !== null ? !right : result.correct === false);
    const marks = [chosen ? "answered" : "", right ? "right" : "", wrong ? "wrong" : ""].filter(Boolean);
    const state = right ? "is-right" : wrong ? "is-wrong" : chosen ? "is-chosen" : "";
    return el("li", { class: state }, el("b", { class: "letter" }, letter(index)), said(option), marks.length ? el("em", {}, marks.join(", ")) : null);
  });
  return el("ol", { class: "options", "aria-label": "Options" }, rows);
}
