// A unit: its pictures, top samples, activations, nearest units, and what it writes.

// The other units whose weights to the output have the largest cosines with its own.
function nearestUnits(layer, unit, wanted) {
  const name = layer.l === codeLayer(report.models[layer.m]) ? `m${layer.m}.decoder0` : `${layer.name}.picture`;
  const matrix = array(name), row = layer.row.get(unit);
  if (!matrix || row === undefined) return [];
  const columns = matrix.length / layer.kept, own = rowOf(matrix, row, columns);
  const products = new Float64Array(layer.kept), lengths = new Float64Array(layer.kept);
  for (let r = 0, at = 0; r < layer.kept; r++) {
    let product = 0, length = 0;
    for (let i = 0; i < columns; i++, at++) {
      product += matrix[at] * own[i];
      length += matrix[at] * matrix[at];
    }
    products[r] = product;
    lengths[r] = Math.sqrt(length);
  }
  return Array.from(layer.keptUnits, (other, r) => ({ unit: other, cosine: products[r] / (lengths[r] * lengths[row]) }))
    .filter(near => near.unit !== unit && Number.isFinite(near.cosine))
    .sort((a, b) => b.cosine - a.cosine || a.unit - b.unit).slice(0, wanted);
}

// How often a unit has which activation, over powers of ten.
function unitHistogram(layer, unit) {
  const row = layer.row.get(unit), all = layer.get("histogram"), bins = all.length / layer.kept;
  const [low, high] = layer.histogram, counts = Array.from(rowOf(all, row, bins));
  if (!counts.some(n => n > 0)) return null;
  const bars = trimmed({ low, high, counts });
  const series = [{ color: several ? layer.m % COLORS : 0, ...histogramSeries(`unit ${unit}`, bars, 1, v => 10 ** v) }];
  const isSigned = report.models[layer.m].evaluation.hidden_layers[layer.l].histogram.low < 0;
  const name = isSigned ? "size of the activation, above or below 0" : "activation, where it is active";
  return chart({ title: "Its activations", isAlone: true, x: { name, log: true, fixed: true },
    y: { name: "samples", whole: true }, series });
}

// A unit's words, for a list of units.
function nearWords(layer, unit) {
  const words = wordsOf(layer, unit, 3);
  return words.length ? el("span.words", null, words.join(" · ")) : null;
}

const sampleName = sample => nameOf(sample) === null ? `sample ${numberOf(sample)}` : `“${pieceOf(nameOf(sample)).text}”, sample ${numberOf(sample)}`;

// A link to a sample if the page has it, its text alone otherwise.
function sampleLink(m, sample, attributes, ...children) {
  const place = placeOf(sample);
  return place === undefined ? el("div.sample", attributes, ...children)
    : el("a.sample", { href: `#sample-${m}-${place}`, ...attributes }, ...children);
}

function topSamples(layer, unit) {
  const tops = topOf(layer, unit), { m } = layer;
  if (!tops.length) return el("p.soft", null, `It is active in none of the ${counted(report.samples, "sample")}.`);
  if (image) {
    const shown = tops.map(top => {
      const place = placeOf(top.sample), label = `${sampleName(top.sample)}, activation ${short(top.value)}`;
      return el("li", null, sampleLink(m, top.sample, { title: label },
        place === undefined ? el("span.blank") : samplePicture(m, place, label), el("span", null, short(top.value)),
        nameOf(top.sample) === null ? null : el("span.name", null, nameOf(top.sample))));
    });
    return el("ol.top-images", null, shown);
  }
  const row = layer.row.get(unit), width = 2 * report.context + 1;
  const isCode = layer.l === codeLayer(report.models[m]), shares = isCode && array(`m${m}.context`);
  const lines = tops.map(top => {
    const start = (row * TOP + top.rank) * width;
    const shade = at => shares && report.context ? shares[start + at - top.sample + report.context] / 255
      : at === top.sample ? Math.abs(top.value / layer.max[unit]) : 0;
    const title = (at, share) => share > 0 ? `activation ${short(share * layer.max[unit])}` : null;
    const text = report.names ? textAround(top.sample, report.context, shade, title) : `sample ${numberOf(top.sample)}`;
    return el("li", null, sampleLink(m, top.sample, { title: sampleName(top.sample) },
      el("span.value", null, short(top.value)), text));
  });
  return el("ol.top-lines", null, lines);
}

// What a unit's largest activation changes in the output of a decoder of several layers, all others being off.
function largestChange(layer, unit) {
  const decoder = decoderOf(layer.m, null), without = decoder.base.slice(), sums = decoder.base.slice();
  decoder.add(sums, { unit, value: layer.max[unit] });
  const before = decoder.finish(without);
  return decoder.finish(sums).map((value, i) => value - before[i]);
}

