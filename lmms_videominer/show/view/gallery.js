// Many results: a line each with a small timeline, filters, the groups of trees of training, two to compare.

const LENGTHS = [
  ["up to 2 minutes", 0, 120],
  ["2 to 10 minutes", 120, 600],
  ["10 to 30 minutes", 600, 1800],
  ["over 30 minutes", 1800, Infinity],
];
const ORDERS = {
  "as they come": null,
  "most seconds": (a, b) => b.seconds - a.seconds,
  "most captions": (a, b) => b.captions - a.captions,
  "longest video": (a, b) => b.duration_s - a.duration_s,
  "most reward": (a, b) => (b.reward?.total ?? -Infinity) - (a.reward?.total ?? -Infinity),
};

class Gallery {
  /** index: the data of all results, in short; load(place): all data of one; open(places): show one, or two. */
  constructor(index, load, open) {
    Object.assign(this, { index, load, open, picked: [], rows: [] });
    this.results = index.results.map((result, place) => ({ ...result, place }));
    this.shown = this.results;
    this.list = el("ul", { class: "gallery", "aria-label": "Results" });
    this.count = el("p", { class: "count", role: "status" });
    this.compare = el("button", { type: "button", class: "compare-picked", on: { click: () => open(this.picked) } });
    this.filters = this.buildFilters();
    this.watcher = new IntersectionObserver((entries) => entries.filter((entry) => entry.isIntersecting).forEach((entry) => this.picture(entry.target)), { rootMargin: "200px" });
    this.rows = this.results.map((result) => this.row(result));
    this.element = el(
      "main",
      { class: "many" },
      el("header", { class: "heading" }, el("p", { class: "about" }, "Results"), said(index.title, "h1"), this.overall()),
      index.left_out ? el("p", { class: "notice" }, `${many(index.left_out, "more result")} are not on this page.`) : null,
      this.groups(),
      el("section", { class: "filters card", "aria-label": "Filters" }, this.filters.map(({ element }) => element), el("div", { class: "counted" }, this.count, this.compare)),
      this.list,
    );
    this.update();
  }

  overall() {
    const known = this.results.filter((result) => result.correct !== null);
    const mean = (of) => (this.results.length ? this.results.reduce((sum, result) => sum + of(result), 0) / this.results.length : 0);
    const right = known.filter((result) => result.correct).length;
    return facts([
      ["results", amount(this.results.length)],
      ["right", known.length ? `${amount(right)} of ${amount(known.length)}` : null, known.length ? `${amount((100 * right) / known.length, 1)} %` : ""],
      ["captions each", amount(mean((result) => result.captions), 1)],
      ["decisions each", amount(mean((result) => result.decisions), 1)],
      ["seconds each", amount(mean((result) => result.seconds), 1)],
      ["with a fallback", amount(this.results.filter((result) => result.fallbacks.length).length)],
    ]);
  }

  buildFilters() {
    const made = [this.search()];
    const values = (of) => [...new Set(this.results.flatMap(of))].sort();
    const choice = (label, options, test) => {
      if (options.length < 2) return;
      const select = el("select", { on: { change: () => this.update() } }, el("option", { value: "" }, "all"), options.map(([text], place) => el("option", { value: String(place) }, text)));
      made.push({ element: el("label", {}, el("span", {}, label), select), test: (result) => select.value === "" || test(result, options[Number(select.value)]) });
    };
    const named = (list) => list.map((name) => [name, name]);
    const present = ["right", "wrong", "unknown"].filter((verdict) => this.results.some((result) => verdictOf(result) === verdict));
    choice("answer", named(present), (result, [, verdict]) => verdictOf(result) === verdict);
    choice("kind", named(values((result) => result.kind || [])), (result, [, kind]) => result.kind === kind);
    choice("variant", named(values((result) => result.label || [])), (result, [, label]) => result.label === label);
    choice("selector", named(values((result) => result.selector)), (result, [, selector]) => result.selector === selector);
    choice("length", LENGTHS.filter(([, low, high]) => this.results.some((result) => result.duration_s >= low && result.duration_s < high)), (result, [, low, high]) => result.duration_s >= low && result.duration_s < high);
    const fallbacks = values((result) => result.fallbacks);
    if (fallbacks.length) choice("fallback", [["none", ""], ["any", null], ...named(fallbacks)], (result, [, name]) => (name === "" ? !result.fallbacks.length : name === null ? result.fallbacks.length > 0 : result.fallbacks.includes(name)));
    made.push(this.order());
    return made;
  }

  search() {
    const input = el("input", { type: "search", placeholder: "question, answer, name", on: { input: () => this.update() } });
    const texts = this.results.map((result) => [result.question, result.answer, result.name, result.video, result.label].join("\n").toLowerCase());
    return { element: el("label", { class: "search" }, el("span", {}, "search"), input), test: (result) => texts[result.place].includes(input.value.trim().toLowerCase()) };
  }

  order() {
    const names = Object.keys(ORDERS).filter((name) => name !== "most reward" || this.results.some((result) => result.reward));
    this.ordered = el("select", { on: { change: () => this.update() } }, names.map((name) => el("option", {}, name)));
    return { element: el("label", {}, el("span", {}, "order"), this.ordered), test: () => true };
  }

