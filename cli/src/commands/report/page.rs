//! The page itself.

use std::fmt::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::charts::{self, Figure};
use super::subject::{Features, Subject};
use crate::drawing::chart::{COLORS, Chart, Mark, escape};
use crate::drawing::picture::{Grid, Reconstructions};
use crate::failure::Result;
use crate::models::figures;
use crate::output::settings_json;

/// The style sheet, except the light colors of the charts.
const STYLE: &str = include_str!("style.css");

/// The content of the file. The results of `write!` are ignored here and below: writing to a string
/// does not fail.
pub fn page(
    subjects: &[Subject],
    pictures: Option<&Reconstructions>,
    data: &Path,
    facts: &Value,
) -> Result<String> {
    let names: Vec<_> = subjects.iter().map(|subject| escape(&subject.model.name)).collect();
    let (title, count) = (names.join(", "), subjects[0].model.samples.len());
    let data = escape(&data.display().to_string());
    let colors = COLORS.iter().enumerate();
    let colors: String =
        colors.map(|(at, color)| format!(".c{at} {{ --color: {color} }}\n")).collect();
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>{title}</title>\n<style>{colors}{STYLE}</style>\n</head>\n<body>\n\
         <h1>{title}</h1>\n<p class=\"soft\">Evaluated on {count} samples of {data}.</p>\n"
    );
    for Subject { model, .. } in subjects {
        for warning in model.evaluation.warnings(model.net.settings()) {
            let (name, warning) = (escape(&model.name), escape(&warning));
            let _ = writeln!(page, "<p class=\"warning\"><strong>{name}</strong>: {warning}.</p>");
        }
    }
    section(&mut page, "figures", "Figures", &figures_table(subjects));
    if let Some(pictures) = pictures {
        let strips = strips(pictures, subjects)?;
        section(&mut page, "reconstructions", "Test images and their reconstructions", &strips);
    }
    let of_training = [charts::objective, charts::activity, charts::steering];
    let curves: Vec<_> =
        subjects.iter().flat_map(|s| of_training.iter().filter_map(|figure| figure(s))).collect();
    let curves = if curves.is_empty() {
        "<p>There are no curves, because there are no history files beside the models.</p>".into()
    } else {
        cards(&curves)
    };
    section(&mut page, "training", "The training", &curves);
    let features = features(subjects);
    if !features.is_empty() {
        section(&mut page, "features", "What the units respond to", &features);
    }
    let histograms: Vec<_> = subjects.iter().flat_map(charts::histograms).collect();
    section(&mut page, "activations", "How active the units are", &cards(&histograms));
    let sparsity = |s| charts::kl_curve(s).unwrap_or_else(|| charts::mean_activations(s));
    let sparsity: Vec<_> = subjects.iter().map(sparsity).collect();
    section(&mut page, "sparsity", "Sparsity of each unit", &cards(&sparsity));
    section(&mut page, "settings", "Settings", &settings_table(subjects));
    // A tag would end the element.
    let facts = facts.to_string().replace('<', "\\u003c");
    let _ = write!(
        page,
        "<h2 id=\"data\">Data</h2>\n<p>The element <code>script#sae-report</code> of this \
         file has all of the above as JSON; each chart has its numbers below it.</p>\n\
         <script type=\"application/json\" id=\"sae-report\">{facts}</script>\n</body>\n</html>\n"
    );
    Ok(page)
}

fn section(page: &mut String, id: &str, title: &str, content: &str) {
    let _ = writeln!(page, "<section>\n<h2 id=\"{id}\">{title}</h2>\n{content}\n</section>");
}

fn row(table: &mut String, cell: &str, class: &str, name: &str, figures: &[String]) {
    let _ = write!(table, "<tr{class}><th scope=\"row\">{}</th>", escape(name));
    for figure in figures {
        let _ = write!(table, "<{cell}>{}</{cell}>", escape(figure));
    }
    table.push_str("</tr>\n");
}

fn table(subjects: &[Subject], rows: impl Iterator<Item = (String, Vec<String>, bool)>) -> String {
    let mut table = String::from("<div class=\"table\"><table>\n<thead>");
    let names: Vec<_> = subjects.iter().map(|subject| subject.model.name.clone()).collect();
    row(&mut table, "th", "", "", &names);
    table.push_str("</thead>\n<tbody>\n");
    for (name, figures, differs) in rows {
        row(&mut table, "td", if differs { " class=\"differs\"" } else { "" }, &name, &figures);
    }
    table + "</tbody></table></div>"
}

