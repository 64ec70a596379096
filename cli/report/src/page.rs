//! The page itself: what it says without scripts, then the data and the scripts.

use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sae::Engine;
use serde_json::{Value, json};

use crate::budget;
use crate::error::Result;
use crate::escape::escape;
use crate::explorer;
use crate::figures::{counted, grouped};
use crate::headline::{self, COLORS};
use crate::model::Model;
use crate::pictures::Reconstructions;
use crate::report::Report;
use crate::settings;
use crate::shape::Shape;
use crate::table::figures;
use crate::units::Layer;

/// The page with the places of what differs, `{{name}}`.
const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = concat!(include_str!("page/style.css"), include_str!("page/explorer.css"));
const SCRIPTS: [&str; 8] = [
    include_str!("page/data.js"),
    include_str!("page/draw.js"),
    include_str!("page/chart.js"),
    include_str!("page/curves.js"),
    include_str!("page/gallery.js"),
    include_str!("page/unit.js"),
    include_str!("page/sample.js"),
    include_str!("page/main.js"),
];

/// Images above their reconstructions, at most, and bytes of them.
const SHOWN: usize = 20;
const PICTURES: usize = 600_000;

/// Bytes of a page, about.
const MAX_BYTES: usize = 4_950_000;
/// Times that a page that is too long is made again.
const TRIES: usize = 4;

impl Report<'_> {
    /// The page.
    ///
    /// Units are summarized in one pass over the samples for each hidden layer of the encoders.
    ///
    /// # Errors
    /// There is no model, the models have different samples, or labels, names, numbers or the shape do not fit
    /// these; or a model fails on its samples.
    pub fn html(&self, engine: &mut Engine) -> Result<String> {
        self.check()?;
        let shape = explorer::shape_of(self)?;
        let pictures = match shape {
            Some(_) => self.pictures(engine, shape)?,
            None => None,
        };
        let strips = pictures.map(|pictures| strips(&pictures, self.models)).transpose()?;
        let strips = strips.unwrap_or_default();
        let (mut layers, mut bytes) = (explorer::layers(engine, self)?, budget::ARRAYS);
        for _ in 1..TRIES {
            let (html, compressed) = self.of_bytes(engine, shape, (&mut layers, bytes), &strips)?;
            if html.len() <= MAX_BYTES || self.units.is_some() {
                return Ok(html);
            }
            let others = html.len() - compressed;
            let share = MAX_BYTES.saturating_sub(others) as f64 / compressed as f64;
            bytes = (bytes as f64 * share.max(0.1) * 0.98) as usize;
        }
        Ok(self.of_bytes(engine, shape, (&mut layers, bytes), &strips)?.0)
    }

    /// The first samples and their reconstructions.
    fn pictures(
        &self,
        engine: &mut Engine,
        shape: Option<Shape>,
    ) -> Result<Option<Reconstructions>> {
        let shown: Vec<_> = self.models.iter().map(|model| (&model.net, &model.samples)).collect();
        let rows = self.models[0].samples.features() * (shown.len() + 1);
        Reconstructions::of(&shown, engine, (PICTURES / rows).clamp(2, SHOWN), shape)
    }

    /// The page with arrays of a number of bytes, and how many of its bytes they are.
    fn of_bytes(
        &self,
        engine: &mut Engine,
        shape: Option<Shape>,
        of: (&mut [Vec<Layer>], usize),
        strips: &str,
    ) -> Result<(String, usize)> {
        let (mut facts, arrays) = explorer::facts(engine, self, shape, of)?;
        let (places, arrays) = arrays.finish()?;
        facts["data"] = json!(self.data);
        facts["arrays"] = places;
        Ok((page(self, strips, (&facts, &arrays)), arrays.len()))
    }
}

