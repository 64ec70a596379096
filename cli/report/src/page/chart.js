// Charts as SVG: hover or arrow keys for values, a switch between linear and logarithmic axes, series on and off.

const HEIGHT = 286, LEFT = 58, RIGHT = 14, UPPER = 30, LOWER = 44;

// `isWhole`: of numbers of things, of which there are no fractions.
function linearTicks(low, high, wanted, isWhole) {
  if (!(high > low)) [low, high] = low === 0 ? [0, 1] : [low - Math.abs(low) / 2, low + Math.abs(low) / 2];
  const rough = (high - low) / wanted, magnitude = 10 ** Math.floor(Math.log10(rough));
  const least = [1, 2, 5, 10].map(f => f * magnitude).find(s => s >= rough * 0.999), step = isWhole ? Math.max(1, least) : least;
  const ticks = [];
  for (let at = Math.floor(low / step + 1e-9); at <= Math.ceil(high / step - 1e-9); at++) ticks.push(at * step);
  return ticks;
}

function logarithmicTicks(low, high) {
  if (high > low && high < 4 * low) return linearTicks(low, high, 5).filter(tick => tick > 0);
  const first = Math.floor(Math.log10(low) + 1e-9), last = Math.max(first + 1, Math.ceil(Math.log10(high) - 1e-9));
  const every = Math.ceil((last - first) / 6), factors = last - first <= 2 ? [1, 2, 5] : [1];
  const ticks = [];
  for (let power = first; power <= last; power += every) for (const f of factors) ticks.push(f * 10 ** power);
  while (ticks.length > 2 && ticks[1] <= low) ticks.shift();
  while (ticks.length > 2 && ticks.at(-2) >= high) ticks.pop();
  return ticks;
}

// `isBars`: on a logarithmic axis the smallest number is above the floor, so that a bar of it is seen.
function axis(values, isLog, from, to, wanted, { isBars, isWhole } = {}) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (Number.isFinite(value) && (!isLog || value > 0)) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) [low, high] = [isLog ? 0.1 : 0, 1];
  const ticks = isLog ? logarithmicTicks(low, high) : linearTicks(low, high, wanted, isWhole);
  const place = isLog ? Math.log10 : v => v, last = place(ticks.at(-1));
  let first = place(ticks[0]);
  if (isBars && isLog) first = Math.min(first, place(low) - 0.06 * (last - first));
  return { ticks, at: value => from + (place(value) - first) / (last - first) * (to - from) };
}

const RAISED = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };
const tick = value => {
  const size = Math.abs(value);
  if (size && (size >= 1e5 || size < 1e-3)) {
    const [mantissa, exponent] = value.toExponential(0).split("e"), power = `10${[...exponent].map(c => RAISED[c] ?? "").join("")}`;
    return (mantissa === "1" ? power : `${mantissa}·${power}`).replace("-", "−");
  }
  return String(+value.toPrecision(6)).replace("-", "−");
};

