// The timeline: key frames, evidence, scores and the events of the tree by level, on one zoomable axis of time.

const STEPS_S = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000, 86400];
const CLOSEST_S = 0.5; // the least that fills the axis
const PICTURE = 84; // pixels of a picture above the axis, with its gap
const DISC = 24;

/** What part of the video several timelines show; each is told when it changes. */
class Window {
  constructor(duration) {
    this.duration = Math.max(duration || 0, 1e-3);
    this.listeners = [];
    this.whole();
  }
  whole() {
    this.set(0, this.duration);
  }
  get isWhole() {
    return this.end - this.start > this.duration * 0.9999;
  }
  set(start, end) {
    const least = Math.min(CLOSEST_S, this.duration);
    const length = Math.min(Math.max(end - start, least), this.duration);
    const middle = (start + end) / 2;
    this.start = Math.min(Math.max(0, middle - length / 2), this.duration - length);
    this.end = this.start + length;
    for (const listener of this.listeners) listener();
  }
  zoom(factor, around = (this.start + this.end) / 2) {
    this.set(around - (around - this.start) / factor, around + (this.end - around) / factor);
  }
  move(share) {
    const by = (this.end - this.start) * share;
    this.set(this.start + by, this.end + by);
  }
  show(spans) {
    const start = Math.min(...spans.map((span) => span[0]));
    const end = Math.max(...spans.map((span) => span[1]));
    const room = Math.max((end - start) * 0.15, 0.5);
    this.set(start - room, end + room);
  }
  share(time) {
    return (time - this.start) / (this.end - this.start);
  }
}

class Timeline {
  /**
   * result: the data of one result.
   * window: its Window.
   * act: { select(node), seek(time) } and optionally differs(node).
   */
  constructor(result, window, act) {
    Object.assign(this, { result, window, act, blocks: [], placed: [], selected: null, playhead: null });
    this.byId = new Map(result.nodes.map((node) => [node.id, node]));
    this.plot = el("div", { class: "plot" });
    this.element = el("div", { class: "timeline", role: "group", "aria-label": "Timeline of the video", on: { keydown: (event) => this.key(event) } }, this.plot);
    this.build();
    window.listeners.push(() => this.place());
    new ResizeObserver(() => this.place()).observe(this.plot);
  }

  build() {
    const { result } = this;
    const rows = [];
    this.lane = el("div", { class: "lane", role: "list", "aria-label": "Key frames" });
    if (result.frames.length) rows.push(["key frames", this.lane, "frames-row"]);
    this.result.frames.forEach((frame, place) => this.addFrame(frame, place));
    if (result.scores) rows.push(["score", this.curve(result.scores), "scores-row"]);
    if (result.evidence.length) rows.push(["evidence", this.spanRow(result.evidence, "evidence", "Evidence"), ""]);
    const deepest = result.nodes.reduce((most, node) => Math.max(most, node.depth), -1);
    for (let depth = 0; depth <= deepest; depth += 1) {
      const nodes = result.nodes.filter((node) => node.depth === depth);
      if (nodes.length) rows.push([depth ? `level ${depth}` : "video", this.nodeRow(nodes), "nodes-row"]);
    }
    this.axis = el("div", { class: "axis", "aria-hidden": "true" });
    rows.push(["", this.axis, "axis-row"]);
    this.overview = this.buildOverview();
    rows.push(["", this.overview, "overview-row"]);
    for (const [label, content, kind] of rows) {
      const track = el("div", { class: "track" }, content);
      this.plot.append(el("div", { class: `row ${kind}` }, el("span", { class: "label" }, label), track));
    }
    this.line = el("div", { class: "playhead", hidden: true, "aria-hidden": "true" });
    this.axis.parentElement.append(this.line);
    const firstBlock = this.blocks.find((block) => block.node);
    if (firstBlock) firstBlock.element.tabIndex = 0; // the tab key stops once, the arrows walk from there
    this.listen();
  }

  addFrame(frame, place) {
    const label = `Key frame ${place + 1} at ${clock(frame.t, 1)}${frame.hit ? ", in the evidence" : ""}`;
    const node = frame.node === null ? null : this.byId.get(frame.node);
    const press = () => {
      this.act.seek(frame.t);
      if (node) this.select(node);
    };
    const shown = picture(this.result, frame.index, "");
    shown.setAttribute("aria-hidden", "true");
    const button = el("button", { type: "button", class: `pin${frame.hit ? " hit" : ""}`, "aria-label": label, title: label, on: { click: press } }, shown, el("span", { class: "number" }, String(place + 1)));
    const stem = el("span", { class: "stem", "aria-hidden": "true" });
    this.placed.push({ frame, button, stem, item: el("div", { role: "listitem" }, button, stem) });
    this.lane.append(this.placed.at(-1).item);
  }

