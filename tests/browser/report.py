"""The reports in a real browser: nothing is fetched, nothing complains, and what a person does with them works.

    report.py FOLDER looks|courses [SCREENSHOTS]

FOLDER has the reports that scripts/report.sh makes. "looks" are the pages in light and dark, at several widths, without
scripts; "courses" are what a person does with them, on paper, and in a frame: two processes run them at once. Needs playwright, and Chromium at /usr/bin/chromium or where
CHROMIUM says.
"""

import html
import json
import os
import sys
from pathlib import Path

import explorer
from playwright.sync_api import sync_playwright

folder = Path(sys.argv[1]).resolve()
part = sys.argv[2]
assert part in ("looks", "courses"), part
shots = Path(sys.argv[3]) if len(sys.argv) > 3 else None
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]

# What of the page is seen, measured where it is drawn.
SEEN = """() => {
    const box = element => { const {x, width, height} = element.getBoundingClientRect(); return {x, width, height} };
    const style = element => getComputedStyle(element);
    const paint = color => { const c = document.createElement("canvas").getContext("2d"); c.fillStyle = color; c.fillRect(0, 0, 1, 1);
        return [...c.getImageData(0, 0, 1, 1).data] };
    const name = element => element.getAttribute("aria-label") ?? (element.textContent.trim() || element.labels?.[0]?.textContent || "");
    return {
        paper: paint(style(document.body).backgroundColor),
        ink: paint(style(document.body).color),
        soft: [...document.querySelectorAll(".soft, .note, .meaning, .tile-head span, dt")].map(e => paint(style(e).color)),
        page: document.documentElement.scrollWidth,
        sections: [...document.querySelectorAll("h2")].map(h => h.id),
        unnamed: [...document.querySelectorAll("a, button, select, input, canvas[role=img], summary")].filter(e => !name(e) &&
            !e.closest("[aria-label]")).map(e => e.outerHTML.slice(0, 200)),
        charts: [...document.querySelectorAll("svg")].map(svg => ({
            name: svg.getAttribute("aria-label"),
            ...box(svg),
            marks: [...svg.querySelectorAll(".line, .dot")].map(mark => ({
                ...box(mark), color: paint(mark.matches(".line") ? style(mark).stroke : style(mark).fill === "none" ? style(mark).stroke : style(mark).fill),
                long: mark.matches(".line") ? mark.getTotalLength() : 1})),
            letters: Math.min(...[...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect().height)),
            // A step along the floor is an empty bin that is drawn as if it were one with something in it.
            floors: [...svg.querySelectorAll(".line")].flatMap(line => line.getAttribute("d").split("M")).flatMap(run => {
                const points = run.split(/[LZ]/).filter(Boolean).map(point => point.split(" ").map(Number));
                return points.filter(([x, y], at) => at && y === points[at - 1][1] && y >= 242 && x !== points[at - 1][0]); }),
            outside: [...svg.querySelectorAll(".line, .dot, text")].filter(mark => {
                const [a, b] = [mark.getBoundingClientRect(), svg.getBoundingClientRect()];
                return a.left < b.left - 2 || a.right > b.right + 2 || a.top < b.top - 2 || a.bottom > b.bottom + 2
            }).map(mark => mark.outerHTML.slice(0, 120)),
        })),
        jargon: document.body.innerText.match(/script#|#sae-|\bundefined\b|\bNaN\b|\[object/g),
        images: [...document.images].map(i => ({natural: i.naturalWidth, ...box(i)})),
    };
}"""


def brightness(color):
    """The relative luminance of WCAG 2."""
    linear = [c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in (part / 255 for part in color[:3])]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a, b):
    low, high = sorted([brightness(a), brightness(b)])
    return (high + 0.05) / (low + 0.05)


