// One result: the question and its answer, the timeline, the node that is chosen, the cost, the tree as a list.

function resultView(result, back) {
  const window_ = new Window(result.video.duration_s);
  const player = playerOf(result);
  const panel = el("div", { class: "chosen", role: "region", "aria-label": "The chosen node", "aria-live": "polite" });
  const act = {
    seek: (time) => player.seek(time),
    show: (span) => {
      window_.show([span]);
      player.seek(span[0]);
    },
    select: (node) => {
      panel.replaceChildren(...[nodePanel(result, node, act)].flat());
      for (const row of list.querySelectorAll("[data-node]")) row.classList.toggle("chosen-row", row.dataset.node === node.id);
    },
  };
  const timeline = new Timeline(result, window_, act);
  player.watch((time) => timeline.at(time));
  const list = nodeList(result, (node) => timeline.select(node, null, true));
  panel.append(nodePanel(result, null, act));
  const first = result.nodes.find((node) => result.frames.some((frame) => frame.node === node.id)) || result.nodes[0];
  const view = el(
    "main",
    { class: "result" },
    back,
    heading(result),
    el(
      "div",
      { class: "columns" },
      el(
        "div",
        { class: "wide" },
        el("section", { class: "card", "aria-label": "Timeline" }, el("div", { class: "bar-above" }, legend([result]), colourChoice(result, timeline), zoomButtons(window_)), timeline.element, keysHelp(result)),
        frameStrip(result, act, timeline),
        list,
      ),
      el("aside", { class: "side", "aria-label": "Details" }, player.element, el("section", { class: "card node-card" }, panel), costCard(result), settingsCard(result)),
    ),
  );
  if (first) timeline.select(first);
  return view;
}

function heading(result, level = "h1") {
  const { video } = result;
  const about = [video.name, clock(video.duration_s), video.size, result.selector, many(result.frames.length, "key frame")];
  if (result.kind) about.push(result.kind);
  return el(
    "header",
    { class: "heading" },
    el("p", { class: "about" }, [result.label, result.name].filter(Boolean).map((text) => [said(text, "b"), " "]), el("span", {}, about.map((text, place) => [place ? " · " : "", said(text)]))),
    said(result.question, level),
    optionList(result),
    answerLine(result),
    warnings(result),
  );
}

function answerLine(result) {
  if (result.answer === null) return null;
  const known = result.correct !== null;
  const word = { right: "The answer is right", wrong: "The answer is wrong", unknown: "Answer" }[verdictOf(result)];
  const target = result.target && result.correct === false ? [" Right: ", said(result.target), "."] : null;
  return el("p", { class: `answer ${verdictOf(result)}` }, known ? verdictMark(result) : null, ` ${word}: `, said(result.answer.trim() || "(empty)", "strong"), known ? "." : null, target);
}

function warnings(result) {
  const told = [];
  if (result.fallbacks.length) told.push(["Not as planned: ", said(result.fallbacks.join(", "))]);
  if (result.left_out) told.push([`${many(result.left_out, "node")} more are not shown.`]);
  if (result.why_few) told.push([said(result.why_few)]);
  return told.map((text) => el("p", { class: "notice" }, text));
}

function colourChoice(result, timeline) {
  if (!result.nodes.some((node) => node.reward)) return null;
  const choice = el("select", { "aria-label": "Colour by", on: { change: () => (timeline.element.dataset.colour = choice.value) } }, el("option", { value: "action" }, "colour by action"), el("option", { value: "advantage" }, "colour by advantage"));
  return choice;
}

function keysHelp(result) {
  if (!result.nodes.length) return null;
  return el("p", { class: "quiet keys" }, "Arrows walk the tree, ", el("kbd", {}, "+"), " ", el("kbd", {}, "−"), " ", el("kbd", {}, "0"), " zoom, ", el("kbd", {}, "z"), " zooms to the chosen node; so does a double click. Ctrl and the wheel zoom, a drag moves.");
}

/** The video, where its file is at hand, or an object that plays nothing. */
function playerOf(result) {
  if (!result.video.source) return { element: null, seek: () => {}, watch: () => {} };
  const video = el("video", { controls: true, preload: "metadata", src: result.video.source, "aria-label": `The video ${result.video.name}` });
  const element = el("section", { class: "card player" }, video);
  video.addEventListener("error", () => element.replaceChildren(el("p", { class: "quiet" }, "This browser cannot play the video, or it is no longer beside the page.")));
  return {
    element,
    seek: (time) => {
      video.currentTime = time;
    },
    watch: (tell) => ["timeupdate", "seeking"].forEach((name) => video.addEventListener(name, () => tell(video.currentTime))),
  };
}