  spanRow(spans, kind, name) {
    const holder = el("div", { class: "spans", role: "img", "aria-label": `${name}: ${clockSpans(spans, 6)}` });
    for (const span of spans) this.blocks.push({ span, element: holder.appendChild(el("span", { class: kind, title: `${name} ${clockSpan(span)}` })) });
    return holder;
  }

  nodeRow(nodes) {
    const holder = el("div", { class: "spans" });
    const rank = { delete: 0, none: 1, continue: 2, accept: 3 }; // what matters most comes last, on top
    for (const node of [...nodes].sort((a, b) => rank[actionOf(a)] - rank[actionOf(b)])) {
      node.spans.forEach((span, place) => holder.append(this.block(node, span, place)));
    }
    return holder;
  }

  block(node, span, place) {
    const action = actionOf(node);
    const held = this.result.frames.filter((frame) => frame.node === node.id).length;
    const caption = node.events.map((event) => event.caption).filter(Boolean).join(" · ");
    const differs = this.act.differs ? this.act.differs(node) : "";
    const reward = node.reward ? `, advantage ${signed(node.reward.advantage)}` : "";
    const more = node.spans.length > 1 ? `, part ${place + 1} of ${node.spans.length}` : "";
    const told = `${node.depth ? `Node ${node.id}` : "The whole video"}, ${actionWord(node)}${more}, ${clockSpan(span)}${held ? `, ${many(held, "key frame")}` : ""}${reward}${differs ? `, ${differs}` : ""}`;
    const text = el("span", { class: "in", "aria-hidden": "true" }, el("i", {}, ACTIONS[action].sign), el("span", { class: "id" }, node.id), caption ? said(cut(caption, 120), "span", "hint") : null);
    const element = el(
      "button",
      {
        type: "button",
        class: `block${differs ? " differs" : ""}`,
        data: { action, node: node.id },
        tabindex: "-1",
        "aria-label": told,
        "aria-pressed": "false",
        title: caption ? `${told}\n${cut(caption, 300)}` : told,
        on: { click: () => this.select(node, element), dblclick: () => this.window.show([span]) },
      },
      text,
    );
    if (node.reward) {
      element.style.setProperty("--advantage", String(Math.max(-1, Math.min(1, node.reward.advantage / 2))));
      element.dataset.sign = node.reward.advantage < 0 ? "down" : "up";
    }
    this.blocks.push({ span, node, element });
    return element;
  }

  curve(scores) {
    const { values, times_s: times } = scores;
    const low = Math.min(...values);
    const range = Math.max(...values) - low || 1;
    const path = svg("path", { fill: "none", "vector-effect": "non-scaling-stroke" });
    const drawing = svg("svg", { class: "curve", viewBox: "0 0 1000 100", preserveAspectRatio: "none", role: "img", "aria-label": `Scores of ${many(scores.count, "frame")}, from ${amount(low)} to ${amount(low + range)}` }, path);
    this.drawCurve = () => {
      const points = times.map((time, i) => `${(1000 * this.window.share(time)).toFixed(2)} ${(96 - (92 * (values[i] - low)) / range).toFixed(1)}`);
      path.setAttribute("d", `M${points.join("L")}`);
    };
    return drawing;
  }

  buildOverview() {
    const bar = el("div", { class: "overview", "aria-hidden": "true" });
    const share = (time) => `${(100 * time) / this.window.duration}%`;
    const mark = (span, kind) => {
      const element = bar.appendChild(el("span", { class: kind }));
      element.style.left = share(span[0]);
      element.style.width = share(span[1] - span[0]);
    };
    for (const span of this.result.evidence) mark(span, "evidence");
    for (const node of this.result.nodes) if (node.action === "accept" && node.depth) node.spans.forEach((span) => mark(span, "accepted"));
    for (const frame of this.result.frames) mark([frame.t, frame.t], "tick");
    this.shown = bar.appendChild(el("span", { class: "shown" }));
    bar.addEventListener("pointerdown", (event) => {
      bar.setPointerCapture(event.pointerId);
      const go = (at) => {
        const box = bar.getBoundingClientRect();
        const time = ((at.clientX - box.left) / box.width) * this.window.duration;
        const half = (this.window.end - this.window.start) / 2;
        this.window.set(time - half, time + half);
      };
      go(event);
      bar.onpointermove = go;
      bar.onpointerup = () => (bar.onpointermove = null);
    });
    return bar;
  }

