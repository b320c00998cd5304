// Two results side by side, with what differs marked.

const SAME_S = 0.5; // key frames as near as this show the same

function compareView(pair, back) {
  const same = sameVideo(pair);
  const windows = same ? Array(2).fill(new Window(Math.max(...pair.map((result) => result.video.duration_s)))) : pair.map((result) => new Window(result.video.duration_s));
  const changed = decidedDifferently(pair);
  const sides = pair.map((result, side) => compareSide(result, windows[side], side, changed));
  const differences = table("What differs", ["what", "A", "B", "mark"], differenceRows(pair), "differences");
  const nodes = changed.length ? table("Decided differently about the same part", ["part", "A", "B"], changed.map(([a, b]) => [clockSpans(a.spans), badge(a), badge(b)])) : null;
  return el(
    "main",
    { class: "compare" },
    back,
    el("header", { class: "heading" }, el("p", { class: "about" }, "Two results side by side"), pair[0].question === pair[1].question ? said(pair[0].question, "h1") : el("h1", {}, "Two questions")),
    same ? null : el("p", { class: "notice" }, "The two results are of different videos: their timelines are not the same."),
    el("div", { class: "bar-above" }, legend(pair), zoomButtons(windows[0]), same ? null : zoomButtons(windows[1])),
    sides,
    el("section", { class: "card" }, differences, nodes),
  );
}

function sameVideo([a, b]) {
  if (a.video.identity && b.video.identity) return a.video.identity === b.video.identity;
  return a.video.name === b.video.name && Math.abs(a.video.duration_s - b.video.duration_s) < SAME_S;
}

function compareSide(result, window_, side, changed) {
  const panel = el("div", { class: "chosen", role: "region", "aria-label": `The chosen node of ${"AB"[side]}`, "aria-live": "polite" });
  const player = playerOf(result);
  const other = new Map(changed.map((nodes) => [nodes[side].id, nodes[1 - side]]));
  const act = {
    seek: (time) => player.seek(time),
    show: (span) => window_.show([span]),
    select: (node) => panel.replaceChildren(...[nodePanel(result, node, act)].flat()),
    differs: (node) => (other.has(node.id) ? `${"BA"[side]} decided ${actionWord(other.get(node.id))}` : ""),
  };
  const timeline = new Timeline(result, window_, act);
  player.watch((time) => timeline.at(time));
  panel.append(el("p", { class: "quiet" }, "Choose a part of the timeline."));
  return el(
    "section",
    { class: "card side-by-side", "aria-label": `Result ${"AB"[side]}` },
    el("h2", {}, el("span", { class: "which" }, "AB"[side]), " ", said(nameOf(result))),
    answerLine(result) || el("p", {}),
    warnings(result),
    timeline.element,
    el("details", { class: "list" }, el("summary", {}, "The chosen node, and the video"), player.element, panel),
  );
}

function nameOf(result) {
  return [result.label || result.selector, result.name].filter(Boolean).join(" · ");
}

/** Pairs of nodes about the same spans with different actions. */
function decidedDifferently([a, b]) {
  const key = (node) => node.spans.map((span) => span.map((time) => time.toFixed(2)).join("-")).join(" ");
  const decided = (result) => result.nodes.filter((node) => node.action);
  const theirs = new Map(decided(b).map((node) => [key(node), node]));
  return decided(a)
    .map((node) => [node, theirs.get(key(node))])
    .filter(([mine, its]) => its && its.action !== mine.action);
}

function differenceRows([a, b]) {
  const near = (frame, others) => others.some((other) => Math.abs(other.t - frame.t) <= SAME_S);
  const shared = a.frames.filter((frame) => near(frame, b.frames)).length;
  const rows = [];
  const add = (name, left, right, differs = String(left) !== String(right)) => rows.push([name, left, right, differs]);
  if (a.question !== b.question) add("question", said(a.question), said(b.question), true);
  add("selector", a.selector, b.selector);
  add("answer", said(a.answer ?? "–"), said(b.answer ?? "–"), a.answer !== b.answer);
  add("right", verdictOf(a), verdictOf(b));
  add("key frames", many(a.frames.length, "frame"), many(b.frames.length, "frame"), false);
  add("of them in both", amount(shared), amount(b.frames.filter((frame) => near(frame, a.frames)).length), shared < Math.max(a.frames.length, b.frames.length));
  if (a.evidence.length || b.evidence.length) add("in the evidence", amount(hits(a)), amount(hits(b)));
  add("nodes", amount(a.nodes.length), amount(b.nodes.length));
  for (const action of ["accept", "continue", "delete"]) add(`nodes: ${action}`, amount(countOf(a, action)), amount(countOf(b, action)));
  const counts = [
    ["captions", (u) => u.vlm_calls + u.vlm_calls_cached],
    ["decisions", (u) => u.policy_calls + u.policy_calls_cached],
    ["tokens", (u) => u.prompt_tokens + u.completion_tokens],
    ["frames decoded", (u) => u.frames_decoded],
    ["seconds", secondsOf],
  ];
  for (const [name, of] of counts) add(name, amount(of(a.usage)), amount(of(b.usage)));
  add("fallbacks", said(a.fallbacks.join(", ") || "none"), said(b.fallbacks.join(", ") || "none"), a.fallbacks.join() !== b.fallbacks.join());
  for (const name of [...new Set([...Object.keys(a.config), ...Object.keys(b.config)])]) {
    const values = [a.config[name], b.config[name]].map((value) => (value === undefined ? "–" : String(value)));
    if (values[0] !== values[1]) add(said(name), said(values[0] || "(empty)"), said(values[1] || "(empty)"), true);
  }
  return rows.map(([name, left, right, differs]) => [name, left, right, differs ? el("span", { class: "differs-mark" }, "≠ differs") : ""]);
}

const hits = (result) => result.frames.filter((frame) => frame.hit).length;
const countOf = (result, action) => result.nodes.filter((node) => node.action === action).length;
