// A sample: the units that are active in it, and its reconstruction without some of them.

// The samples to pick from.
function samplesSection() {
  const shown = Array.from(array("chosen").subarray(0, report.first));
  const which = shown.length < report.samples ? `The first ${count(shown.length)} of ${count(report.samples)} samples`
    : shown.length > 1 ? `All ${count(shown.length)} samples` : "The only sample";
  const labels = array("labels");
  const intro = `${which}. Open one to see its active units and what the reconstruction `
    + `owes to each: switch units off and it is redrawn.${labels && !image && !report.names ? " Below its number is its label." : ""}`;
  let list;
  if (report.names && !image) {
    list = el("p.running");
    shown.forEach((sample, place) => {
      const { text, space } = pieceOf(nameOf(sample) ?? `sample ${numberOf(sample)}`);
      list.append(space && place ? " " : "", el("a.token", { href: `#sample-0-${place}`, title: `sample ${numberOf(sample)}` }, text));
    });
  } else if (image) {
    list = el("div.sample-grid", { role: "group", "aria-label": "Samples" }, shown.map((sample, place) => el("a", { href: `#sample-0-${place}`,
      "aria-label": sampleText(place) }, samplePicture(0, place, ""))));
  } else {
    list = el("div.chips", null, shown.map((sample, place) => el("a.chip", { href: `#sample-0-${place}`, "aria-label": sampleText(place) },
      String(numberOf(sample)), labels ? el("span", null, labelName(labels[place])) : null)));
  }
  return sectionOf("samples", "Samples", el("p.soft", null, intro), list);
}

function sampleText(place) {
  const labels = array("labels"), sample = array("chosen")[place], name = nameOf(sample);
  return `${name === null ? "" : name + ", "}sample ${numberOf(sample)}${labels ? `, label ${labelName(labels[place])}` : ""}`;
}

// A table's row and its reconstruction, feature by feature, in the units of the data where these are known.
function featureTable(target) {
  const { lines } = report, inData = (value, at) => lines ? lines.zero[at] + lines.step[at] * value : value;
  const rows = el("tbody"), box = el("div.table.features", null, el("table", null, el("thead", null, el("tr", null,
    ["feature", "sample", "redrawn", "differs"].map(text => el("th", { scope: "col" }, text)))), rows));
  const largest = Math.max(...target.map(Math.abs), 1e-9);
  return { box, show(values) {
    rows.replaceChildren(...Array.from(target, (value, at) => {
      const difference = values[at] - value;
      return el("tr", null, el("th", { scope: "row" }, featureName(at)),
        el("td", null, short(inData(value, at))), el("td", null, short(inData(values[at], at))),
        el(`td${difference < 0 ? ".negative" : ""}`, { title: `${difference > 0 ? "+" : ""}${short(inData(values[at], at) - inData(value, at))}` },
          el("span.bar", { "aria-hidden": "true" }, el("i", { style: `width:${100 * Math.min(1, Math.abs(difference) / largest)}%` }))));
    }));
  } };
}

// What is drawn of a sample: the sample, the reconstruction, and their difference.
function sampleFigures(m, target) {
  const what = report.models[m].targets ? "y" : "x", range = rangeOf(m, what);
  const largest = target.reduce((max, v) => Math.max(max, Math.abs(v)), 1e-9);
  const isImage = isImageSize(target.length);
  if (report.features && what === "x") return featureTable(target);
  const draw = isImage
    ? (values, label, isSigned) => isSigned ? signedDifference(label, values, range) : valuePicture(label, values, range)
    : (values, label) => strip(label, values, largest);
  const places = ["sample", "reconstruction", "difference"].map(name => {
    const text = name === "sample" && what === "y" ? "target" : name;
    return { name: text, figure: el("figure", null, el("span"), el("figcaption", null, text)) };
  });
  const meaning = isImage ? el("div.meaning-line", null, el("span.note", null, "Difference: the reconstruction is"), legend(SCALE, isColored ? "lower" : "darker", isColored ? "higher" : "brighter"))
    : legend("signed", `−${short(largest)}`, short(largest));
  const box = el("div", null, el(`div.pictures.three${isImage ? "" : ".strips-only"}`, null, places.map(place => place.figure)), meaning);
  return { box, show(values) {
    const difference = values.map((v, i) => v - target[i]);
    [target, values, difference].forEach((numbers, at) =>
      places[at].figure.firstChild.replaceWith(draw(numbers, places[at].name, at === 2)));
  } };
}

// A difference: gray is 0, black and white are the data's range.
function signedDifference(label, values, [low, high]) {
  return picture(label, values, v => 127.5 + 127.5 * v / (high - low));
}

