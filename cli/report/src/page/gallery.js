// The gallery of a layer's units: sorted, searched, and of a long list only the visible rows in the page.

// The lower end of Wilson's interval of 95 % for a share of n samples (E. B. Wilson, "Probable inference, the law of
// succession, and statistical inference", 1927): few samples prove little.
function surely(share, n) {
  const z = 1.96, all = n + z * z;
  return n ? Math.max(0, (n * share + z * z / 2 - z * Math.sqrt(n * share * (1 - share) + z * z / 4)) / all) : 0;
}

// Of each unit how pure its samples are at least.
function purities(layer) {
  layer.purities ??= layer.purity.map((share, unit) => surely(share, activeOf(layer, unit)));
  return layer.purities;
}

// The samples in which a unit is active.
const activeOf = (layer, unit) => Math.round(layer.frequency[unit] * report.samples);

// By name: what a menu shows, the number that is the larger the earlier, what it is in one sentence, and what a tile
// shows of it: text, and the share of a bar.
const SORTS = {
  telling: ["most telling first", layer => layer.telling_scores, layer => layer.telling === "names"
    ? "Most telling: the ten strongest samples share a token that is rare elsewhere (score on the tile); the best unit of each token first."
    : "Most telling: its samples share a label that is rare elsewhere (score on the tile); the best unit of each label first.",
  (layer, unit) => relative(layer.telling_scores, unit, value => value.toFixed(2))],
  number: ["number", null, () => "Percent: the share of the samples in which a unit is active."],
  frequent: ["most frequent first", layer => layer.frequency, () => "Most frequent: active in the largest share of the samples (on the tile)."],
  rare: ["least frequent first", layer => layer.frequency.map(v => -v), () => "Least frequent: active in the smallest share of the samples (on the tile)."],
  maximum: ["largest maximum first", layer => layer.max.map(Math.abs), () => "Largest maximum: the strongest response to any sample (on the tile).",
    (layer, unit) => relative(layer.max, unit, short)],
  purity: ["purest label first", purities, () => "Purest label: the most frequent label among the samples in which it is active, and the share "
    + "that this is at least (the lower end of Wilson’s 95 % interval: few samples prove little).",
  (layer, unit) => ({ label: image || report.label_names ? labelName(layer.label[unit]) : `label ${layer.label[unit]}`, text: `≥ ${Math.floor(100 * purities(layer)[unit])} %`, share: purities(layer)[unit] })],
};

// A number with its share of the largest.
const largestOfAll = new WeakMap();
function relative(values, unit, text) {
  if (!largestOfAll.has(values)) largestOfAll.set(values, values.reduce((max, value) => Math.max(max, Math.abs(value)), 1e-30));
  return { text: text(values[unit]), share: Math.abs(values[unit]) / largestOfAll.get(values) };
}

// What a tile shows: the figure by which the gallery is sorted, or else how often a unit is active.
const figureOf = (layer, unit, sort) => SORTS[sort][3]?.(layer, unit)
  ?? { text: percent(layer.frequency[unit]), share: Math.sqrt(layer.frequency[unit]) };

// The names of a unit's top samples, for the search.
function searchText(layer, unit) {
  layer.texts ??= new Map();
  if (!layer.texts.has(unit)) {
    const written = featuresOf(layer, unit, 3).map(({ feature }) => featureName(feature));
    const names = written.length ? written : report.names ? topOf(layer, unit).map(top => pieceOf(nameOf(top.sample) ?? "").text) : [];
    layer.texts.set(unit, names.join("\n").toLowerCase());
  }
  return layer.texts.get(unit);
}