// What a unit adds to the output: a picture, or the features that it adds most to.
function writes(layer, unit) {
  const model = report.models[layer.m], row = layer.row.get(unit);
  if (layer.l !== codeLayer(model) || !model.decoder || row === undefined) return null;
  const isOne = model.decoder.length === 1;
  const weights = isOne ? signedRow(`m${layer.m}.decoder0`, row, outputs(model)) : largestChange(layer, unit);
  if (isImageSize(outputs(model))) return el("figure", null, signedPicture(`what unit ${unit} writes`, weights),
    el("figcaption", null, isOne ? "writes to the output" : "changes in the output, alone at its maximum"));
  const order = largestOf(weights, 8), largest = Math.abs(order[0]?.weight ?? 1);
  return el("div.bars", null, el("h4", null, "Writes to the output"),
    el("p.note", null, `The features that ${isOne ? "an activation of 1" : "its largest activation alone"} changes most.`),
    order.map(({ feature, weight }) => bar(model.targets ? `feature ${feature}` : featureName(feature), Math.abs(weight) / largest,
      `${weight > 0 ? "+" : ""}${short(weight)}`, { class: weight < 0 ? "bar-row negative" : "bar-row" })));
}

function labelMix(layer, unit) {
  const counts = layer.classes ? layer.get("labels") : null, row = layer.row.get(unit);
  if (!counts || row === undefined) return null;
  const own = Array.from(rowOf(counts, row, layer.classes), (n, label) => ({ n, label })).filter(of => of.n > 0);
  const all = own.reduce((sum, of) => sum + of.n, 0);
  const most = own.sort((a, b) => b.n - a.n).slice(0, 10);
  return all ? el("div.bars", null, el("h4", null, "Labels of the samples in which it is active"),
    most.map(({ n, label }) => bar(labelName(label), n / all, percent(n / all)))) : null;
}

function facts(list) {
  return el("dl.facts", null, list.filter(Boolean).map(([name, value]) => el("div", null, el("dt", null, name), el("dd", null, value))));
}

// The content of the dialog for a unit: title and body.
function unitView(m, l, unit) {
  const layer = layerOf(m, l), model = report.models[m];
  const isKept = layer.row.has(unit), isDead = layer.isDead.has(unit);
  const near = isKept ? nearestUnits(layer, unit, 6) : [];
  const responds = unitPicture(layer, unit, "picture");
  const words = wordsOf(layer, unit, 4);
  const where = [words.length ? (report.names ? `“${words.join("”, “")}”` : words.join(", ")) : null, several ? model.name : null, model.layers.length > 1 ? `layer ${l + 1}` : null].filter(Boolean).join(", ");
  const pictures = el("div.pictures", null,
    responds ? el("figure", null, responds, el("figcaption", null, l === 0 ? "responds to: its weights" : "responds to most")) : null,
    isImageSize(outputs(model)) ? writes(layer, unit) : null);
  const numbers = facts([
    ["active in", isDead ? "no sample" : percent(layer.frequency[unit])],
    isDead ? null : ["samples", count(activeOf(layer, unit))],
    ["largest", short(layer.max[unit])],
    ["mean", short(layer.mean[unit])],
    layer.label && !isDead ? ["mostly label", `${labelName(layer.label[unit])}, ${percent(layer.purity[unit])}`] : null,
  ]);
  const neighbors = near.length ? el("div", null, el("h4", null, "Nearest units"), el("div.near", null, near.map(of => el("a.near-unit",
    { href: unitPath(layer, of.unit), title: `cosine ${short(of.cosine)}` },
    unitPicture(layer, of.unit), el("b", null, String(of.unit)), nearWords(layer, of.unit),
    el("span.cosine", null, of.cosine.toFixed(2).replace("-", "−")))))) : null;
  const histogram = isKept && !isDead ? unitHistogram(layer, unit) : null;
  const written = isImageSize(outputs(model)) ? null : writes(layer, unit);
  const left = el("div", null, pictures.children.length ? [pictures, legend(SCALE, "negative", "positive")] : null, image ? numbers : null, histogram, image ? null : written);
  const right = el(`div${image ? "" : ".lead"}`, null,
    isKept ? [el("div.head-line", null, el("h4", null, "Top samples"), report.context && !isDead && !image
      ? legend("shade", "activation 0", short(layer.max[unit])) : null), topSamples(layer, unit)]
      : el("p.soft", null, "To keep the page small, this unit has its numbers alone. ", el("code", null, "--units"),
        " changes how many have more."),
    labelMix(layer, unit), neighbors, image ? written : null);
  return { title: `Unit ${unit}`, where, body: el("div.view", null, image ? null : numbers, left, right) };
}
