"""The report in a real browser: nothing is fetched, nothing complains, every chart shows something.

    report.py REPORT [FOLDER]

REPORT is the page; screenshots go to FOLDER, if it is named. Needs playwright, and Chromium at
/usr/bin/chromium or where CHROMIUM says.
"""

import json
import os
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

report = Path(sys.argv[1]).resolve()
folder = Path(sys.argv[2]) if len(sys.argv) > 2 else None
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]

# What of the page is seen, measured where it is drawn.
SEEN = """() => {
    const box = element => { const {x, width, height} = element.getBoundingClientRect(); return {x, width, height} };
    const style = element => getComputedStyle(element);
    return {
        paper: style(document.body).backgroundColor,
        ink: style(document.body).color,
        page: document.documentElement.scrollWidth,
        sections: [...document.querySelectorAll("h2")].map(h => h.id),
        charts: [...document.querySelectorAll("svg")].map(svg => ({
            name: svg.getAttribute("aria-label"),
            ...box(svg),
            marks: [...svg.querySelectorAll(".line, .dot, .bar")].map(mark => ({
                ...box(mark), colour: mark.matches(".line") ? style(mark).stroke : style(mark).fill,
                long: mark.matches(".line") ? mark.getTotalLength() : 1})),
            letters: Math.min(...[...svg.querySelectorAll("text")].map(text => text.getBoundingClientRect().height)),
            inside: [...svg.querySelectorAll(".line, .dot, .bar, text")].every(mark => {
                const [a, b] = [mark.getBoundingClientRect(), svg.getBoundingClientRect()];
                return a.left >= b.left - 2 && a.right <= b.right + 2 && a.top >= b.top - 2 && a.bottom <= b.bottom + 2 }),
        })),
        images: [...document.images].map(i => ({name: i.alt, natural: i.naturalWidth, ...box(i)})),
        figures: [...document.querySelectorAll("#figures + .table td")].map(cell => cell.textContent),
        data: document.querySelector("script#sae-report").textContent,
    };
}"""


def brightness(colour):
    red, green, blue = (float(part) for part in colour[colour.index("(") + 1 : -1].split(",")[:3])
    return 0.3 * red + 0.6 * green + 0.1 * blue


def check(seen, width, scheme):
    for chart in seen["charts"]:
        name, marks = chart["name"], chart["marks"]
        assert chart["width"] > 250 and chart["height"] > 150, (name, chart["width"], chart["height"])
        assert marks and any(max(mark["width"], mark["height"]) > 4 for mark in marks), f"{name} shows nothing"
        assert all(mark["long"] > 0 for mark in marks), f"{name}: a line of no length"
        assert chart["inside"], f"{name}: something is drawn outside of it"
        assert chart["letters"] >= 10, f"{name}: letters of {chart['letters']} pixels"
        for mark in marks:
            contrast = abs(brightness(mark["colour"]) - brightness(seen["paper"]))
            assert contrast > 60, f"{name}: {mark['colour']} on {seen['paper']}"
    for image in seen["images"]:
        assert image["natural"] > 0 and image["width"] > 100, image
    assert seen["page"] <= width, f"the page is {seen['page']} wide in a window of {width}"
    assert (brightness(seen["paper"]) < 60) == (scheme == "dark"), (scheme, seen["paper"])
    assert abs(brightness(seen["paper"]) - brightness(seen["ink"])) > 150, (seen["paper"], seen["ink"])


with sync_playwright() as playwright:
    browser = playwright.chromium.launch(executable_path=os.environ.get("CHROMIUM", "/usr/bin/chromium"), args=QUIET)
    for scheme in ["light", "dark"]:
        for width in [400, 1400]:
            page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
            said, asked = [], []
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(report.as_uri())
            seen = page.evaluate(SEEN)
            assert not said, said
            asked = [url for url in asked if not url.startswith("data:")]
            assert asked == [report.as_uri()], asked
            check(seen, width, scheme)
            if folder:
                page.screenshot(path=folder / f"report-{scheme}-{width}.png", full_page=True)
            page.close()
    facts = json.loads(seen["data"])
    sections = ["figures", "reconstructions", "training", "features", "activations", "sparsity", "settings", "data"]
    assert seen["sections"] == sections, seen["sections"]
    # For each model: the objective, the mean activation, two layers' histograms and its sparsity.
    assert len(seen["charts"]) >= 5 * len(facts["models"]), [chart["name"] for chart in seen["charts"]]
    objective = facts["models"][0]["evaluation"]["objective"]
    assert any(abs(float(figure) - objective) < 1e-5 for figure in seen["figures"] if figure[0].isdigit() and
               "-" not in figure and " " not in figure), (objective, seen["figures"])
    # Numbers can be copied out of a chart.
    page = browser.new_page(viewport={"width": 1400, "height": 900})
    page.goto(report.as_uri())
    page.click("summary >> nth=0")
    rows = page.inner_text("details[open] pre").strip().splitlines()
    assert rows[0].startswith("series,step,") and len(rows) > 10, rows[:3]
    # On paper: light, nothing cut off.
    page.emulate_media(media="print", color_scheme="dark")
    paper = page.evaluate(SEEN)["paper"]
    assert brightness(paper) > 200 or paper == "rgba(0, 0, 0, 0)", paper
    printed = page.pdf(format="A4")
    assert printed.startswith(b"%PDF")
    if folder:
        (folder / "report.pdf").write_bytes(printed)
    browser.close()
names = [chart["name"] for chart in seen["charts"]]
print(f"report: {len(names)} charts and {len(seen['images'])} pictures, light and dark, at 400 and 1400")
