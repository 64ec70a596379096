// The data of the page: facts as JSON, and arrays, which are one compressed block.

const report = JSON.parse(document.getElementById("sae-report").textContent);
const TYPES = { f32: Float32Array, u32: Uint32Array, u8: Uint8Array, i8: Int8Array };
let block = null;

// Unpacks the arrays.
async function loadArrays() {
  const text = atob(document.getElementById("sae-arrays").textContent.trim());
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  block = await new Response(stream).arrayBuffer();
}

// The array of this name, or null.
function array(name) {
  const place = report.arrays[name];
  if (!place) return null;
  const [kind, start, count] = place;
  return new TYPES[kind](block, start, count);
}

// A row of a matrix of `columns` numbers.
const rowOf = (matrix, row, columns) => matrix.subarray(row * columns, (row + 1) * columns);

// A row of signed numbers of 8 bits with its scale, as numbers.
function signedRow(name, row, columns) {
  const scale = array(name + ".scale")[row];
  return Float32Array.from(rowOf(array(name), row, columns), v => v * scale);
}

// A row of numbers of 8 bits with its range, as numbers.
function rangedRow(name, row, columns) {
  const [low, step] = rowOf(array(name + ".range"), row, 2);
  return Float32Array.from(rowOf(array(name), row, columns), v => low + v * step);
}

const inputs = model => model.settings.layers[0];
const outputs = model => model.settings.layers.at(-1);
const codeLayer = model => model.layers.length - 1;

// What is known of a layer's units, with their arrays.
const layers = new Map();
function layerOf(m, l) {
  const name = `m${m}.l${l}`;
  if (!layers.has(name)) {
    const get = what => array(`${name}.${what}`);
    const kept = get("kept");
    layers.set(name, {
      ...report.models[m].layers[l], m, l, name, get, keptUnits: kept,
      row: new Map(Array.from(kept, (unit, row) => [unit, row])),
      isDead: new Set(get("dead")),
      frequency: get("frequency"), mean: get("mean"), max: get("max"), out: get("out"),
      purity: get("purity"), label: get("label"), telling_scores: get("telling"),
    });
  }
  return layers.get(name);
}

// Top samples of a unit in full: numbers and activations.
const TOP = 10;
function topOf(layer, unit) {
  const row = layer.row.get(unit);
  if (row === undefined) return [];
  const samples = rowOf(layer.get("top"), row, TOP), values = rowOf(layer.get("top.value"), row, TOP);
  return Array.from(samples, (sample, rank) => ({ sample, value: values[rank], rank })).filter(top => top.value !== 0);
}

// The name of a label, or its number.
const labelName = label => report.label_names?.[label] ?? String(label);

// The number of a sample in its files.
const numberOf = sample => array("numbers")?.[sample] ?? sample;

// Names of samples, by runs of consecutive ones.
function nameOf(sample) {
  for (const [start, names] of report.names ?? [])
    if (sample >= start && sample < start + names.length) return names[sample - start];
  return null;
}

// A piece of a word as people read it, and whether a space is before it: ## continues a word in WordPiece; Ġ and ▁
// begin one in byte-level BPE and SentencePiece.
const beginsWords = (report.names ?? []).some(([, names]) => names.some(name => /^[Ġ▁]/.test(name)));
function pieceOf(name) {
  const text = name.replace(/^##/, "").replace(/^[Ġ▁]/, "").replace(/Ċ/g, "⏎") || "␣";
  const isNew = beginsWords ? /^[Ġ▁]/.test(name) : !name.startsWith("##");
  return { text, space: isNew };
}

// The place of a sample among those in the page, or undefined.
let places = null;
function placeOf(sample) {
  places ??= new Map(Array.from(array("chosen"), (number, place) => [number, place]));
  return places.get(sample);
}

// The units of a sample's code that are in the page, the largest activations first.
function codeOf(m, place) {
  const [start, end] = array(`m${m}.code.start`).subarray(place, place + 2);
  const units = array(`m${m}.code.unit`), values = array(`m${m}.code.value`);
  const list = [];
  for (let at = start; at < end; at++) list.push({ unit: units[at], value: values[at] });
  return list.sort((a, b) => Math.abs(b.value) - Math.abs(a.value) || a.unit - b.unit);
}

const FUNCTIONS = {
  sigmoid: z => 1 / (1 + Math.exp(-z)), tanh: Math.tanh, relu: z => Math.max(0, z),
  "leaky-relu": z => z < 0 ? 0.01 * z : z, "saturating-linear": z => Math.min(1, Math.max(0, z)), linear: z => z,
};

// The decoder with the first sums of a sample: biases and units that are not in the page, or of none: biases. Then
// units are added.
function decoderOf(m, place) {
  const model = report.models[m], layer = layerOf(m, codeLayer(model)), name = `m${m}`;
  if (!model.decoder) return null;
  const weights = array(`${name}.decoder0`), scales = array(`${name}.decoder0.scale`);
  const bias = array(`${name}.decoder0.bias`), width = bias.length;
  const base = Float64Array.from(bias);
  if (place !== null && array(`${name}.rest`)) rangedRow(`${name}.rest`, place, width).forEach((v, i) => base[i] += v);
  const add = (sums, { unit, value }, sign = 1) => {
    const row = layer.row.get(unit), factor = sign * value * scales[row];
    for (let i = 0, at = row * width; i < width; i++, at++) sums[i] += factor * weights[at];
  };
  // The output of the first layer's sums.
  const finish = sums => {
    let values = sums.map(FUNCTIONS[model.decoder[0]]);
    for (let l = 1; l < model.decoder.length; l++) {
      const next = Float64Array.from(array(`${name}.decoder${l}.bias`)), count = next.length;
      const rows = array(`${name}.decoder${l}`), scale = array(`${name}.decoder${l}.scale`);
      for (let u = 0; u < values.length; u++) {
        const factor = values[u] * scale[u];
        if (factor) for (let i = 0, at = u * count; i < count; i++, at++) next[i] += factor * rows[at];
      }
      values = next.map(FUNCTIONS[model.decoder[l]]);
    }
    return values;
  };
  return { base, add, finish };
}

function squaredError(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] - b[i]) ** 2;
  return sum / a.length;
}