function frameStrip(result, act, timeline) {
  if (!result.frames.length) return el("section", { class: "card" }, el("h2", {}, "Key frames"), el("p", { class: "quiet" }, "None."));
  const items = result.frames.map((frame, place) => {
    const node = timeline.byId.get(frame.node);
    const press = () => {
      act.seek(frame.t);
      if (node) timeline.select(node);
    };
    const about = [frame.node === null ? null : `node ${frame.node}`, frame.score === null ? null : amount(frame.score, 3), frame.hit ? "in the evidence" : null].filter(Boolean).join(" · ");
    return el(
      "li",
      {},
      el("button", { type: "button", class: frame.hit ? "frame hit" : "frame", "aria-label": `Key frame ${place + 1} at ${clock(frame.t, 1)}${about ? `, ${about}` : ""}`, on: { click: press } }, picture(result, frame.index, ""), el("span", { "aria-hidden": "true" }, el("b", {}, place + 1), ` ${clock(frame.t, 1)}`), about ? el("small", { "aria-hidden": "true" }, said(about)) : null),
    );
  });
  return el("section", { class: "card", "aria-label": "Key frames" }, el("h2", {}, "Key frames"), el("ol", { class: "strip" }, items));
}

/** The tree as a table, by level of indentation: what a screen reader, a printer and a search in the page see. */
function nodeList(result, choose) {
  if (!result.nodes.length) return null;
  const kept = new Map();
  for (const frame of result.frames) kept.set(frame.node, (kept.get(frame.node) || 0) + 1);
  const rewarded = result.nodes.some((node) => node.reward);
  const ordered = inTreeOrder(result.nodes);
  const head = ["node", "action", "time", "key frames", "caption", ...(rewarded ? ["advantage"] : [])];
  const rows = ordered.map((node) => {
    const button = el("button", { type: "button", class: "link", on: { click: () => choose(node) } }, node.depth ? node.id : "video");
    button.style.marginInlineStart = `${Math.min(node.depth, 12) * 0.9}em`;
    const caption = node.events.map((event) => event.caption).filter(Boolean).join(" · ");
    const cells = [badge(node), clockSpans(node.spans), kept.get(node.id) || "", [caption ? said(cut(caption, 240)) : null, node.note ? [" ", said(node.note, "i")] : null]];
    if (rewarded) cells.push(node.reward ? signed(node.reward.advantage) : "");
    return el("tr", { data: { node: node.id } }, el("th", { scope: "row" }, button), cells.map((cell) => el("td", {}, cell)));
  });
  const table_ = el("table", { class: "tree" }, el("thead", {}, el("tr", {}, head.map((name) => el("th", { scope: "col" }, name)))), el("tbody", {}, rows));
  return el("section", { class: "card" }, el("details", { class: "list" }, el("summary", {}, el("h2", {}, `The tree as a list, ${many(result.nodes.length, "node")}`)), el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": "The tree as a list" }, table_)));
}

/** Each node after its parent, and before the next of its siblings. */
function inTreeOrder(nodes) {
  const children = new Map();
  const ids = new Set(nodes.map((node) => node.id));
  for (const node of nodes) {
    const parent = ids.has(node.parent) ? node.parent : null;
    children.set(parent, [...(children.get(parent) || []), node]);
  }
  const ordered = [];
  const waiting = [...(children.get(null) || [])].reverse();
  while (waiting.length) {
    const node = waiting.pop();
    ordered.push(node);
    waiting.push(...[...(children.get(node.id) || [])].reverse());
  }
  return ordered;
}

function costCard(result) {
  return el("section", { class: "card", "aria-label": "Cost" }, el("h2", {}, "Cost"), costs(result.usage), secondsBar(result.usage));
}

function settingsCard(result) {
  const pairs = Object.entries(result.config).map(([name, value]) => [said(name), said(value)]);
  pairs.push(["seed", said(result.seed)], ["read with", said(result.video.backend)], ["frames of the video", amount(result.video.frames)]);
  if (result.scores) pairs.push(["scored by", said(result.scores.scorer)], ["compared with", said(result.scores.text)]);
  return el("section", { class: "card" }, el("details", {}, el("summary", {}, el("h2", {}, "Settings")), table("", ["setting", "value"], pairs)));
}
