"""What a person does with a report: courses of clicks and keys, each on a fresh page of one report."""

import csv
import json
import math
import struct

# (A copy, because a browser complains of a canvas that is read again and again.)
PIXELS = """canvas => {
    const copy = new OffscreenCanvas(canvas.width, canvas.height).getContext("2d", { willReadFrequently: true });
    copy.drawImage(canvas, 0, 0);
    return [...copy.getImageData(0, 0, canvas.width, canvas.height).data] }"""


def tiles(page):
    """The numbers of the units in the gallery, and their second texts."""
    texts = page.eval_on_selector_all(".tile", "all => all.map(t => [t.querySelector('b').textContent, "
                                      "t.querySelector('.tile-head span').textContent])")
    return [int(unit) for unit, _ in texts], [text for _, text in texts]


def share(text):
    return 0.0 if text == "dead" else float(text.replace("<", "").replace("%", "").strip())


def error(page):
    return float(page.inner_text(".error-now").split("error ")[1].split()[0].rstrip(".,").replace("−", "-"))


def gallery(page, shots):
    """Sorted, searched, dead ones unfolded."""
    units, texts = tiles(page)
    assert len(units) > 20 and "dead" not in texts, texts
    frequencies = [share(text) for text in texts]
    assert frequencies == sorted(frequencies, reverse=True), frequencies
    page.select_option("#unit-sort", "number")
    units, _ = tiles(page)
    assert units == sorted(units), units
    page.select_option("#unit-sort", "rare")
    frequencies = [share(text) for text in tiles(page)[1]]
    assert frequencies == sorted(frequencies), frequencies
    page.select_option("#unit-sort", "purity")
    pure(page)
    page.select_option("#unit-sort", "number")
    page.fill("#unit-search", "12")
    units, _ = tiles(page)
    assert units and all(str(unit).startswith("12") for unit in units), units
    page.fill("#unit-search", "label 3")
    units, _ = tiles(page)
    labels = page.evaluate("units => units.map(unit => layerOf(0, 0).label[unit])", units)
    assert labels and set(labels) == {3}, labels
    page.fill("#unit-search", "no such thing")
    assert tiles(page)[0] == [] and page.inner_text(".found").startswith("0 of ")
    page.fill("#unit-search", "")
    dead = page.locator(".controls button")
    count = int(dead.inner_text().split()[1])
    before = int(page.inner_text(".found").split(" of ")[0])
    dead.click()
    assert dead.get_attribute("aria-pressed") == "true"
    assert int(page.inner_text(".found").split()[0].replace("\u202f", "")) == before + count
    page.locator(".tile").first.focus()
    page.keyboard.press("End")
    assert "dead" in page.evaluate("document.activeElement.getAttribute('aria-label')")


def wilson(share, n):
    """The lower end of Wilson's interval of 95 %."""
    z = 1.96
    middle, half = share + z * z / (2 * n), z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (middle - half) / (1 + z * z / n)


def pure(page):
    """One sample is no proof of purity: units are in the order of what their labels are at least, and say it."""
    of = page.evaluate("[...document.querySelectorAll('.tile')].map(t => { const unit = +t.querySelector('b').textContent, layer = layerOf(0, 0); "
                       "return [layer.purity[unit], Math.round(layer.frequency[unit] * report.samples), layer.label[unit]] })")
    least = [wilson(share, n) for share, n, _ in of]
    assert least == sorted(least, reverse=True) and least[0] > least[-1], of
    assert [text for _, text in zip(of, tiles(page)[1])] == [f"≥ {int(100 * share + 1e-9)} %" for share in least], tiles(page)[1]
    assert page.locator(".tile em").all_inner_texts() == [str(label) for _, _, label in of]
    assert "Wilson" in page.inner_text(".by")