  update() {
    const shown = this.results.filter((result) => this.filters.every(({ test }) => test(result)));
    const order = ORDERS[this.ordered.value];
    this.shown = order ? [...shown].sort(order) : shown;
    this.list.replaceChildren(...this.shown.map((result) => this.rows[result.place]));
    this.count.textContent = `${amount(this.shown.length)} of ${many(this.results.length, "result")}`;
    this.tellPicked();
  }

  tellPicked() {
    this.compare.disabled = this.picked.length !== 2;
    this.compare.textContent = this.picked.length === 2 ? "compare these two" : `tick two to compare (${this.picked.length})`;
  }

  pick(place, box) {
    this.picked = box.checked ? [...this.picked, place] : this.picked.filter((other) => other !== place);
    if (this.picked.length > 2) {
      const dropped = this.picked.shift();
      this.rows[dropped].querySelector("input").checked = false;
    }
    this.tellPicked();
  }

  row(result) {
    const box = el("input", { type: "checkbox", "aria-label": `Compare ${result.name}`, on: { change: () => this.pick(result.place, box) } });
    const about = [result.label, result.name, result.kind, result.label === result.selector ? "" : result.selector, `${result.video} ${clock(result.duration_s)}`].filter(Boolean);
    const open = el("button", { type: "button", class: "open", on: { click: () => this.open([result.place]) } }, said(cut(result.question, 200)));
    const answer = result.answer === null ? null : el("span", { class: "said-answer" }, "“", said(cut(result.answer, 60)), "”", result.target && result.correct === false ? [", right: ", said(cut(result.target, 60))] : null);
    const numbers = [`${many(result.captions, "caption")}`, `${many(result.decisions, "decision")}`, `${amount(result.seconds)} s`];
    if (result.reward) numbers.unshift(`R tree ${amount(result.reward.tree, 2)}`, `advantage ${signed(result.reward.advantage)}`);
    const row = el(
      "li",
      { data: { place: result.place } },
      box,
      verdictMark(result),
      el("div", { class: "what" }, open, el("p", { class: "about" }, about.map((text, place) => [place ? " · " : "", said(text)])), answer, result.fallbacks.length ? el("span", { class: "fallback" }, said(result.fallbacks.join(", "))) : null),
      el("div", { class: "where" }, small(result), el("p", { class: "about" }, numbers.join(" · "))),
      el("div", { class: "thumbs", "aria-hidden": "true" }),
    );
    this.watcher.observe(row);
    return row;
  }

  /** Put pictures on a row that comes into view; the data of a result is read only then. */
  picture(row) {
    this.watcher.unobserve(row);
    const result = this.load(Number(row.dataset.place));
    const frames = result.frames.filter((frame) => result.pictures[frame.index]);
    const some = frames.length <= 4 ? frames : [0, 1, 2, 3].map((n) => frames[Math.round((n * (frames.length - 1)) / 3)]);
    row.querySelector(".thumbs").append(...some.map((frame) => picture(result, frame.index, "")));
  }

  /** Of each group of trees of training, a table of its trees. */
  groups() {
    const groups = new Map();
    for (const result of this.results) if (result.group) groups.set(result.group, [...(groups.get(result.group) || []), result]);
    return [...groups].map(([name, trees]) => {
      const rows = trees.map((tree) => {
        const reward = tree.reward;
        const open = el("button", { type: "button", class: "link", on: { click: () => this.open([tree.place]) } }, said(tree.name));
        const parts = reward ? [amount(reward.tree, 2), amount(reward.format, 2), amount(reward.length, 2), amount(reward.action, 2), amount(reward.total, 2), advantageBar(reward.advantage)] : Array(6).fill("–");
        return [open, verdictMark(tree), said(cut(tree.answer ?? "–", 40)), amount(reward ? reward.decisions : tree.nodes), ...parts, amount(tree.captions), small(tree)];
      });
      const head = ["tree", "right", "answer", "decisions", "R tree", "r format", "r length", "r action", "R total", "advantage", "captions", "where"];
      return el("section", { class: "card group" }, el("h2", {}, said(name)), said(trees[0].question, "p", "question"), table(`The trees of ${name}: means over their decisions`, head, rows, "numbers"));
    });
  }
}

/** A timeline as a line of text is high: accepted parts, evidence and key frames. */
function small(result) {
  const duration = result.duration_s || 1;
  const words = `${many(result.times_s.length, "key frame")} at ${result.times_s.slice(0, 8).map((time) => clock(time)).join(", ")}`;
  const drawing = svg("svg", { class: "small", viewBox: "0 0 1000 20", preserveAspectRatio: "none", role: "img", "aria-label": words });
  const bar = ([start, end], kind, least, top, height) => {
    const width = Math.max(least, (1000 * (end - start)) / duration);
    const x = Math.min((1000 * start) / duration, 1000 - width);
    drawing.append(svg("rect", { class: kind, x: x.toFixed(1), y: top, width: width.toFixed(1), height }));
  };
  bar([0, duration], "track", 0, 7, 8);
  for (const span of result.accepted) bar(span, "accepted", 6, 7, 8);
  for (const span of result.evidence) bar(span, "evidence", 6, 16, 4);
  for (const time of result.times_s) bar([time, time], "tick", 3, 0, 15);
  return drawing;
}