def check(seen, width, scheme):
    for chart in seen["charts"]:
        name, marks = chart["name"], chart["marks"]
        assert chart["width"] > 250 and chart["height"] > 150, (name, chart["width"], chart["height"])
        assert marks and any(max(mark["width"], mark["height"]) > 4 for mark in marks), f"{name} shows nothing"
        assert all(mark["long"] > 0 for mark in marks), f"{name}: a line of no length"
        assert not chart["outside"], f"{name}: drawn outside of it: {chart['outside']}"
        assert chart["letters"] >= 10, f"{name}: letters of {chart['letters']} pixels"
        assert not name.startswith(("How", "Its")) or not chart["floors"], f"{name}: empty bins are drawn: {chart['floors']}"
        for mark in marks:
            assert contrast(mark["color"], seen["paper"]) > 3, f"{name}: {mark['color']} on {seen['paper']}"
    for image in seen["images"]:
        assert image["natural"] > 0 and image["width"] > 15, image
    assert seen["page"] <= width, f"the page is {seen['page']} wide in a window of {width}"
    assert (brightness(seen["paper"]) < 0.05) == (scheme == "dark"), (scheme, seen["paper"])
    assert contrast(seen["paper"], seen["ink"]) > 12, (seen["paper"], seen["ink"])
    assert all(contrast(seen["paper"], color) > 4.5 for color in seen["soft"]), seen["soft"]
    assert not seen["unnamed"], seen["unnamed"]
    assert not seen["jargon"], seen["jargon"]
    sections = ["units", "samples", "training", "activity", "figures", "settings", "data"]
    assert seen["sections"] == sections, seen["sections"]


# What goes beyond the window, or out of its own box, where nothing scrolls or cuts it on purpose.
WIDE = """() => {
    const dialog = document.querySelector("dialog[open]"), out = [], boxes = ["auto", "hidden", "scroll"];
    const bounds = element => { for (let at = element.parentElement; at && at !== dialog && at !== document.body; at = at.parentElement)
        if (boxes.includes(getComputedStyle(at).overflowX)) return true; return false; };
    for (const box of [document.documentElement, dialog, document.getElementById("nav"), ...document.querySelectorAll("dialog .features")])
        if (box && box.scrollWidth > box.clientWidth) out.push([box.tagName, box.scrollWidth, box.clientWidth]);
    for (const element of (dialog ?? document.body).querySelectorAll("*")) {
        const { left, right, width } = element.getBoundingClientRect();
        if (width && (right > innerWidth + 1 || left < -1) && !bounds(element)) out.push([element.outerHTML.slice(0, 100), left, right]);
        if (element.matches("a, button, b, p, h3, h4, dt, dd, summary") && element.clientWidth && element.scrollWidth > element.clientWidth + 1
            && getComputedStyle(element).overflowX === "visible") out.push([element.outerHTML.slice(0, 100), element.scrollWidth]);
    }
    return out.slice(0, 5) }"""

# Of each shaded token the color of its text, and of what is behind it.
SHADED = """() => {
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    const paint = colors => { canvas.clearRect(0, 0, 1, 1);
        for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); } return [...canvas.getImageData(0, 0, 1, 1).data] };
    const behind = element => element ? [...behind(element.parentElement), getComputedStyle(element).backgroundColor] : ["white"];
    return [...document.querySelectorAll(".token[style]")].map(token => ({ share: +token.style.getPropertyValue("--share"),
        text: paint([getComputedStyle(token).color]), back: paint(behind(token)) })) }"""


def opened(browser, report, width, scheme="light", ready=True, **options):
    """A page that fails the test when it says or fetches anything."""
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme, **options)
    page.said, page.asked = [], []
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("request", lambda request: page.asked.append(request.url))
    page.goto(report.as_uri())
    if ready and options.get("java_script_enabled", True):
        page.wait_for_selector("html[data-ready]", state="attached")
    return page


def closed(page, report):
    assert not page.said, page.said
    asked = [url for url in page.asked if not url.startswith("data:")]
    assert asked == [report.as_uri()], asked
    page.close()


def looks(browser, report):
    """Both schemes at both widths, also with a unit and a sample open."""
    for scheme in ["light", "dark"]:
        for width in [400, 1400]:
            page = opened(browser, report, width, scheme)
            check(page.evaluate(SEEN), width, scheme)
            views = {"page": None, "unit": page.get_attribute(".tile", "href"), "sample": "#sample-0-3"}
            for name, address in views.items():
                if address:
                    page.evaluate("address => location.hash = address", address)
                    page.wait_for_selector("dialog[open] .view")
                    dialog = page.locator("dialog").bounding_box()
                    assert dialog["x"] >= 0 and dialog["x"] + dialog["width"] <= width, dialog
                    wide = page.evaluate("(d => [d.scrollWidth, d.clientWidth])(document.querySelector('dialog'))")
                    assert wide[0] <= wide[1], (name, wide)
                if shots:
                    path = shots / f"{report.stem}-{name}-{scheme}-{width}.png"
                    page.screenshot(path=path, full_page=address is None)
            closed(page, report)