def sorted_figures(page, shots):
    """A tile shows the figure by which the gallery is sorted."""
    of = "[...document.querySelectorAll('.tile')].map(t => short(layerOf(0, 0).max[+t.querySelector('b').textContent]))"
    page.select_option("#unit-sort", "maximum")
    assert tiles(page)[1] == page.evaluate(of) and "Largest maximum" in page.inner_text(".by")
    widths = page.eval_on_selector_all(".tile > .bar i", "all => all.map(of => parseFloat(of.style.width))")
    assert widths == sorted(widths, reverse=True) and widths[0] == 100, widths
    page.select_option("#unit-sort", "telling")
    scores = [float(text) for text in tiles(page)[1]]
    assert scores == sorted(scores, reverse=True) and scores[0] > 1, scores


def keys(page, shots):
    """Tab to the gallery, arrows, Enter, Escape."""
    page.focus("#unit-search")
    for _ in range(4):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.matches('.tile')"):
            break
    first = page.evaluate("document.activeElement.getAttribute('href')")
    assert first and page.evaluate("document.querySelectorAll('.tile[tabindex=\"0\"]').length") == 1
    page.keyboard.press("ArrowRight")
    place = "(({ x, y }) => [x, y])(document.activeElement.getBoundingClientRect())"
    before = page.evaluate(place)
    page.keyboard.press("ArrowDown")
    after = page.evaluate(place)
    assert abs(before[0] - after[0]) < 1 and after[1] > before[1] + 50, (before, after)
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.getAttribute('href')") == first
    page.keyboard.press("ArrowRight")
    second = page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog[open]")
    assert page.inner_text("#view-title") == f"Unit {second.split('-')[-1]}"
    page.keyboard.press("ArrowLeft")
    page.wait_for_function("title => document.getElementById('view-title').textContent === title", arg=f"Unit {first.split('-')[-1]}")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog[open]", state="detached")
    page.wait_for_function("location.hash === ''")
    assert page.evaluate("document.activeElement.getAttribute('href')") == second


def unit(page, shots):
    """A unit's pictures, top samples, nearest units; from there to a sample and back."""
    page.locator(".tile").nth(3).click()
    page.wait_for_selector("dialog[open]")
    title = page.inner_text("#view-title")
    for canvas in page.locator("dialog .pictures canvas").all():
        assert len(set(canvas.evaluate(PIXELS))) > 10
    assert page.locator("dialog .pictures canvas").count() == 2
    values = [float(text) for text in page.locator(".top-images span").all_inner_texts() if text]
    assert len(values) == 10 and values == sorted(values, reverse=True), values
    assert page.locator("dialog svg .line").count() == 1
    assert page.locator("dialog .bar-row").count() >= 1
    cosines = [float(text.replace("−", "-")) for text in page.locator(".near span").all_inner_texts()]
    assert len(cosines) == 6 and cosines == sorted(cosines, reverse=True) and cosines[0] <= 1, cosines
    page.locator(".near a").first.click()
    page.wait_for_function("title => document.getElementById('view-title').textContent !== title", arg=title)
    page.go_back()
    page.wait_for_function("title => document.getElementById('view-title').textContent === title", arg=title)
    page.locator(".top-images a").first.click()
    page.wait_for_function("document.getElementById('view-title').textContent.startsWith('Sample')")
    assert f"-{title.split()[1]}" in "".join(page.eval_on_selector_all(".sample-units a", "all => all.map(a => a.getAttribute('href') + ' ')"))
    page.click("dialog button[aria-label=close]")
    page.wait_for_selector("dialog[open]", state="detached")