/// The content of the file. The results of `write!` are ignored here and below: writing to a string
/// does not fail.
fn page(report: &Report<'_>, strips: &str, (facts, arrays): (&Value, &str)) -> String {
    let Report { models, data, .. } = *report;
    let names: Vec<_> = models.iter().map(|model| escape(&model.name)).collect();
    let (title, count) = (names.join(", "), models[0].samples.len());
    let mut warnings = String::new();
    for model in models {
        for warning in model.evaluation.warnings(model.net.settings()) {
            let (name, warning) = (escape(&model.name), escape(&warning));
            let _ =
                writeln!(warnings, "<p class=\"warning\"><strong>{name}</strong>: {warning}.</p>");
        }
    }
    // A tag would end the element.
    let facts = facts.to_string().replace('<', "\\u003c");
    let parts = [
        ("title", title),
        ("style", STYLE.to_owned()),
        (
            "about",
            format!(
                "Evaluated on {} of {}",
                grouped(counted(count, "sample")),
                escape(data).replace('/', "/<wbr>")
            ),
        ),
        ("strips", strips.to_owned()),
        ("headline", headline::cards(models)),
        ("warnings", warnings),
        ("figures", figures_table(models)),
        ("settings", settings::section(models)),
        ("facts", facts),
        ("arrays", arrays.to_owned()),
        ("scripts", SCRIPTS.concat()),
    ];
    // Not one after another: what is filled in may have such places.
    let mut page = String::new();
    let mut rest = PAGE;
    while let Some((before, after)) = rest.split_once("{{") {
        let (name, after) = after.split_once("}}").unwrap_or((after, ""));
        page.push_str(before);
        page.push_str(parts.iter().find(|part| part.0 == name).map_or("", |part| &part.1));
        rest = after;
    }
    page + rest
}

fn row(table: &mut String, cell: &str, name: &str, figures: &[String]) {
    let _ = write!(table, "<tr><th scope=\"row\">{}</th>", escape(name));
    for figure in figures {
        let _ = write!(table, "<{cell} class=\"whole\">{}</{cell}>", escape(figure));
    }
    table.push_str("</tr>\n");
}

fn figures_table(models: &[Model]) -> String {
    let mut table = String::from("<div class=\"table\"><table>\n<thead>");
    let names: Vec<_> = models.iter().map(|model| model.name.clone()).collect();
    row(&mut table, "th", "", &names);
    table.push_str("</thead>\n<tbody>\n");
    figures(models).iter().for_each(|(name, figures)| row(&mut table, "td", name, figures));
    table + "</tbody></table></div>"
}

/// Ten images per line, each model's reconstructions below them; of many models one such line.
fn strips(pictures: &Reconstructions, models: &[Model]) -> Result<String> {
    const COLUMNS: usize = 10;
    let count = pictures.rows[0].len().min(if models.len() > 2 { COLUMNS } else { SHOWN });
    let mut html = String::from("<figure class=\"strips\">");
    let names: Vec<_> =
        std::iter::once("Images").chain(models.iter().map(|model| model.name.as_str())).collect();
    for start in (0..count).step_by(COLUMNS) {
        html.push_str("<div>");
        for (at, (name, row)) in names.iter().zip(&pictures.rows).enumerate() {
            let tiles = &row[start..count.min(start + COLUMNS)];
            let name = match at {
                0 => (*name).to_owned(),
                1 if models.len() == 1 => "Reconstructions".to_owned(),
                _ => format!("Reconstructions by {name}"),
            };
            let (name, images) = (escape(&name), counted(tiles.len(), "image"));
            let key = match at {
                1.. if models.len() > 1 => format!("<i class=\"c{}\"></i>", (at - 1) % COLORS),
                _ => String::new(),
            };
            let _ = write!(
                html,
                "<p>{key}{name}</p><span role=\"img\" aria-label=\"{name}, {images}\">"
            );
            for tile in tiles {
                let png = STANDARD.encode(pictures.png(tile)?);
                let _ = write!(html, "<img alt=\"\" src=\"data:image/png;base64,{png}\">");
            }
            html.push_str("</span>");
        }
        html.push_str("</div>");
    }
    Ok(html + "</figure>")
}
