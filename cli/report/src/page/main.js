// The start: sections, the dialog, and light or dark.

function themeButton() {
  const button = document.getElementById("theme"), root = document.documentElement;
  const show = () => {
    button.textContent = isDark() ? "Light" : "Dark";
    button.setAttribute("aria-label", `${button.textContent} colors`);
  };
  button.hidden = false;
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
    route();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", show);
  show();
}

const dialog = el("dialog", { "aria-labelledby": "view-title" });
let gallery = null;

// Shows the unit or sample that the address names.
function route() {
  const [what, ...numbers] = location.hash.slice(1).split("-");
  const [m, l, unit] = numbers.map(Number), model = report.models[m];
  let view = null;
  if (what === "unit" && model?.layers[l] && unit < model.layers[l].units) view = unitView(m, l, unit);
  if (what === "sample" && model && l < array("chosen").length) view = sampleView(m, l);
  if (!view) {
    if (dialog.open) dialog.close();
    return;
  }
  let [before, after] = [null, null];
  if (what === "unit") {
    const layer = layerOf(m, l), near = gallery.isShown(layer) ? gallery.neighbors(unit) : [null, null];
    [before, after] = near.map(other => other === null ? null : unitPath(layer, other));
  } else {
    [before, after] = [l - 1, l + 1].map(at => at < 0 || at >= report.first ? null : `#sample-${m}-${at}`);
  }
  const step = (href, text, label) => href ? el("a.step", { href, "aria-label": label, title: label }, text)
    : el("span.step.none", { "aria-hidden": "true" }, text);
  dialog.replaceChildren(el("div.view-head", null, el("div", null, el("h3", { id: "view-title" }, view.title), el("p.soft", null, view.where)),
    el("div.steps", null, step(before, "‹", "previous"), step(after, "›", "next"),
      el("button", { type: "button", "aria-label": "close", onclick: () => dialog.close() }, "×"))), view.body);
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
  dialog.querySelector(".view-head button").focus({ focusVisible: false });
}

function listen() {
  addEventListener("hashchange", route);
  dialog.addEventListener("close", () => {
    if (/^#(unit|sample)-/.test(location.hash)) history.replaceState(null, "", location.href.split("#")[0]);
  });
  dialog.addEventListener("click", event => {
    if (event.target === dialog) dialog.close();
  });
  dialog.addEventListener("keydown", event => {
    const step = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    if (!step || event.target.closest("input, select, svg, pre")) return;
    const link = dialog.querySelector(`.step[aria-label="${step}"]`);
    if (link) location.replace(link.getAttribute("href"));
  });
}

// In a frame with srcdoc, as in a notebook, "#units" is relative to the page around it unless the frame has a base.
function stayInFrame() {
  if (location.href.split("#")[0] === "about:srcdoc") document.head.append(el("base", { href: "about:srcdoc" }));
}

(async () => {
  stayInFrame();
  themeButton();
  const place = document.getElementById("explorer");
  try {
    await loadArrays();
  } catch (error) {
    place.append(el("p.warning", null, "This browser cannot unpack the page's data (DecompressionStream); the figures and "
      + "settings are below. Firefox since 113, Safari since 16.4 and Chrome since 80 can."));
    return;
  }
  gallery = gallerySection();
  place.append(gallery.section, samplesSection(), ...curveSections());
  document.body.append(dialog);
  document.getElementById("nav").hidden = false;
  gallery.update();
  listen();
  route();
  document.documentElement.dataset.ready = "true";
})();