def sample(page, shots):
    """Units switched off: the reconstruction changes, and its error rises; all on, it is the library's."""
    for place in range(4):
        page.evaluate("place => location.hash = `#sample-0-${place}`", place)
        page.wait_for_function("place => document.getElementById('view-title')?.textContent === `Sample ${place}`", arg=place)
        drawn = page.locator(".three canvas").nth(1).evaluate(PIXELS)
        same_as_strip(page, 1, place)
    whole = error(page)
    boxes = page.locator(".sample-units input")
    count = boxes.count()
    assert count == 20, count
    boxes.first.uncheck()
    assert page.inner_text(".error-now").startswith(f"{count - 1} of {count} units on")
    assert error(page) > whole
    assert page.locator(".three canvas").nth(1).evaluate(PIXELS) != drawn
    if shots:
        page.screenshot(path=shots / "sample-off.png")
    page.locator("#keep").focus()
    page.keyboard.press("Home")
    assert page.inner_text(".error-now").startswith(f"0 of {count}") and not boxes.first.is_checked()
    errors = [error(page)]
    for _ in range(3):
        page.keyboard.press("ArrowRight")
        errors.append(error(page))
    assert boxes.nth(2).is_checked() and not boxes.nth(3).is_checked()
    assert errors[-1] < errors[0], errors
    page.keyboard.press("End")
    assert page.locator(".three canvas").nth(1).evaluate(PIXELS) == drawn and error(page) == whole


def same_as_strip(page, row, place):
    """The reconstruction that the page draws is the one at its top, which the library computed."""
    drawn = page.locator(".three canvas").nth(1).evaluate(PIXELS)
    static = page.evaluate("""([row, place]) => {
        const image = document.querySelectorAll(".strips span")[row].querySelectorAll("img")[place];
        const canvas = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
        canvas.drawImage(image, 0, 0);
        return [...canvas.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data] }""", [row, place])
    worst = max(abs(a - b) for a, b in zip(drawn, static))
    assert len(drawn) == len(static) and worst <= 6, (place, worst)


def off(page, shots):
    """With units off, the page's reconstruction is the library's of the same code: scripts/report.sh decodes it."""
    path = page.url.split("#")[0].removeprefix("file://").replace("digits.html", "")
    place, on = 3, set()
    with open(path + "off.json") as file:
        on = set(json.load(file))
    with open(path + "off.npy", "rb") as file:
        content = file.read()
    # An image of bytes.
    expected = [level / 255 for level in content[10 + struct.unpack("<H", content[8:10])[0] :]]
    assert len(expected) == 784
    page.evaluate("place => location.hash = `#sample-0-${place}`", place)
    page.wait_for_selector("#keep")
    for box in page.locator(".sample-units input").all():
        if int(box.get_attribute("aria-label").split()[1]) not in on:
            box.uncheck()
    assert page.inner_text(".error-now").startswith(f"{len(on)} of 20 units on"), page.inner_text(".error-now")
    drawn = page.locator(".three canvas").nth(1).evaluate(PIXELS)[::4]
    worst = max(abs(a - 255 * min(1, max(0, b))) for a, b in zip(drawn, expected))
    assert worst <= 4, worst
    sample = page.locator(".three canvas").nth(0).evaluate(PIXELS)[::4]
    whole = sum((a / 255 - b) ** 2 for a, b in zip(sample, expected)) / 784
    assert abs(error(page) / whole - 1) < 0.02, (error(page), whole)


def order(page, shots):
    """Units that tell most are first, and the page says what that is; a frequent unit is not."""
    assert page.input_value("#unit-sort") == "telling"
    assert "Most telling" in page.inner_text(".by")
    shown = page.evaluate("[...document.querySelectorAll('.tile')].map(t => layerOf(0, 0).telling_scores[+t.querySelector('b').textContent])")
    assert shown == sorted(shown, reverse=True) and shown[0] > 2 * shown[-1], shown
    # The first units are of one token each, and of different ones.
    words = page.evaluate("[...document.querySelectorAll('.tile')].slice(0, 5).map(t => wordsOf(layerOf(0, 0), "
                          "+t.querySelector('b').textContent, 4))")
    assert all(words) and len({of[0] for of in words}) == 5, words
    page.select_option("#unit-sort", "frequent")
    assert "Most frequent" in page.inner_text(".by")
    page.locator(".tile").first.click()
    page.wait_for_selector("dialog[open]")
    assert page.locator(".head-line .legend").is_visible()


