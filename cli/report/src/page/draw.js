// Elements, numbers as text, and pictures.

// An element: el("a.tile", { href: "#" }, "text", child).
function el(what, attributes, ...children) {
  const [tag, ...classes] = what.split(".");
  const svg = ["svg", "g", "path", "line", "rect", "circle", "text", "title"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  if (classes.length) element.setAttribute("class", classes.join(" "));
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.startsWith("aria-") && value !== null && value !== undefined) element.setAttribute(name, String(value));
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

// A number with three significant digits.
function short(value) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-4) return value.toExponential(1).replace("e+", "e").replace("-", "−");
  const text = Number.isInteger(value) ? String(value) : value.toFixed(Math.max(0, 2 - Math.floor(Math.log10(size))));
  return text.replace("-", "−");
}

const count = value => value < 1e4 ? String(value) : value.toLocaleString("en").replaceAll(",", "\u202f");
const counted = (number, what) => `${count(number)} ${what}${number === 1 ? "" : "s"}`;
const percent = share => share === 0 ? "0\u00a0%" : share < 1e-4 ? "< 0.01\u00a0%" : `${short(100 * share)}\u00a0%`;

const image = report.image;
// Pictures of signed numbers have middle gray for 0; in color each channel has.
const isColored = image !== null && image.channels > 1, SCALE = isColored ? "color" : "gray";
const isImageSize = numbers => image !== null && image.rows * image.columns * image.channels === numbers;

// A canvas of an image's size whose pixels are (values) => 0..255, gray or colored.
function picture(label, values, gray, size = image) {
  const { rows, columns, channels, planar } = size;
  const canvas = el("canvas", { width: columns, height: rows, role: "img", "aria-label": label });
  const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
  const area = rows * columns;
  for (let at = 0; at < area; at++) {
    for (let c = 0; c < 3; c++) {
      const channel = channels === 1 ? 0 : c;
      pixels.data[4 * at + c] = gray(values[planar ? channel * area + at : at * channels + channel]);
    }
    pixels.data[4 * at + 3] = 255;
  }
  context.putImageData(pixels, 0, 0);
  return canvas;
}

// Weights: 0 is middle gray, the largest magnitude white or black.
function signedPicture(label, values, size) {
  let max = 1e-30;
  for (const value of values) max = Math.max(max, Math.abs(value));
  return picture(label, values, value => 127.5 + 127.5 * value / max, size);
}

// The ends of what is drawn as black and white in a model's samples.
const ranges = new Map();
function rangeOf(m, what) {
  const key = `m${m}.${what}`;
  if (!ranges.has(key)) {
    let low = 0, high = 1;
    if (!report.models[m].is_unit) {
      const ends = array(key + ".range");
      low = Infinity, high = -Infinity;
      for (let at = 0; at < ends.length; at += 2) {
        low = Math.min(low, ends[at]);
        high = Math.max(high, ends[at] + 255 * ends[at + 1]);
      }
    }
    ranges.set(key, [low, high]);
  }
  return ranges.get(key);
}

function valuePicture(label, values, [low, high], size) {
  return picture(label, values, value => 255 * (value - low) / (high - low), size);
}

// A sample of a model's data as a picture.
function samplePicture(m, place, label) {
  return valuePicture(label, rangedRow(`m${m}.x`, place, inputs(report.models[m])), rangeOf(m, "x"));
}

// Numbers that are no image as a strip of colors: blue below 0, white (or black, on dark) at 0, orange above.
function strip(label, values, max) {
  const canvas = el("canvas.strip", { width: values.length, height: 1, role: "img", "aria-label": label });
  const context = canvas.getContext("2d"), pixels = context.createImageData(values.length, 1);
  const paper = isDark() ? [21, 21, 23] : [255, 255, 255];
  values.forEach((value, at) => {
    const full = value < 0 ? [40, 110, 190] : [214, 110, 20];
    const share = Math.min(1, Math.sqrt(Math.abs(value) / max));
    for (let c = 0; c < 3; c++) pixels.data[4 * at + c] = paper[c] + share * (full[c] - paper[c]);
    pixels.data[4 * at + 3] = 255;
  });
  context.putImageData(pixels, 0, 0);
  return canvas;
}

function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

// What colors stand for: the name of the low end, a strip of them, the name of the high end.
function legend(colors, low, high) {
  return el("span.legend", { role: "img", "aria-label": `colors from ${low} to ${high}` }, el("span", null, low), el(`i.scale.${colors}`, { "aria-hidden": "true" }), el("span", null, high));
}

// A row of text with a bar of a share.
function bar(name, share, text, attributes) {
  const width = `${Math.max(0, Math.min(1, share)) * 100}%`;
  return el("div.bar-row", attributes, el("span.bar-name", null, name),
    el("span.bar", { "aria-hidden": "true" }, el("i", { style: `width:${width}` })), el("span.bar-text", null, text));
}

// Samples before and after one, as text; `shade` is the share of an activation for each place.
function textAround(sample, context, shade, links, after = context) {
  const text = el("span.context");
  for (let at = sample - context; at <= sample + after; at++) {
    const name = at < 0 || at >= report.samples ? null : nameOf(at);
    if (name === null) continue;
    const { text: word, space } = pieceOf(name), share = shade ? shade(at) : 0;
    const style = share > 0 ? `--share:${share.toFixed(3)}` : null;
    const what = at === sample ? "b.token" : "span.token";
    text.append(space && text.childNodes.length ? " " : "", el(what, { style, title: links?.(at, share) }, word));
  }
  return text;
}