// The units that a search finds, in order.
function foundUnits(layer, { sort, query, dead }) {
  const words = query.trim().toLowerCase(), label = layer.label && words.match(/^label:?\s*(.+)$/);
  const isFound = unit => {
    if (!words) return true;
    if (label) return layer.frequency[unit] > 0 && labelName(layer.label[unit]).toLowerCase() === label[1];
    return /^#?\d+$/.test(words) && String(unit).startsWith(words.replace("#", "")) || searchText(layer, unit).includes(words);
  };
  const units = [];
  for (let unit = 0; unit < layer.units; unit++)
    if ((dead || !layer.isDead.has(unit)) && isFound(unit)) units.push(unit);
  const key = SORTS[sort][1]?.(layer);
  // Units that are dead, or only in numbers, are behind the others.
  layer.groups ??= Uint8Array.from({ length: layer.units }, (_, unit) => layer.isDead.has(unit) ? 2 : layer.row.has(unit) ? 0 : 1);
  const group = key ? layer.groups : layer.groups.map(of => of === 2 ? 1 : 0);
  return units.sort((a, b) => group[a] - group[b] || (key ? key[b] - key[a] : 0) || a - b);
}

const unitPath = (layer, unit) => `#unit-${layer.m}-${layer.l}-${unit}`;

// Which of a unit's pictures stands for it: what it writes, if that is a picture, because weights that see only
// constant pixels stay as they began.
const usualPicture = layer => {
  const { decoder } = report.models[layer.m];
  return decoder?.length === 1 && layer.l === codeLayer(report.models[layer.m]) && isImageSize(outputs(report.models[layer.m]))
    ? "decoder" : "picture";
};

// The picture of a unit, or null.
function unitPicture(layer, unit, what = usualPicture(layer)) {
  const row = layer.row.get(unit), isOutput = what === "decoder";
  const matrix = isOutput ? array(`m${layer.m}.decoder0`) : layer.get(what);
  if (!image || !matrix || row === undefined) return null;
  const label = isOutput ? `what unit ${unit} writes` : `what unit ${unit} responds to`;
  return signedPicture(label, rowOf(matrix, row, image.rows * image.columns * image.channels));
}

// The features of a table that a unit of the code changes most in the output, with signs.
function featuresOf(layer, unit, wanted) {
  const model = report.models[layer.m], row = layer.row.get(unit);
  if (!report.features || model.targets || model.decoder?.length !== 1 || layer.l !== codeLayer(model) || row === undefined) return [];
  return largestOf(signedRow(`m${layer.m}.decoder0`, row, outputs(model)), wanted);
}

const featureName = feature => report.features?.[feature] ?? `feature ${feature}`;

// The weights of largest magnitude, with their features.
function largestOf(weights, wanted) {
  return Array.from(weights, (weight, feature) => ({ feature, weight })).filter(of => of.weight !== 0)
    .sort((a, b) => Math.abs(b.weight) - Math.abs(a.weight)).slice(0, wanted);
}

// What a unit stands for in a few words: the tokens of its top samples, the most frequent first, or the features that it
// changes most. There are none where samples are images.
function wordsOf(layer, unit, wanted) {
  if (image || layer.isDead.has(unit)) return [];
  if (!report.names) return featuresOf(layer, unit, wanted).map(({ feature, weight }) => `${weight > 0 ? "↑" : "↓"} ${featureName(feature)}`);
  const counts = new Map();
  for (const top of topOf(layer, unit)) {
    const { text } = pieceOf(nameOf(top.sample) ?? "");
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].sort((a, b) => b[1] - a[1]).slice(0, wanted).map(([text]) => text);
}

// The lines of a tile without a picture: words, and of a stream of tokens the strongest sample in its context.
function tileLines(layer, unit, words) {
  if (image) return null;
  if (!report.names) return words.slice(0, 2).map(line => el("span.tile-line.soft", { title: line }, line));
  const [top] = report.context ? topOf(layer, unit) : [];
  return [words.length ? el(`span.tile-names${top ? ".one" : ""}`, null, words.join(" · ")) : null,
    top ? el("span.tile-line.soft", { "aria-hidden": "true" }, textAround(top.sample, 2, at => at === top.sample ? 1 : 0, null, 5)) : null];
}