// A chart of { title, note, x: { name, log, text }, y: { name, log }, series: [{ name, color, dashed, mark, points,
// titles }] }. Points are [x, y]; marks are line, dots, and bars (from each x to the next).
function chart(what) {
  const state = { x: !!what.x.log, y: !!what.y.log, hidden: new Set() };
  // The values are read beside the crosshair, over the chart, so that nothing moves for them.
  const box = el("div.plot"), said = el("p.said", { role: "status" });
  const numbers = el("pre", { tabindex: 0, hidden: true, "aria-label": `Numbers of: ${what.title}` });
  const tools = el("div.tools", null, axisButtons(what, state, draw), numbersButton(what, numbers));
  const figure = el("figure.chart", null, el("figcaption", null, el("span", null, what.title), tools),
    seriesButtons(what, state, draw), el("div.plot-frame", null, box, said), what.note ? el("p.note", null, what.note) : null, numbers);

  function draw() {
    const width = Math.max(260, box.clientWidth || 460);
    const points = what.series.flatMap((series, at) => state.hidden.has(at) ? [] : series.points);
    const x = axis(points.map(p => p[0]), state.x, LEFT, width - RIGHT, width < 400 ? 4 : 6);
    const y = axis(points.map(p => p[1]), state.y, HEIGHT - LOWER, UPPER, 5,
      { isBars: what.series.some(series => series.mark === "bars"), isWhole: what.y.whole });
    const svg = el("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, role: "img", tabindex: 0,
      "aria-label": `${what.title}. ${what.y.name} over ${what.x.name}. Arrow keys read values.` });
    svg.append(...grid(what, x, y, width));
    const marks = [];
    what.series.forEach((series, at) => {
      if (!state.hidden.has(at)) svg.append(...drawSeries(series, x, y, state, marks));
      // More than two areas cover each other.
      if (what.series.length > 2) svg.querySelectorAll(".area").forEach(area => area.remove());
    });
    readValues(svg, marks, what, said);
    box.replaceChildren(svg);
  }
  let last = 0;
  new ResizeObserver(() => {
    if (Math.abs(box.clientWidth - last) > 1) {
      last = box.clientWidth;
      draw();
    }
  }).observe(box);
  return figure;
}

// Shows the numbers as text to copy.
function numbersButton(what, place) {
  const button = el("button", { type: "button", "aria-expanded": "false", onclick: () => {
    place.textContent ||= csv(what);
    place.hidden = !place.hidden;
    button.setAttribute("aria-expanded", !place.hidden);
  } }, "Numbers");
  return button;
}

// Buttons for logarithmic axes, where all numbers allow it.
function axisButtons(what, state, draw) {
  const isPositive = at => what.series.every(s => s.points.some(p => p[at] > 0) && s.points.every(p => p[at] >= 0));
  const buttons = ["x", "y"].filter((which, at) => !what[which].fixed && isPositive(at)).map(which => {
    const button = el("button", { type: "button", "aria-pressed": state[which], "aria-label": `log ${which}`,
      title: `logarithmic ${which} axis`, onclick: () => {
        state[which] = !state[which];
        button.setAttribute("aria-pressed", state[which]);
        draw();
      } }, which);
    return button;
  });
  return buttons.length ? el("span.axes", null, el("span", { "aria-hidden": "true" }, "log"), buttons) : null;
}

// The kinds of lines that many models have, each of them dashed or not; null where each series has a name of its own.
function kindsOf(what) {
  const kinds = new Map(what.series.map(series => [series.kind, series.dashed]));
  return report.models.length > 2 && kinds.size > 1 && what.series.every(series => series.model) ? kinds : null;
}

// The names of several series, which hide them. Of many models with the same lines a button hides a model, and the
// lines are named once.
function seriesButtons(what, state, draw) {
  if (what.series.length < 2 && (!several || what.isAlone)) return null;
  const kinds = kindsOf(what), isGrouped = kinds !== null, groups = new Map();
  what.series.forEach((series, at) => {
    const name = isGrouped ? series.model : series.name + at;
    groups.set(name, [...groups.get(name) ?? [], at]);
  });
  const buttons = [...groups.values()].map(all => {
    const first = what.series[all[0]];
    const button = el("button.key", { type: "button", "aria-pressed": true, onclick: () => {
      const isHidden = state.hidden.has(all[0]);
      all.forEach(at => isHidden ? state.hidden.delete(at) : state.hidden.add(at));
      button.setAttribute("aria-pressed", isHidden);
      draw();
    } }, seriesMark(first), isGrouped ? first.model : first.name);
    return button;
  });
  const lines = isGrouped ? [...kinds].map(([kind, dashed]) => el("span.kind", null, el(`i.stroke${dashed ? ".dashed" : ""}`), kind)) : [];
  return el("div.keys", null, buttons, lines);
}

const seriesMark = series => el(`i.c${series.color}${series.dashed ? ".dashed" : ""}`);