def fits(browser, report):
    """Nothing is cut off on a phone: the page, units and samples, with all that can be opened open."""
    for width in [360, 400]:
        page = opened(browser, report, width)
        models = page.evaluate("report.models.length")
        samples = [f"#sample-{model}-{place}" for model in range(models) for place in [0, 3]]
        wide = {"page": page.evaluate(WIDE)}
        for address in page.eval_on_selector_all(".tile", "all => all.slice(0, 5).map(tile => tile.getAttribute('href'))") + samples:
            page.evaluate("address => location.hash = address", address)
            page.wait_for_function("address => !document.querySelector('dialog[open]') || location.hash === address", arg=address)
            page.evaluate("document.querySelectorAll('dialog .chart button[aria-expanded]').forEach(button => button.click())")
            wide[address] = page.evaluate(WIDE)
        page.evaluate("document.querySelector('dialog').close()")
        page.evaluate("document.querySelectorAll('details').forEach(of => of.open = true)")
        page.evaluate("document.querySelectorAll('.chart button[aria-expanded]').forEach(button => button.click())")
        wide["all open"] = page.evaluate(WIDE)
        assert not any(wide.values()), (report, width, {name: of for name, of in wide.items() if of})
        closed(page, report)


def whole_tables(browser, report, width):
    """No table of several models goes on behind an edge; pictures leave the units in reach; a line of charts is level."""
    page = opened(browser, report, width)
    hidden = page.evaluate("[...document.querySelectorAll('.table')].filter(of => of.clientWidth).map(of => [of.scrollWidth, of.clientWidth])"
                           ".filter(of => of[0] > of[1])")
    assert page.locator(".table").count() >= 3 and not hidden, hidden
    assert page.evaluate("document.querySelector('.strips').getBoundingClientRect().height") < 900
    level = page.evaluate("[...document.querySelectorAll('.cards > .chart')].map(of => [of, of.querySelector('svg')]"
                          ".map(of => of.getBoundingClientRect().top))")
    by_line = {}
    for card, chart in level:
        by_line.setdefault(round(card), []).append(chart)
    assert all(max(line) - min(line) < 1 for line in by_line.values()), by_line
    closed(page, report)


def shaded(browser, report):
    """Tokens can be read on the shade of any activation."""
    for scheme in ["light", "dark"]:
        page = opened(browser, report, 1400, scheme)
        page.locator(".tile").first.click()
        page.wait_for_selector(".top-lines")
        tokens = page.evaluate(SHADED)
        assert len(tokens) > 20 and max(token["share"] for token in tokens) == 1, tokens
        low = min(tokens, key=lambda token: contrast(token["text"], token["back"]))
        assert contrast(low["text"], low["back"]) >= 4.5, (scheme, low)
        full = next(token for token in tokens if token["share"] == 1)
        assert contrast(full["back"], page.evaluate(SEEN)["paper"]) > 1.3, (scheme, full)
        closed(page, report)


def odd(browser, report):
    """A page of a model or data with little in it: every unit and the first samples open, and say nothing wrong."""
    page = opened(browser, report, 1000)
    seen = page.evaluate(SEEN)
    assert not seen["jargon"] and not seen["unnamed"], (report, seen["jargon"], seen["unnamed"])
    # A chart without marks is an empty frame.
    assert all(chart["marks"] for chart in seen["charts"]), (report, [chart["name"] for chart in seen["charts"] if not chart["marks"]])
    dead = page.locator(".controls button")
    if dead.is_visible():
        dead.click()
    views = page.eval_on_selector_all(".tile", "all => all.map(tile => tile.getAttribute('href'))")
    assert views, report
    for address in views[:20] + [f"#sample-0-{place}" for place in range(min(4, page.evaluate("report.first")))]:
        page.evaluate("address => location.hash = address", address)
        title = ("Unit " if "unit" in address else "Sample ") + address.split("-")[-1]
        page.wait_for_function("title => document.getElementById('view-title')?.textContent === title || !title.startsWith('Unit')", arg=title)
        text = page.inner_text("dialog")
        assert not any(word in text for word in ["NaN", "undefined", "Infinity", "null"]), (report, address, text)
    page.keyboard.press("Escape")
    closed(page, report)