function unitTile(layer, unit, at, { total, sort }) {
  const isDead = layer.isDead.has(unit), figure = isDead ? { text: "dead", share: 0 } : figureOf(layer, unit, sort);
  const words = wordsOf(layer, unit, 4), order = SORTS[sort][3] && sort !== "purity" ? `${SORTS[sort][0].replace(" first", "")} ${figure.text}` : null;
  const said = [`unit ${unit}`, isDead ? "dead" : `active in ${percent(layer.frequency[unit])} of the samples`, isDead ? null : order,
    layer.label && !isDead ? `mostly label ${labelName(layer.label[unit])}, ${percent(layer.purity[unit])}` : null,
    words.length ? words.slice(0, 3).join(", ") : null, `${at + 1} of ${total}`].filter(Boolean).join(", ");
  return el(`a.tile${isDead ? ".dead" : ""}`, { href: unitPath(layer, unit), "aria-label": said,
    "data-at": at, tabindex: -1 },
    unitPicture(layer, unit) ?? (image ? el("span.blank") : null),
    el("span.tile-head", null, el("b", null, String(unit)), el("span", null, figure.text), figure.label ? el("em", { title: figure.label }, figure.label) : null),
    tileLines(layer, unit, words),
    image ? null : el("span.bar", null, el("i", { style: `width:${100 * figure.share}%` })));
}

// A list of tiles, of which those in view are in the page: shows(units) replaces it.
function tileList(layerOfNow) {
  const space = el("div.tiles-space"), list = el("div.tiles", { role: "group", "aria-label": "Units: arrow keys move, Enter opens" });
  const box = el("div.tiles-box", null, space);
  space.append(list);
  let units = [], sort = "frequent", columns = 1, height = 1, current = 0, drawn = "", made = new Map();
  const size = () => image ? [84, 112] : report.names || report.features ? [172, report.context ? 96 : 88] : [150, 54];
  function draw(force) {
    const width = box.clientWidth;
    if (!width) return;
    const [least, tall] = size(), gap = 8;
    columns = Math.max(1, Math.floor((width - 14 + gap) / (least + gap)));
    // Square pictures, as wide as the column.
    const wide = (width - 14 + gap) / columns - gap;
    height = image ? Math.round(wide * image.rows / image.columns) + 28 + gap : tall + gap;
    const rows = Math.ceil(units.length / columns), visible = Math.ceil(box.clientHeight / height) + 1;
    space.style.height = `${rows * height}px`;
    box.style.maxHeight = `${(image ? Math.max(360, 5 * height) : 6 * height) + 8}px`;
    const first = Math.max(0, Math.floor(box.scrollTop / height) - 2), last = Math.min(rows, first + visible + 4);
    const key = `${first} ${last} ${columns} ${width}`;
    if (key === drawn && !force) return;
    drawn = key;
    const layer = layerOfNow(), hadFocus = list.contains(document.activeElement);
    list.style.transform = `translateY(${first * height}px)`;
    list.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    list.style.gridAutoRows = `${height - gap}px`;
    // Tiles that stay in view are not made again.
    const before = force ? new Map() : made;
    made = new Map();
    for (let at = first * columns; at < Math.min(units.length, last * columns); at++)
      made.set(at, before.get(at) ?? unitTile(layer, units[at], at, { total: units.length, sort }));
    list.replaceChildren(...made.values());
    const reached = reach();
    if (hadFocus) reached?.focus({ preventScroll: true });
  }
  // The tile that the tab key reaches: the current one, or else the first.
  function reach() {
    const tile = made.get(current) ?? list.firstElementChild;
    list.querySelectorAll("[tabindex='0']").forEach(other => other.tabIndex = -1);
    if (tile) tile.tabIndex = 0;
    return tile;
  }
  function move(to) {
    current = Math.max(0, Math.min(units.length - 1, to));
    const top = Math.floor(current / columns) * height;
    if (top < box.scrollTop) box.scrollTop = top;
    if (top + height > box.scrollTop + box.clientHeight) box.scrollTop = top + height - box.clientHeight;
    draw();
    reach()?.focus({ preventScroll: true });
  }
  box.addEventListener("scroll", () => draw(), { passive: true });
  new ResizeObserver(() => draw()).observe(box);
  list.addEventListener("focusin", event => {
    current = +(event.target.dataset.at ?? current);
    reach();
  });
  list.addEventListener("keydown", event => {
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns,
      PageDown: 4 * columns, PageUp: -4 * columns, Home: -units.length, End: units.length };
    if (!(event.key in steps) || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    move(current + steps[event.key]);
  });
  return { box, draw, show(next, order) {
    [units, sort] = [next, order];
    current = 0;
    box.scrollTop = 0;
    draw(true);
  } };
}