// The grid with its numbers, and the names of the axes.
function grid(what, x, y, width) {
  const right = width - RIGHT, lower = HEIGHT - LOWER, skip = Math.ceil(x.ticks.length / (width / 56));
  const rows = y.ticks.flatMap(value => [el("line.grid", { x1: LEFT, x2: right, y1: y.at(value), y2: y.at(value) }),
    el("text.tick", { x: LEFT - 7, y: y.at(value) + 4, "text-anchor": "end" }, tick(value))]);
  const columns = x.ticks.flatMap((value, at) => {
    if (at % skip) return [];
    const px = x.at(value), anchor = at + skip >= x.ticks.length && px > right - 10 ? "end" : "middle";
    return [el("line.grid", { x1: px, x2: px, y1: UPPER, y2: lower }),
      el("text.tick", { x: px, y: lower + 17, "text-anchor": anchor }, tick(value))];
  });
  return [...rows, ...columns, el("text.name", { x: 4, y: 14 }, what.y.name),
    el("text.name", { x: (LEFT + right) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, what.x.name)];
}

// What is at the crosshair: a row for each series with its value, or for each of many models with those of its lines.
function valuesText(what, title, near) {
  const kinds = kindsOf(what);
  if (!kinds) return [el("b.across", null, title), ...near.flatMap(mark => [
    el("span", null, seriesMark(mark.series), what.series.length > 1 ? mark.series.name : what.y.name), el("strong", null, short(mark.point[1])), " "])];
  const rows = new Map(near.map(mark => [mark.series.model, near.filter(of => of.series.model === mark.series.model)]));
  const value = mark => el("strong", null, mark ? short(mark.point[1]) : "–");
  return [el("b", null, title), ...[...kinds.keys()].map(kind => el("span.kind", null, kind)), ...[...rows].flatMap(([model, marks]) => [
    el("span", null, seriesMark(marks[0].series), model), ...[...kinds.keys()].flatMap(kind => [value(marks.find(mark => mark.series.kind === kind)), " "])])];
}

// A crosshair at the value nearest to the pointer, or moved by arrow keys, and in words what is there.
function readValues(svg, marks, what, said) {
  const crosshair = el("g.crosshair", { visibility: "hidden" });
  const places = [...new Set(marks.map(mark => mark.px))].sort((a, b) => a - b);
  const text = what.x.text ?? (mark => `${what.x.name.split(",")[0]} ${short(mark.point[0])}`);
  let current = null;
  const hide = () => {
    crosshair.setAttribute("visibility", "hidden");
    said.textContent = "";
    current = null;
  };
  const show = px => {
    if (!marks.length) return;
    const nearest = marks.reduce((best, mark) => Math.abs(mark.px - px) < Math.abs(best.px - px) ? mark : best);
    const distance = mark => Math.abs(mark.px - nearest.px), bySeries = new Map();
    for (const mark of marks)
      if (!bySeries.has(mark.series) || distance(mark) < distance(bySeries.get(mark.series))) bySeries.set(mark.series, mark);
    const near = [...bySeries.values()].filter(mark => distance(mark) < 12);
    current = nearest.px;
    crosshair.replaceChildren(el("line", { x1: nearest.px, x2: nearest.px, y1: UPPER, y2: HEIGHT - LOWER }),
      ...near.map(mark => el(`circle.c${mark.series.color}`, { cx: mark.px, cy: mark.py, r: 4 })));
    crosshair.setAttribute("visibility", "visible");
    said.replaceChildren(...valuesText(what, nearest.title ?? text(nearest), near));
    said.style.gridTemplateColumns = `minmax(0, auto) repeat(${kindsOf(what)?.size ?? 1}, auto)`;
    // Behind the crosshair, or before it where there is more space.
    const width = svg.getBoundingClientRect().width, own = said.offsetWidth;
    const left = nearest.px + 10 + own <= width + 8 || nearest.px < width / 2 ? nearest.px + 10 : nearest.px - 10 - own;
    said.style.left = `${Math.max(-8, Math.min(width + 8 - own, left))}px`;
  };
  svg.append(crosshair);
  svg.addEventListener("pointermove", event => show(event.clientX - svg.getBoundingClientRect().left));
  svg.addEventListener("pointerleave", hide);
  svg.addEventListener("blur", hide);
  svg.addEventListener("keydown", event => {
    const at = places.indexOf(current), jump = event.shiftKey ? 10 : 1;
    const to = { ArrowRight: at + jump, ArrowLeft: at < 0 ? places.length - 1 : at - jump, Home: 0, End: places.length - 1 };
    if (event.key === "Escape" && current !== null) {
      hide();
      event.preventDefault();
    } else if (event.key in to && places.length) {
      event.preventDefault();
      show(places[Math.max(0, Math.min(places.length - 1, to[event.key]))]);
    }
  });
}

// The elements of a series; adds the places of its points.
function drawSeries(series, x, y, isLog, marks) {
  const isThere = ([px, py]) => Number.isFinite(px) && Number.isFinite(py);
  const color = `c${series.color}`;
  const place = p => [!isLog.x || p[0] > 0 ? x.at(p[0]) : NaN, !isLog.y || p[1] > 0 ? y.at(p[1]) : NaN];
  const at = series.points.map(place), round = v => v.toFixed(1);
  const mark = (index, px, py) => marks.push({ series, px, py, point: series.points[index], title: series.titles?.[index] });
  if (series.mark === "dots") return at.flatMap(([px, py], index) => {
    if (!isThere([px, py])) return [];
    mark(index, px, py);
    return [el(`circle.dot.${color}${series.dashed ? ".dashed" : ""}`, { cx: round(px), cy: round(py), r: 2.6 })];
  });
  if (series.mark === "bars") {
    const { area, outline } = barPaths(series.points, at, mark);
    return [el(`path.area.${color}`, { d: area }), el(`path.line.${color}${series.dashed ? ".dashed" : ""}`, { d: outline })];
  }
  // A point without neighbors is no line, but a dot.
  const dots = [];
  let path = "";
  at.forEach(([px, py], index) => {
    if (!isThere([px, py])) return;
    const [hasBefore, hasNext] = [index - 1, index + 1].map(other => other in at && isThere(at[other]));
    if (hasBefore || hasNext) path += `${hasBefore ? "L" : "M"}${round(px)} ${round(py)}`;
    else dots.push(el(`circle.dot.${color}`, { cx: round(px), cy: round(py), r: 3 }));
    mark(index, px, py);
  });
  return [path ? el(`path.line.${color}${series.dashed ? ".dashed" : ""}`, { d: path }) : null, ...dots].filter(Boolean);
}

// The outline of a histogram and what is below it: a run of bins with something in them is one shape, and a bin
// with nothing in it is a gap. Calls mark(index, x, y) for each bin of a run.
function barPaths(points, places, mark) {
  const floor = HEIGHT - LOWER, round = v => v.toFixed(1);
  let area = "", outline = "", isOpen = false;
  for (let index = 0; index + 1 < points.length; index++) {
    const [left, top] = places[index], right = places[index + 1][0];
    const isThere = points[index][1] > 0 && Number.isFinite(left) && Number.isFinite(right) && Number.isFinite(top);
    if (isThere) {
      const step = `${isOpen ? "" : `M${round(left)} ${floor}`}L${round(left)} ${round(top)}L${round(right)} ${round(top)}`;
      area += step;
      outline += step;
      mark(index, (left + right) / 2, top);
    }
    const isLast = index + 2 === points.length || !(points[index + 1][1] > 0);
    if (isThere && isLast) {
      area += `L${round(right)} ${floor}Z`;
      outline += `L${round(right)} ${floor}`;
    }
    isOpen = isThere && !isLast;
  }
  return { area, outline };
}

// The points of a chart as CSV.
function csv(what) {
  const plain = name => name.replaceAll(",", "");
  const rows = what.series.flatMap(series => {
    // The last point of bars only ends them.
    const points = series.mark === "bars" ? series.points.slice(0, -1) : series.points;
    return points.map(([x, y]) => `${plain(series.name)},${x},${y}`);
  });
  return [`series,${plain(what.x.name)},${plain(what.y.name)}`, ...rows].join("\n");
}
