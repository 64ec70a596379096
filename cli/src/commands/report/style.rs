//! How the page looks.

use crate::chart::COLOURS;

/// [`COLOURS`] for the dark.
const DARK: [&str; 6] = ["#74b6ec", "#f0a060", "#63c796", "#bda2f2", "#b4b4b4", "#f08c8c"];

const RULES: &str = "
:root { color-scheme: light dark; --paper: #ffffff; --ink: #1c1c1e; --soft: #5c5c63; --rule: #e2e2e6; --card: #f7f7f9 }
* { box-sizing: border-box }
body { margin: 0 auto; max-width: 1320px; padding: 2rem clamp(.9rem, 3vw, 2.5rem) 4rem; background: var(--paper);
  color: var(--ink); font: 16px/1.5 system-ui, sans-serif; overflow-wrap: anywhere }
h1 { font-size: clamp(1.5rem, 4vw, 2.1rem); line-height: 1.2; margin: 0 0 .3rem }
h2 { font-size: 1.25rem; margin: 2.8rem 0 .9rem; padding-bottom: .3rem; border-bottom: 1px solid var(--rule) }
p { max-width: 70ch; margin: .4rem 0 1rem }
.soft, figcaption small { color: var(--soft) }
.cards { display: grid; gap: 1rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 460px), 1fr)) }
figure { margin: 0; padding: .9rem; background: var(--card); border: 1px solid var(--rule); border-radius: 10px;
  break-inside: avoid }
figcaption { font-weight: 600; margin-bottom: .5rem }
figure > p { font-size: .9rem; color: var(--soft); margin: .4rem 0 0 }
svg { display: block; width: 100%; height: auto; max-width: 560px; font: 13px system-ui, sans-serif }
svg .grid { stroke: var(--rule) }
svg .tick { fill: var(--soft) }
svg .name { fill: var(--ink) }
.keys { display: flex; flex-wrap: wrap; gap: .2rem 1rem; margin: .3rem 0 0; padding: 0; list-style: none; font-size: .9rem }
.keys i { display: inline-block; width: .8em; height: .8em; border-radius: 3px; margin-right: .4em; vertical-align: -.05em }
.pictures img { display: block; width: 100%; image-rendering: pixelated; border-radius: 4px }
.strips { max-width: 900px }
.strips div { margin-bottom: .7rem }
.strips span { display: block; font-size: .85rem; color: var(--soft) }
.table { overflow-x: auto }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; overflow-wrap: normal }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; border-bottom: 1px solid var(--rule); vertical-align: top }
td + td, th + th, th + td { padding-left: .9rem }
th { font-weight: 500; color: var(--soft) }
thead th { color: var(--ink); font-weight: 600 }
tr.differs td { font-weight: 600 }
details { margin-top: .5rem; font-size: .85rem }
summary { cursor: pointer; color: var(--soft) }
pre { max-height: 16rem; overflow: auto; user-select: all; padding: .6rem; background: var(--paper); border: 1px solid var(--rule);
  border-radius: 6px; overflow-wrap: normal }
";

const DARK_RULES: &str =
    "--paper: #151517; --ink: #ececf0; --soft: #a4a4ad; --rule: #333338; --card: #1d1d20";

const PRINT_RULES: &str = "
@media print {
  :root { color-scheme: light }
  body { font-size: 11pt; padding: 0; max-width: none }
  details { display: none }
  h2 { break-after: avoid }
  .cards { grid-template-columns: 1fr 1fr }
  * { print-color-adjust: exact }
}";

/// The content of the page's style element.
pub fn sheet() -> String {
    let colours = |colours: [&str; 6]| -> String {
        colours.iter().enumerate().map(|(at, colour)| format!(" --c{at}: {colour};")).collect()
    };
    let mut sheet = format!("{RULES}:root {{{} }}\n", colours(COLOURS));
    for at in 0..COLOURS.len() {
        sheet += &format!(
            "svg .line.c{at} {{ stroke: var(--c{at}) }} svg .dot.c{at}, svg .bar.c{at} {{ fill: var(--c{at}) }} .keys .c{at} {{ background: var(--c{at}) }}\n"
        );
    }
    sheet += &format!(
        "@media screen and (prefers-color-scheme: dark) {{ :root {{ {DARK_RULES};{} }} }}",
        colours(DARK)
    );
    sheet + PRINT_RULES
}