  listen() {
    this.plot.addEventListener(
      "wheel",
      (event) => {
        if (event.ctrlKey || event.metaKey) this.window.zoom(Math.exp(-event.deltaY / 300), this.timeAt(event));
        else if (Math.abs(event.deltaX) > Math.abs(event.deltaY) && !this.window.isWhole) this.window.move(event.deltaX / this.width);
        else return;
        event.preventDefault();
      },
      { passive: false },
    );
    this.axis.addEventListener("click", (event) => this.act.seek(Math.max(0, Math.min(this.window.duration, this.timeAt(event)))));
    let from = null; // a drag moves the window; a press without one is the block's own
    this.plot.addEventListener("pointerdown", (event) => {
      if (event.button === 0 && !this.window.isWhole && !this.overview.contains(event.target)) from = { x: event.clientX, start: this.window.start, end: this.window.end, moved: false };
    });
    this.plot.addEventListener("pointermove", (event) => {
      if (!from || !event.buttons) return;
      const by = event.clientX - from.x;
      if (Math.abs(by) < 4 && !from.moved) return;
      from.moved = true;
      const seconds = (by / this.width) * (from.end - from.start);
      this.window.set(from.start - seconds, from.end - seconds);
    });
    this.plot.addEventListener("click", (event) => {
      if (from && from.moved) event.stopPropagation();
      from = null;
    }, true);
  }

  get width() {
    return this.axis.clientWidth || 1;
  }

  timeAt(event) {
    const box = this.axis.getBoundingClientRect();
    return this.window.start + ((event.clientX - box.left) / box.width) * (this.window.end - this.window.start);
  }

  place() {
    const width = this.width;
    for (const { span, node, element } of this.blocks) {
      const start = this.window.share(span[0]);
      const end = this.window.share(span[1]);
      const out = end < 0 || start > 1;
      element.hidden = out;
      if (out) continue;
      const left = Math.max(start, -0.01);
      const pixels = (Math.min(end, 1.01) - left) * width;
      const least = node && node.action === "delete" ? 1.5 : 4; // a short deleted part may be faint, no other may
      element.style.left = `${(left * width + Math.min(0, (pixels - least) / 2)).toFixed(2)}px`;
      element.style.width = `${Math.max(least, pixels - (pixels > 8 ? 1 : 0)).toFixed(2)}px`;
      if (node) element.dataset.room = pixels > 150 ? "much" : pixels > 46 ? "some" : pixels > 15 ? "sign" : "none";
    }
    this.placeFrames(width);
    if (this.drawCurve) this.drawCurve();
    this.drawAxis(width);
    this.shown.style.left = `${(100 * this.window.start) / this.window.duration}%`;
    this.shown.style.width = `${(100 * (this.window.end - this.window.start)) / this.window.duration}%`;
    this.overview.classList.toggle("whole", this.window.isWhole);
    this.at(this.playhead);
  }

  placeFrames(width) {
    const visible = this.placed.filter(({ frame }) => frame.t >= this.window.start && frame.t <= this.window.end);
    const pictured = visible.length * PICTURE <= width && visible.some(({ frame }) => this.result.pictures[frame.index]);
    const each = pictured ? PICTURE : DISC;
    this.lane.dataset.form = pictured ? "pictures" : "discs";
    const at = visible.map(({ frame }) => this.window.share(frame.t) * width);
    const spread_ = spread(at, Math.min(each, width / Math.max(1, visible.length)), each / 2, width - each / 2);
    for (const { item } of this.placed) item.hidden = true;
    visible.forEach(({ item, button, stem }, place) => {
      item.hidden = false;
      button.style.left = `${spread_[place] - (each - 4) / 2}px`;
      const lean = at[place] - spread_[place];
      stem.style.left = `${spread_[place]}px`;
      stem.style.height = `${Math.hypot(lean, 18)}px`;
      stem.style.transform = `rotate(${-Math.atan2(lean, 18)}rad)`;
    });
  }

  drawAxis(width) {
    const length = this.window.end - this.window.start;
    const step = STEPS_S.find((candidate) => (length / candidate) * 74 <= width) || length;
    const decimals = step < 1 ? 1 : 0;
    const ticks = [];
    for (let n = Math.ceil(this.window.start / step); n * step <= this.window.end; n += 1) {
      const x = this.window.share(n * step) * width;
      const tick = el("span", { class: `tick${x < 24 ? " first" : x > width - 24 ? " last" : ""}` }, clock(n * step, decimals));
      tick.style.left = `${x}px`;
      ticks.push(tick);
    }
    this.axis.replaceChildren(...ticks);
  }

  /** Show the playing position; null: none. */
  at(time) {
    this.playhead = time;
    const share = time === null ? -1 : this.window.share(time);
    this.line.hidden = share < 0 || share > 1;
    if (!this.line.hidden) this.line.style.left = `${share * 100}%`;
  }

