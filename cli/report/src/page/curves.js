// Which charts the page has: all models in the same ones.

const COLORS = 6;
const several = report.models.length > 1;
const named = (model, text) => several ? (text ? `${model.name}: ${text}` : model.name) : text || model.name;

// Lines over the steps of the trainings: of each model these columns of its history, [column, text, dashed].
function overSteps(title, name, columns, options = {}) {
  const series = [];
  report.models.forEach((model, m) => {
    const { history } = model;
    columns.forEach(([column, text, dashed], at) => {
      const values = history?.[column];
      // Terms that are 0 all the time, in all models, say nothing.
      if (!values || !report.models.some(other => other.history?.[column]?.some(v => v))) return;
      const points = history.step.map((step, row) => [step, values[row]]).filter(p => Number.isFinite(p[1]));
      series.push({ name: named(model, text), model: model.name, kind: text, color: (several ? m : at) % COLORS, dashed: dashed || several && at > 0,
        mark: "line", points });
    });
  });
  // A number that the settings fix, such as the K of top-k, has no course.
  const isFixed = options.varies && series.every(({ points }) => points.every(p => Math.abs(p[1] - points[0][1]) <= 1e-3 * Math.abs(p[1])));
  if (!series.length || isFixed) return null;
  return chart({ title, x: { name: "step" }, y: { name, log: options.log, whole: options.whole }, series, note: options.note });
}

function trainingCharts() {
  const terms = [["objective", "objective"], ["loss", "loss"], ["sparsity_penalty", "sparsity penalties"],
    ["weight_decay", "weight decay"], ["auxiliary", "auxiliary loss"]];
  const isEqual = (a, b) => a && b && a.every((value, at) => Math.abs(value - b[at]) <= 1e-9 * Math.abs(value));
  // Without other terms the loss is the objective.
  const isBare = report.models.every(({ history }) => !history || isEqual(history.objective, history.loss));
  const used = isBare || several ? terms.slice(0, 1) : terms;
  const known = ["step", "penalty_factor", "dead_units", "mean_activations", ...terms.map(term => term[0])];
  const extra = [...new Set(report.models.flatMap(model => Object.keys(model.history ?? {})))]
    .filter(column => !known.includes(column));
  const ofTest = extra.filter(column => /^(test|validation)_(objective|loss)$/.test(column));
  const layers = Math.max(...report.models.map(model => model.layers.length));
  const means = [];
  for (let l = 0; l < layers; l++) {
    report.models.forEach(({ history }) => {
      if (history) history[`mean_activation_${l + 1}`] = history.mean_activations[l];
    });
    means.push([`mean_activation_${l + 1}`, layers > 1 ? `layer ${l + 1}` : ""]);
  }
  const steered = report.models.some(({ settings }) => ![undefined, null, "none"].includes(settings.target));
  return [
    overSteps("Objective", "objective",
      [...used, ...ofTest.map(column => [column, column.replace("_", " "), true])],
      { log: true, note: report.models.some(model => model.history_of_batches)
        ? "Of the training batch of each point, with the weights of the terms."
        : "Means over the training batches between two points, with the weights of the terms." }),
    overSteps("Mean activation", "mean activation", means),
    overSteps("Dead units", "dead units", [["dead_units", ""]], { whole: true }),
    steered ? overSteps("Steered penalty weight", "times the setting", [["penalty_factor", ""]], { log: true }) : null,
    ...followedCharts(isBare),
    ...extra.filter(column => !ofTest.includes(column) && !FOLLOWED.includes(column)).map(column =>
      overSteps(sentence(column), column.replaceAll("_", " "), [[column, ""]])),
  ].filter(Boolean);
}

// The name of a column as a title.
const sentence = column => column[0].toUpperCase() + column.slice(1).replaceAll("_", " ");

// Columns that have charts of their own.
const FOLLOWED = ["l0", "test_l0", "test_squared_error", "test_explained_variance", "learning_rate", "gradient_norm",
  "revived_units"];

// Training batches and test samples in one chart where both are of the same quantity. `isBare`: the objective is the loss.
function followedCharts(isBare) {
  const isSquared = report.models.every(({ settings }) => settings.loss === "squared-error");
  const ofTest = ["test_squared_error", isSquared ? "test samples" : "", isSquared];
  const squared = isSquared ? [["loss", "training batches"], ofTest] : [ofTest];
  return [
    // The objective of nothing but squared errors is drawn already.
    isSquared && isBare ? null : overSteps(isSquared ? "Squared error" : "Test squared error",
      "mean squared error", squared, { log: true }),
    overSteps("Test explained variance", "explained variance", [["test_explained_variance", ""]]),
    overSteps("Active units per sample", "active units per sample (L0)",
      [["l0", "training batches"], ["test_l0", "test samples", true]], { varies: true }),
    overSteps("Learning rate", "learning rate", [["learning_rate", ""]]),
    overSteps("Length of the gradient", "length (L2 norm)", [["gradient_norm", ""]],
      { log: true, note: "Of the objective's gradient in a training batch, before clipping." }),
    overSteps("Revived units", "units revived so far", [["revived_units", ""]], { whole: true }),
  ];
}

// Several models have the colors that they have everywhere, and layers behind the first dashed lines; layers of one model
// have colors of their own.
const styleOf = (m, l) => ({ color: (several ? m : l) % COLORS, dashed: several && l > 0 });