// The section with the gallery.
function gallerySection() {
  const state = { m: 0, l: codeLayer(report.models[0]), sort: layerOf(0, codeLayer(report.models[0])).telling ? "telling" : "frequent", query: "", dead: false };
  const layer = () => layerOf(state.m, state.l);
  const intro = el("p.soft"), tiles = tileList(layer), said = el("p.soft.found", { role: "status" }), left = el("p.note.left-out"), by = el("p.note.by");
  const dead = el("button", { type: "button", "aria-pressed": "false", onclick: () => {
    state.dead = !state.dead;
    dead.setAttribute("aria-pressed", state.dead);
    update();
  } });
  const which = el("select", { id: "unit-layer", onchange: () => {
    [state.m, state.l] = which.value.split(" ").map(Number);
    update();
  } }, report.models.flatMap((model, m) => model.layers.map((_, l) => el("option", { value: `${m} ${l}`,
    selected: m === state.m && l === state.l }, several ? `${model.name}, layer ${l + 1}` : `layer ${l + 1}`))));
  const sort = el("select", { id: "unit-sort", onchange: () => {
    state.sort = sort.value;
    update();
  } });
  const search = el("input", { id: "unit-search", type: "search", autocomplete: "off", spellcheck: "false",
    placeholder: report.names ? "number or token" : report.features ? "number or feature" : "number", oninput: () => {
      state.query = search.value;
      update();
    } });
  function update() {
    const now = layer(), units = foundUnits(now, state), count0 = now.isDead.size;
    const what = !image ? "" : " A tile shows " + (usualPicture(now) === "decoder" ? "what a unit writes to the output"
      : now.l === 0 ? "a unit's weights" : "the input of a given length that a unit responds to most") + `; gray is 0${isColored ? ", in red, green and blue" : ""}.`;
    intro.textContent = `What each unit of the network has learned.${what} Open one for its top samples, how strongly it `
      + "responds, and its neighbors.";
    sort.replaceChildren(...Object.entries(SORTS).filter(([name]) => (name !== "purity" || now.label) && (name !== "telling" || now.telling))
      .map(([name, [text]]) => el("option", { value: name, selected: name === state.sort }, text)));
    if (now.label) search.placeholder = `number${report.names ? ", token" : report.features ? ", feature" : ","} or label ${labelName(report.label_names ? 0 : 3)}`;
    by.textContent = `${SORTS[state.sort][2](now)}${count0 ? ` Dead: active in none of the ${counted(report.samples, "sample")}.` : ""}`;
    dead.hidden = count0 === 0;
    dead.textContent = `${state.dead ? "Hide" : "Show"} ${count(count0)} dead`;
    said.textContent = units.length === now.units ? counted(now.units, "unit") : `${count(units.length)} of ${counted(now.units, "unit")}`;
    left.hidden = now.kept === now.units;
    left.replaceChildren(`To keep the page small, the ${count(now.kept)} most frequent units are shown in full; the other `
      + `${count(now.units - now.kept)} have their numbers alone. `, el("code", null, report.models[0].model ? "--units" : "units="), " changes how many.");
    tiles.show(units, state.sort);
  }
  const section = sectionOf("units", "Units",
    intro,
    el("div.controls", null,
      several || report.models[0].layers.length > 1 ? el("label", null, "Layer ", which) : null,
      el("label", null, "Order ", sort), el("label", null, "Search ", search), dead, said),
    el("div.by-line", null, by, image ? legend(SCALE, "negative", "positive") : null), tiles.box, left);
  // A list that is on paper shows its beginning alone.
  addEventListener("beforeprint", () => { tiles.box.scrollTop = 0; tiles.draw(true); });
  return { section, update, neighbors: unit => {
    const units = foundUnits(layer(), state), at = units.indexOf(unit);
    return at < 0 ? [null, null] : [units[at - 1] ?? null, units[at + 1] ?? null];
  }, isShown: of => of.m === state.m && of.l === state.l };
}