def settings(page, shots):
    """What differs is first, in words with the name beside; the rest is folded away."""
    rows = page.eval_on_selector_all("#settings ~ .table tr:not(:first-child), #settings ~ .table tbody tr", "all => all.map(row => "
                                     "[row.querySelector('th').firstChild.textContent.trim(), row.querySelector('code').textContent])")
    names = [name for _, name in rows]
    assert names[:3] == ["preset", "layers", "code"] and "beta" in names and "lambda" in names and len(names) < 12, names
    assert all("_" not in words and words != name for words, name in rows), rows
    rest = page.locator("details.rest")
    assert not rest.get_attribute("open") and not rest.locator("td").first.is_visible()
    rest.locator("summary").click()
    shown = len(names) + rest.locator("tbody tr").count()
    assert rest.locator("td").first.is_visible() and shown == 1 + page.evaluate("Object.keys(report.models[0].settings).length"), shown


def headline(page, shots):
    """Each figure has a sentence, and that of dead units says what was counted."""
    meanings = page.locator(".card .meaning").all_inner_texts()
    assert len(meanings) == 3 and all(text.count(". ") == 0 and text.endswith(".") for text in meanings), meanings
    assert "active in none of the 600 samples" in meanings[2], meanings[2]


def places_of(page):
    """Where all elements are but those of the values."""
    return page.evaluate("[scrollY, ...[...document.querySelectorAll('main *')].filter(of => !of.closest('.said, svg')).map(of => "
                         "(({ x, y, width, height }) => [x, y, width, height])(of.getBoundingClientRect()))]")


def inside(page, said):
    """The values are within their chart, in one line each."""
    of, chart = said.bounding_box(), page.locator(".chart").first.bounding_box()
    assert chart["x"] <= of["x"] and of["x"] + of["width"] <= chart["x"] + chart["width"], (of, chart)
    assert chart["y"] <= of["y"] and of["y"] + of["height"] <= chart["y"] + chart["height"], (of, chart)
    assert of["height"] < 22 * (2 + said.locator("i").count()), of
    cut = said.evaluate("of => [...of.querySelectorAll('span')].filter(of => of.scrollWidth > of.clientWidth + 1).map(of => of.textContent)")
    assert not cut, cut


def several(page, shots):
    """Of five models a name hides all lines of a model, the lines are named once, and values are a small table."""
    figure = page.locator("#training + .cards figure").first
    assert figure.locator("button.key").count() == 5
    assert figure.locator(".keys .kind").all_inner_texts() == ["objective", "test objective"]
    assert figure.locator("path.line").count() == 10
    figure.locator("button.key").nth(1).click()
    assert figure.locator("path.line").count() == 8
    svg, said = figure.locator("svg"), figure.locator(".said")
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    for share in [0.3, 0.9]:
        before = places_of(page)
        page.mouse.move(box["x"] + share * box["width"], box["y"] + 100)
        assert said.inner_text().startswith("step") and places_of(page) == before
        inside(page, said)
    if shots:
        page.screenshot(path=shots / "hover-five.png")
    assert page.locator(".strips p i").count() == 5


def charts(page, shots):
    """Values under the pointer and by keys, axes, series on and off, numbers."""
    figure = page.locator("#training + .cards figure").first
    svg, said = figure.locator("svg"), figure.locator(".said")
    svg.scroll_into_view_if_needed()
    box = svg.bounding_box()
    places = places_of(page)
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 100)
    text = said.inner_text()
    assert "step" in text and "plain" in text and "sparse" in text, text
    assert places_of(page) == places, "reading values moves the page"
    inside(page, said)
    page.mouse.move(box["x"] + box["width"] / 4, box["y"] + 100)
    assert said.inner_text() != text
    if shots:
        page.screenshot(path=shots / "hover.png")
    page.mouse.move(0, 0)
    svg.focus()
    page.keyboard.press("Home")
    first = said.inner_text()
    page.keyboard.press("ArrowRight")
    assert first and said.inner_text() != first
    page.keyboard.press("Escape")
    assert said.inner_text() == ""
    log = figure.get_by_role("button", name="log y")
    ticks = figure.locator(".tick").all_text_contents()
    assert log.get_attribute("aria-pressed") == "true"
    log.click()
    assert log.get_attribute("aria-pressed") == "false" and figure.locator(".tick").all_text_contents() != ticks
    lines = figure.locator("path.line").count()
    figure.locator("button.key").first.click()
    assert figure.locator("path.line").count() == lines - 1
    numbers = figure.get_by_role("button", name="Numbers")
    numbers.click()
    assert numbers.get_attribute("aria-expanded") == "true"
    rows = figure.locator("pre").inner_text().strip().splitlines()
    assert rows[0].startswith("series,step,") and len(rows) > 50, rows[:3]