fn figures_table(subjects: &[Subject]) -> String {
    let models: Vec<_> = subjects.iter().map(|subject| &subject.model).collect();
    table(subjects, figures(&models).into_iter().map(|(name, figures)| (name, figures, false)))
}

/// All settings; those that differ between the models are bold.
fn settings_table(subjects: &[Subject]) -> String {
    let all: Vec<Value> =
        subjects.iter().map(|subject| settings_json(subject.model.net.settings())).collect();
    let fields = all[0].as_object().into_iter().flatten();
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "–".into(),
        Value::Array(list) if list.is_empty() => "–".into(),
        value => value.to_string(),
    };
    let rows = fields.map(|(field, _)| {
        let values: Vec<_> = all.iter().map(|settings| text(&settings[field])).collect();
        let differs = values.iter().any(|value| *value != values[0]);
        (field.replace('_', " "), values, differs)
    });
    table(subjects, rows)
}

fn image(png: &[u8], label: &str) -> String {
    let (data, label) = (STANDARD.encode(png), escape(label));
    format!("<img alt=\"{label}\" src=\"data:image/png;base64,{data}\">")
}

/// Ten images per line, each model's reconstructions below them.
fn strips(pictures: &Reconstructions, subjects: &[Subject]) -> Result<String> {
    let count = pictures.rows[0].len();
    let columns = count.min(10);
    let mut html = String::from("<figure class=\"pictures strips\">");
    let names: Vec<_> = std::iter::once("test images")
        .chain(subjects.iter().map(|subject| subject.model.name.as_str()))
        .collect();
    for start in (0..count).step_by(columns) {
        html.push_str("<div>");
        for (name, row) in names.iter().zip(&pictures.rows) {
            let tiles = &row[start..count.min(start + columns)];
            let grid = Grid { zoom: 1, ..Grid::new(pictures.tile, columns, usize::MAX) };
            let image = image(&grid.png(tiles)?, &format!("{name}, {} images", tiles.len()));
            let _ = write!(html, "<span>{}</span>{image}", escape(name));
        }
        html.push_str("</div>");
    }
    Ok(html + "</figure>")
}

fn features(subjects: &[Subject]) -> String {
    let mut html = String::new();
    for subject in subjects {
        for (l, Features { png, shown, units }) in subject.features.iter().enumerate() {
            let name = &subject.model.name;
            let title = format!("{name}: layer {}", l + 1);
            let count = match shown < units {
                true => format!("the first {shown} of {units} units"),
                false => format!("all {units} units"),
            };
            let what = match l {
                0 => "their weights",
                _ => "the input of a given length that activates each of them most",
            };
            let (image, title) = (image(png, &title), escape(&title));
            let _ = writeln!(
                html,
                "<figure class=\"pictures\"><figcaption>{title}</figcaption>{image}<p>{count}: {what}; \
                 gray is 0.</p></figure>"
            );
        }
    }
    if html.is_empty() { html } else { format!("<div class=\"cards\">{html}</div>") }
}

fn cards(figures: &[Figure]) -> String {
    let mut html = String::from("<div class=\"cards\">\n");
    for Figure { title, chart, note } in figures {
        let (escaped, svg) = (escape(title), chart.element(title));
        let _ = write!(html, "<figure><figcaption>{escaped}</figcaption>\n{svg}\n");
        if chart.series.len() > 1 {
            html.push_str("<ul class=\"keys\">");
            for series in &chart.series {
                let (color, name) = (series.color, escape(&series.name));
                let _ = write!(html, "<li><i class=\"c{color}\"></i>{name}</li>");
            }
            html.push_str("</ul>");
        }
        if !note.is_empty() {
            let _ = write!(html, "<p>{}</p>", escape(note));
        }
        let numbers = escape(&numbers(chart));
        let _ = write!(html, "<details><summary>Numbers</summary><pre>{numbers}</pre></details>");
        html.push_str("</figure>\n");
    }
    html + "</div>"
}

/// The points of a chart as CSV.
fn numbers(chart: &Chart) -> String {
    let plain = |name: &str| name.replace(',', "");
    let mut text = format!("series,{},{}\n", plain(chart.x.0), plain(chart.y.0));
    for series in &chart.series {
        // The last point of bars only ends them.
        let end = series.points.len() - usize::from(series.mark == Mark::Bars);
        for (x, y) in &series.points[..end] {
            let _ = writeln!(text, "{},{x},{y}", plain(&series.name));
        }
    }
    text
}