  /** Mark `node`, one block of which may be given, and tell. */
  select(node, element = null, focus = false) {
    this.selected = node;
    const own = this.blocks.filter((block) => block.node);
    const chosen = element || this.elementOf(node);
    for (const block of own) {
      block.element.setAttribute("aria-pressed", String(block.node === node));
      block.element.tabIndex = block.element === chosen ? 0 : -1;
    }
    if (focus && chosen) {
      const span = own.find((block) => block.element === chosen).span;
      if (span[1] <= this.window.start || span[0] >= this.window.end) this.window.set(span[0] - (this.window.end - this.window.start) / 2, span[0] + (this.window.end - this.window.start) / 2);
      chosen.focus({ preventScroll: false });
    }
    this.act.select(node, this);
  }

  elementOf(node) {
    const blocks = this.blocks.filter((block) => block.node === node);
    return (blocks.find((block) => !block.element.hidden) || blocks[0] || {}).element || null;
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const zooms = { "+": () => this.window.zoom(1.6), "=": () => this.window.zoom(1.6), "-": () => this.window.zoom(1 / 1.6), 0: () => this.window.whole(), z: () => this.selected && this.window.show(this.selected.spans) };
    const moves = { ArrowLeft: () => this.beside(-1), ArrowRight: () => this.beside(1), ArrowUp: () => this.parent(), ArrowDown: () => this.child() };
    const onBlock = event.target.classList && event.target.classList.contains("block");
    const act = zooms[event.key] || (onBlock && moves[event.key]);
    if (!act) return;
    event.preventDefault();
    if (onBlock) this.selected = this.byId.get(event.target.dataset.node);
    act();
  }

  beside(by) {
    const level = this.result.nodes.filter((node) => node.depth === this.selected.depth).sort((a, b) => a.spans[0]?.[0] - b.spans[0]?.[0]);
    const next = level[level.indexOf(this.selected) + by];
    if (next) this.select(next, null, true);
  }

  parent() {
    const up = this.byId.get(this.selected.parent);
    if (up) this.select(up, null, true);
  }

  child() {
    const down = this.result.nodes.find((node) => node.parent === this.selected.id);
    if (down) this.select(down, null, true);
  }
}

/** Ascending `positions` moved apart to at least `distance`, by as little as possible, within [low, high]. */
function spread(positions, distance, low, high) {
  const pools = [];
  positions.forEach((position, index) => {
    let mean = position - index * distance;
    let count = 1;
    while (pools.length && pools.at(-1)[0] >= mean) {
      const [otherMean, otherCount] = pools.pop();
      mean = (mean * count + otherMean * otherCount) / (count + otherCount);
      count += otherCount;
    }
    pools.push([mean, count]);
  });
  const top = high - (positions.length - 1) * distance;
  const flat = pools.flatMap(([mean, count]) => Array(count).fill(Math.min(Math.max(mean, low), Math.max(top, low))));
  return flat.map((place, index) => place + index * distance);
}

/** The buttons that zoom `window`. */
function zoomButtons(window) {
  const button = (text, label, act) => el("button", { type: "button", "aria-label": label, title: label, on: { click: act } }, text);
  const whole = button("whole video", "Show the whole video (0)", () => window.whole());
  const told = el("span", { class: "range" });
  const tell = () => {
    whole.disabled = window.isWhole;
    const decimals = window.end - window.start < 60 ? 1 : 0;
    told.textContent = `${clock(window.start, decimals)}–${clock(window.end, decimals)}`;
  };
  window.listeners.push(tell);
  tell();
  return el("div", { class: "zoom", role: "group", "aria-label": "Zoom" }, told, button("−", "Zoom out (-)", () => window.zoom(1 / 1.6)), button("+", "Zoom in (+)", () => window.zoom(1.6)), whole);
}

function legend(results) {
  const nodes = results.flatMap((result) => result.nodes);
  const present = ["accept", "continue", "delete", "none"].filter((action) => nodes.some((node) => actionOf(node) === action && (node.depth || node.action)));
  const words = { ...Object.fromEntries(Object.entries(ACTIONS).map(([name, { word }]) => [name, word])), none: nodes.some((node) => node.undecided) ? "undecided" : "part of the video" };
  const entries = present.map((action) => el("li", {}, el("span", { class: "swatch", data: { action }, "aria-hidden": "true" }, ACTIONS[action].sign), words[action]));
  if (results.some((result) => result.evidence.length)) entries.push(el("li", {}, el("span", { class: "swatch evidence", "aria-hidden": "true" }), "evidence"));
  return el("ul", { class: "legend", "aria-label": "Legend" }, entries);
}