def layers(page, shots):
    """Two models of two layers: their units, and a decoder of several layers with units off."""
    assert page.locator("#unit-layer option").count() == 4
    page.select_option("#unit-layer", "1 0")
    assert page.locator(".tile").first.get_attribute("href").startswith("#unit-1-0-")
    page.locator(".tile").first.click()
    assert "sparse, layer 1" in page.inner_text(".view-head")
    page.evaluate("location.hash = '#sample-0-2'")
    page.wait_for_selector("#keep")
    page.locator(".models a").nth(1).click()
    page.wait_for_function("document.querySelector('.models a[aria-current]').textContent === 'sparse'")
    same_as_strip(page, 2, 2)
    whole = error(page)
    page.locator("#keep").focus()
    page.keyboard.press("Home")
    assert error(page) > whole
    shown = page.locator(".card .number").count()
    assert shown == 6, shown


def theme(page, shots):
    paper = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(paper)
    page.click("#theme")
    dark = page.evaluate(paper)
    assert light != dark and page.inner_text("#theme") == "Light"
    page.click("#theme")
    assert page.evaluate(paper) == light


def tokens(page, shots):
    """Names are searched for, read in context, and are no HTML."""
    page.fill("#unit-search", "cat")
    units, _ = tiles(page)
    assert units and all("cat" in text for text in page.eval_on_selector_all(".tile", "all => all.map(t => searchText(layerOf(0, 0), "
                                                                                     "+t.querySelector('b').textContent))"))
    page.locator(".tile").first.click()
    page.wait_for_selector(".top-lines")
    lines = page.locator(".top-lines li")
    assert lines.count() == 10
    shares = page.eval_on_selector_all(".top-lines b.token", "all => all.map(t => parseFloat(t.style.getPropertyValue('--share')))")
    assert len(shares) == 10 and shares[0] == 1 and all(0 < share <= 1 for share in shares), shares
    assert page.locator(".top-lines .token[style]:not(b)").count() >= 1
    assert page.locator("dialog .bar-row").count() == 8
    lines.first.locator("a").click()
    page.wait_for_selector(".strips-only canvas")
    assert page.locator(".around b.token").count() == 1
    page.keyboard.press("Escape")
    assert page.locator(".running a").count() == 100
    html = page.locator(".running a", has_text="<b>&\"'</b>")
    assert html.count() > 1 and page.locator(".running a b").count() == 0
    # ##s continues a word.
    assert "##" not in page.inner_text(".running")


def many(page, shots):
    """Thousands of units, of which few elements are in the page; those without details say so."""
    assert page.locator(".tile").count() < 150
    assert page.locator(".left-out").is_visible()
    page.select_option("#unit-sort", "number")
    page.locator(".controls button").click()
    page.locator(".tile").first.focus()
    page.keyboard.press("End")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert label.endswith("4096 of 4096"), label
    assert page.locator(".tile").count() < 150
    left = page.evaluate("[...Array(4096).keys()].find(unit => !layerOf(0, 0).row.has(unit))")
    page.evaluate("unit => location.hash = `#unit-0-0-${unit}`", left)
    page.wait_for_selector("dialog[open]")
    assert "numbers alone" in page.inner_text("dialog")
    # A sample whose units are not all in the page is still whole.
    page.evaluate("location.hash = '#sample-0-1'")
    page.wait_for_selector("#keep")
    assert "stay on" in page.inner_text("dialog")
    scores = page.url.split("#")[0].removeprefix("file://").replace("many.html", "scores.csv")
    with open(scores) as file:
        expected = {int(row["sample"]): float(row["error"]) for row in csv.DictReader(file)}
    assert abs(error(page) / expected[1] - 1) < 0.05, (error(page), expected[1])