// The bars of a histogram, as shares of all.
function histogramSeries(name, { low, high, counts }, all, of = v => v) {
  const edge = at => of(low + (high - low) * at / counts.length);
  const points = counts.map((n, at) => [edge(at), n / all]);
  return { name, mark: "bars", points: [...points, [edge(counts.length), 0]] };
}

// Without the empty bins at both ends.
function trimmed({ low, high, counts }) {
  const width = (high - low) / counts.length;
  const first = Math.max(0, counts.findIndex(n => n > 0) - 1);
  const last = Math.min(counts.length, counts.findLastIndex(n => n > 0) + 2);
  return { low: low + first * width, high: low + last * width, counts: counts.slice(first, last) };
}

// A sentence of numbers: of one layer alone the number, of several each with its name.
const ofEach = (text, notes) => {
  const isOne = !several && report.models[0].layers.length < 2;
  return notes.length ? `${text}${notes.map(([name, number]) => isOne ? number : `${number} (${name})`).join(", ")}.` : "";
};

function frequencyChart() {
  const series = [], notes = [];
  report.models.forEach((model, m) => model.evaluation.hidden_layers.slice(0, model.layers.length).forEach((layer, l) => {
    const { frequency_histogram: histogram, units } = layer;
    const name = named(model, model.layers.length > 1 ? `layer ${l + 1}` : "");
    if (histogram.counts.some(n => n > 0))
      series.push({ ...styleOf(m, l), ...histogramSeries(name, trimmed(histogram), 1, v => 100 * 10 ** v) });
    if (histogram.zeros) notes.push([name, `${count(histogram.zeros)} of ${counted(units, "unit")}`]);
  }));
  if (!series.length) return null;
  return chart({ title: "How often units are active", x: { name: "share of the samples, %", log: true,
    fixed: true, text: mark => `active in about ${percent(mark.point[0] / 100 * 10 ** (1 / 16))} of the samples` },
    y: { name: "units", whole: true }, series, note: `Each bar is the number of units that are active in that share of the samples.${ofEach(" Active in none of them: ", notes)}` });
}

function activationChart() {
  const series = [], notes = [];
  report.models.forEach((model, m) => model.evaluation.hidden_layers.slice(0, model.layers.length).forEach((layer, l) => {
    const all = layer.histogram.counts.reduce((sum, n) => sum + n, 0) + layer.histogram.zeros;
    const name = named(model, model.layers.length > 1 ? `layer ${l + 1}` : "");
    series.push({ ...styleOf(m, l), ...histogramSeries(name, layer.histogram, all) });
    if (layer.histogram.zeros) notes.push([name, percent(layer.histogram.zeros / all)]);
  }));
  return chart({ title: "How strong activations are", x: { name: "activation", fixed: true },
    y: { name: "share of all activations", log: true }, series, note: ofEach("Exactly 0, and not drawn: ", notes) });
}

// KL(rho || x), as in the objective.
const divergence = (rho, x) => rho * Math.log(rho / x) + (1 - rho) * Math.log((1 - rho) / (1 - x));

// The KL penalty as a curve, with the units at their mean activations; or these sorted.
function penaltyChart() {
  const curves = [], dots = [], lines = [];
  report.models.forEach((model, m) => model.layers.forEach((_, l) => {
    const layer = layerOf(m, l), rho = model.rho[l], text = model.layers.length > 1 ? `layer ${l + 1}` : "";
    const name = named(model, text), style = styleOf(m, l);
    if (rho === null) {
      if (layer.units < 2) return;
      const sorted = Array.from(layer.mean).sort((a, b) => b - a), every = Math.ceil(sorted.length / 500);
      const points = sorted.map((v, at) => [100 * (at + 0.5) / sorted.length, v]).filter((_, at) => at % every === 0);
      lines.push({ ...style, name, mark: "line", points });
      return;
    }
    const clamped = Array.from(layer.mean, v => Math.min(1 - 1e-6, Math.max(1e-6, v)));
    dots.push({ ...style, name, mark: "dots", points: clamped.map(v => [v, divergence(rho, v)]),
      titles: clamped.map((v, unit) => `unit ${unit}: mean activation ${short(v)}`) });
    if (curves.some(curve => curve.rho === rho)) return;
    const low = Math.min(rho, ...clamped), high = Math.max(rho, ...clamped);
    const points = Array.from({ length: 121 }, (_, i) => low * (high / low) ** (i / 120)).map(v => [v, divergence(rho, v)]);
    curves.push({ rho, name: `KL divergence, rho ${rho}`, color: 4, mark: "line", points });
  }));
  const charts = [];
  if (dots.length) charts.push(chart({ title: "Sparsity penalty by unit",
    x: { name: "mean activation of a unit", log: true }, y: { name: "KL divergence from the target" },
    series: [...curves, ...dots], note: "The penalty is the sum over the dots; the curve is 0 at the target activation rho." }));
  if (lines.length) charts.push(chart({ title: "Units by mean activation", x: { name: "units, the most active first, %" },
    y: { name: "mean activation" }, series: lines }));
  return charts;
}

function sectionOf(id, title, ...content) {
  return el("section", null, el("h2", { id }, title), ...content);
}

function curveSections() {
  const training = trainingCharts();
  return [
    sectionOf("training", "Training", training.length ? el("div.cards", null, training)
      : el("p", null, several ? "There are no curves, because no history file is beside any of the models."
        : "There are no curves, because no history file is beside the model.")),
    sectionOf("activity", "Activity", el("div.cards", null, [frequencyChart(), activationChart(), ...penaltyChart()].filter(Boolean))),
  ];
}