def on_paper(browser, report):
    page = opened(browser, report, 1400, "dark")
    page.emulate_media(media="print", color_scheme="dark")
    seen = page.evaluate(SEEN)
    assert brightness(seen["paper"]) > 0.9 or seen["paper"][3] == 0, seen["paper"]
    assert contrast(seen["ink"], [255, 255, 255]) > 12, seen["ink"]
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    if shots:
        (shots / f"{report.stem}.pdf").write_bytes(printed)
    closed(page, report)


def without_scripts(browser, report):
    page = opened(browser, report, 1400, java_script_enabled=False)
    assert page.locator("noscript p").is_visible() and page.locator(".card .number").first.is_visible()
    assert page.locator("#figures").is_visible() and not page.locator("#nav").is_visible()
    # What is not there is not linked to.
    assert not page.locator("a:visible").count()
    closed(page, report)


def in_frame(browser, report):
    """A notebook's frame, whose page has another base, and which the page cannot leave or reach out of."""
    cell = f'<iframe sandbox="allow-scripts" style="width:100%;height:820px" srcdoc="{html.escape(report.read_text())}"></iframe>'
    head = '<meta charset="utf-8"><base href="https://notebook.invalid/tree/"><link rel="icon" href="data:,">'
    notebook = report.with_name("notebook.html")
    notebook.write_text(f"<!doctype html><html><head>{head}</head><body>{cell}</body></html>")
    page = opened(browser, notebook, 1000, ready=False)
    frame = page.frames[1]
    frame.wait_for_selector("html[data-ready]", state="attached")
    frame.locator("#nav a", has_text="Samples").click()
    frame.locator(".tile").first.click()
    frame.wait_for_selector("dialog[open] .view")
    first = frame.inner_text("#view-title")
    page.keyboard.press("ArrowRight")
    frame.wait_for_function("first => document.getElementById('view-title').textContent !== first", arg=first)
    if shots:
        page.screenshot(path=shots / f"{report.stem}-frame.png")
    page.keyboard.press("Escape")
    frame.wait_for_function("!document.querySelector('dialog[open]') && !location.hash")
    frame.locator(".sample-grid a, .running a").first.click()
    frame.wait_for_selector("#keep")
    assert frame.url.startswith("about:srcdoc#sample-"), frame.url
    closed(page, notebook)


def small(report):
    text = report.read_text()
    data = sum(len(part.split("</script>")[0]) for part in text.split('<script type="application/')[1:])
    assert len(text) < 5e6 and len(text) - data < 1e6, (report, len(text), data)
    facts = text.split('id="sae-report">')[1].split("</script>")[0]
    return json.loads(facts)


def all_looks(browser, reports):
    for report in sorted((folder / "odd").glob("*.html")):
        odd(browser, report)
        fits(browser, report)
    for name, report in reports.items():
        small(report)
        if name not in ("many", "wide"):
            looks(browser, report)
        if name != "wide":
            fits(browser, report)
        without_scripts(browser, report)
    whole_tables(browser, reports["five"], 1400)
    whole_tables(browser, reports["both"], 400)
    print(f"report: {len(reports)} pages, light and dark, at 400 and 1400")


def all_courses(browser, reports):
    shaded(browser, reports["tokens"])
    on_paper(browser, reports["digits"])
    for name in ["digits", "tokens"]:
        in_frame(browser, reports[name])
    for name, test in explorer.TESTS:
        page = opened(browser, reports[name], 1400)
        test(page, shots)
        closed(page, reports[name])
    print(f"report: {len(explorer.TESTS)} courses of clicks and keys")


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=QUIET)
    reports = {name: folder / f"{name}.html" for name in ["digits", "both", "five", "tokens", "disks", "table", "many", "wide"]}
    (all_looks if part == "looks" else all_courses)(browser, reports)
    browser.close()