def disks(page, shots):
    """Images of 20 x 28 in color, and a scale in color."""
    assert page.locator(".by-line .scale.color").is_visible()
    page.evaluate("location.hash = '#sample-0-3'")
    page.wait_for_selector("dialog .scale.color")
    page.evaluate("location.hash = document.querySelector('.tile').getAttribute('href')")
    page.wait_for_selector("dialog .pictures + .legend .scale.color")
    assert not page.locator(".scale.gray").count()
    page.keyboard.press("Escape")
    size = page.eval_on_selector(".tile canvas", "canvas => [canvas.width, canvas.height]")
    assert size == [28, 20], size
    pixels = page.locator(".sample-grid canvas").first.evaluate(PIXELS)
    colors = {tuple(pixels[at : at + 3]) for at in range(0, len(pixels), 4)}
    assert len(colors) == 2 and all(sorted(color) in ([0, 0, 0], [0, 0, 230]) for color in colors), colors


def gray(page, shots):
    """The scale of gray images is gray."""
    assert page.locator(".by-line .scale.gray").is_visible() and not page.locator(".scale.color").count()
    page.evaluate("location.hash = '#sample-0-3'")
    page.wait_for_selector("dialog .meaning-line .scale.gray")


def wide(page, shots):
    """All 3072 units of 768 features fit in 5 MB, which the page's size is checked for beside."""
    assert page.evaluate("layerOf(0, 0).kept") == 3072 and not page.locator(".left-out").is_visible()


def table(page, shots):
    """Columns by their names: what units write, and a row beside its reconstruction, in the data's own numbers."""
    with open("docs/tutorials/wine.csv") as file:
        rows = list(csv.DictReader(file))
    names = [name for name in rows[0] if name != "cultivar"]
    lines = page.eval_on_selector_all(".tile-line", "all => all.map(line => line.textContent)")
    assert lines and all(line[0] in "↑↓" and line[2:] in names for line in lines), lines
    page.fill("#unit-search", "malic")
    units, _ = tiles(page)
    assert 0 < len(units) < 26, units
    page.locator(".tile").first.click()
    page.wait_for_selector("dialog .bar-row")
    written = page.eval_on_selector_all("dialog .bar-row .bar-name", "all => all.map(of => of.textContent)")
    assert "malic_acid" in written, written
    page.evaluate("location.hash = '#sample-0-3'")
    page.wait_for_selector(".features tbody tr")
    cells = page.eval_on_selector_all(".features tbody tr", "all => all.map(row => [...row.children].map(cell => cell.textContent))")
    assert [row[0] for row in cells] == names
    for name, shown, redrawn, _ in cells:
        # Three digits, of numbers that the page rounds to 8 bits.
        given, width = float(rows[3][name]), max(float(row[name]) for row in rows) - min(float(row[name]) for row in rows)
        assert abs(float(shown) - given) <= 0.01 * abs(given) + 0.02 * width, (name, shown, given)
    page.locator(".sample-units input").first.uncheck()
    after = page.eval_on_selector_all(".features tbody tr", "all => all.map(row => row.children[2].textContent)")
    assert after != [row[2] for row in cells]


TESTS = [("digits", gallery), ("digits", keys), ("digits", unit), ("digits", sample), ("digits", off), ("digits", headline),
         ("digits", gray), ("tokens", order), ("tokens", sorted_figures), ("five", several), ("wide", wide), ("both", settings), ("both", charts), ("both", layers),
         ("both", theme), ("tokens", tokens), ("many", many), ("disks", disks), ("table", table)]
