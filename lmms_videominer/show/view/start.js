// Starts the page: one result by itself, two side by side, more as a gallery. The place in it is in the address.

(() => {
  const root = document.getElementById("view");
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const index = read("index");
  const loaded = new Map();
  const load = (place) => {
    if (!loaded.has(place)) loaded.set(place, read(`result-${place}`));
    return loaded.get(place);
  };
  const framed = window.parent !== window; // in a notebook the address is not the page's own
  let gallery = null;
  let scrolled = 0;

  const start = () => (index.results.length === 1 ? [0] : index.results.length === 2 ? [0, 1] : []);
  const wanted = () => {
    const places = (location.hash.match(/^#(?:result|compare)=([\d,]+)$/) || ["", ""])[1].split(",").filter(Boolean).map(Number);
    const known = places.filter((place) => place < index.results.length).slice(0, 2);
    return location.hash === "#all" ? [] : known.length ? known : start();
  };
  const go = (places) => {
    const hash = places.length === 2 ? `#compare=${places.join(",")}` : places.length ? `#result=${places[0]}` : "#all";
    if (framed) show(places);
    else if (location.hash === hash) show(places);
    else location.hash = hash;
  };

  const back = (places) => {
    if (index.results.length === 1) return null;
    const button = (text, to, label) => el("button", { type: "button", disabled: to === null, "aria-label": label, on: { click: () => go(to) } }, text);
    const around = (gallery ? gallery.shown : index.results.map((_, place) => ({ place }))).map((result) => result.place);
    const at = places.length === 1 ? around.indexOf(places[0]) : -1;
    const beside = (by) => (at >= 0 && around[at + by] !== undefined ? [around[at + by]] : null);
    return el("nav", { class: "back", "aria-label": "Results" }, button("all results", []), places.length === 1 ? [button("‹ previous", beside(-1)), button("next ›", beside(1))] : places.map((place, side) => button(`${"AB"[side]} by itself`, [place])));
  };

  const show = (places) => {
    if (!places.length) {
      gallery = gallery || new Gallery(index, load, go);
      root.replaceChildren(gallery.element);
      window.scrollTo(0, scrolled);
    } else {
      if (gallery && root.contains(gallery.element)) scrolled = window.scrollY;
      root.replaceChildren(places.length === 2 ? compareView(places.map(load), back(places)) : resultView(load(places[0]), back(places)));
      window.scrollTo(0, 0);
    }
    document.documentElement.dataset.ready = "yes";
  };

  window.addEventListener("hashchange", () => show(wanted()));
  window.addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((details) => (details.open = true)));
  show(wanted());
})();