// The content of the dialog for a sample.
function sampleView(m, place) {
  const model = report.models[m], layer = layerOf(m, codeLayer(model)), code = codeOf(m, place);
  const sample = array("chosen")[place], name = nameOf(sample);
  const title = name === null ? `Sample ${numberOf(sample)}` : image ? name : `“${pieceOf(name).text}”`;
  const labels = array("labels");
  const where = [name === null ? null : `sample ${numberOf(sample)}`, labels ? `label ${labelName(labels[place])}` : null, several ? model.name : null]
    .filter(Boolean).join(", ");
  const context = name === null || image ? null : el("p.around", null, textAround(sample, Math.max(8, report.context), null));
  const models = several ? el("p.models", null, "Model ", report.models.map((other, at) => el("a.choice",
    { href: `#sample-${at}-${place}`, "aria-current": at === m ? "true" : null }, other.name))) : null;
  const decoder = decoderOf(m, place);
  if (!decoder) {
    const body = el("div.view", null, el("div", null, models, context, image ? samplePicture(m, place, title) : null,
      el("p.soft", null, "The page cannot redraw this model's output without some "
        + "units: the decoder is too large, or there is a skip connection.")),
      el("div", null, unitTable(layer, code, null)));
    return { title, where, body };
  }
  return { title, where, body: switches(m, place, { layer, code, decoder, context, models }) };
}

// A change with two digits: in percent, or how many times of what it was.
const roughly = share => Math.abs(share) < 5e-4 ? "unchanged" : share > 9 ? `× ${+(1 + share).toPrecision(2)}` : (share < 0 ? "−" : "+") + `${+(100 * Math.abs(share)).toPrecision(2)}\u00a0%`;

// The table of a sample's units. `owed` is how much the error rises without each.
function unitTable(layer, code, owed, onSwitch) {
  const largest = owed ? Math.max(...owed, 1e-30) : 1, strongest = Math.max(...code.map(of => Math.abs(of.value)), 1e-30);
  const rows = code.map((of, at) => {
    const box = onSwitch ? el("input", { type: "checkbox", checked: true, "aria-label": `unit ${of.unit} on`,
      onchange: () => onSwitch(at, box.checked) }) : null;
    const rise = owed ? owed[at] : null;
    return el("li", null, box, el("a.near-unit", { href: unitPath(layer, of.unit), "aria-label": `unit ${of.unit}` },
      unitPicture(layer, of.unit), el("b", null, String(of.unit)), nearWords(layer, of.unit)),
      el("span.owed", null,
        el("span.bar", { "aria-hidden": "true" }, el("i", { style: `width:${100 * Math.max(0, rise === null ? Math.abs(of.value) / strongest : rise / largest)}%` })),
        el("span.owed-text", null, el("span.spare", null, "activation "), short(of.value), rise === null ? null : ` · error ${roughly(rise)}`)));
  });
  return el("ul.sample-units", null, rows);
}

// Boxes that switch units off, a slider that keeps the most important ones, and the reconstruction.
function switches(m, place, { layer, code, decoder, context, models }) {
  const model = report.models[m], target = rangedRow(`m${m}.${model.targets ? "y" : "x"}`, place, outputs(model));
  const all = decoder.base.slice();
  code.forEach(of => decoder.add(all, of));
  const whole = squaredError(decoder.finish(all), target);
  // How much the error rises, as a share of it, if one unit alone is off.
  let owed = code.map(of => {
    const sums = all.slice();
    decoder.add(sums, of, -1);
    return squaredError(decoder.finish(sums), target) / Math.max(whole, 1e-12) - 1;
  });
  const order = owed.map((_, at) => at).sort((a, b) => owed[b] - owed[a] || a - b);
  code = order.map(at => code[at]);
  owed = order.map(at => owed[at]);
  const isOn = code.map(() => true), figures = sampleFigures(m, target);
  const said = el("p.error-now", { role: "status" });
  const slider = el("input", { type: "range", min: 0, max: code.length, value: code.length, id: "keep", oninput: () => {
    isOn.forEach((_, at) => isOn[at] = at < +slider.value);
    redraw();
  } });
  const table = unitTable(layer, code, owed, (at, on) => {
    isOn[at] = on;
    redraw();
  });
  function redraw() {
    const sums = decoder.base.slice();
    code.forEach((of, at) => isOn[at] && decoder.add(sums, of));
    const values = decoder.finish(sums), error = squaredError(values, target), on = isOn.filter(Boolean).length;
    figures.show(values);
    [...table.querySelectorAll("input")].forEach((box, at) => box.checked = isOn[at]);
    [...table.children].forEach((row, at) => row.classList.toggle("off", !isOn[at]));
    slider.value = on;
    const change = on === code.length ? "" : `, ${short(error / Math.max(whole, 1e-12))} times that of all`;
    said.replaceChildren(el("b", null, `${on} of ${counted(code.length, "unit")} on`), ` Mean squared error ${short(error)}${change}.`);
  }
  redraw();
  const rest = array(`m${m}.rest`) ? " Units that the page does not have in full stay on." : "";
  return el("div.view", null,
    el("div.stays", null, models, context, figures.box, said,
      el("label.slider", { for: "keep" }, "Keep the most important units", slider),
      el("p.note", null, `Most important are the units without which the error rises most. Weights are rounded to 8 bits here.${rest}`)),
    el("div", null, el("h4", null, "Active units"),
      el("p.note", null, "Each with its activation, and how much the error rises if it alone is off."), code.length ? table : el("p.soft", null, "No unit of the page is active in it.")));
}
