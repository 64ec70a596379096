//! The page itself: what it says without scripts, then the data and the scripts.

use std::fmt::Write;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::headline;
use super::subject::Subject;
use crate::drawing::chart::escape;
use crate::drawing::picture::Reconstructions;
use crate::failure::Result;
use crate::models::figures;
use crate::output::settings_json;

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

/// The content of the file. The results of `write!` are ignored here and below: writing to a string
/// does not fail.
pub fn page(
    subjects: &[Subject],
    pictures: Option<&Reconstructions>,
    data: &Path,
    (facts, arrays): (&Value, &str),
) -> Result<String> {
    let names: Vec<_> = subjects.iter().map(|subject| escape(&subject.model.name)).collect();
    let (title, count) = (names.join(", "), subjects[0].model.samples.len());
    let mut warnings = String::new();
    for Subject { model, .. } in subjects {
        for warning in model.evaluation.warnings(model.net.settings()) {
            let (name, warning) = (escape(&model.name), escape(&warning));
            let _ =
                writeln!(warnings, "<p class=\"warning\"><strong>{name}</strong>: {warning}.</p>");
        }
    }
    let strips = pictures.map(|pictures| strips(pictures, subjects)).transpose()?;
    // A tag would end the element.
    let facts = facts.to_string().replace('<', "\\u003c");
    let parts = [
        ("title", title),
        ("style", STYLE.to_owned()),
        (
            "about",
            format!("Evaluated on {count} samples of {}", escape(&data.display().to_string())),
        ),
        ("strips", strips.unwrap_or_default()),
        ("headline", headline::cards(subjects)),
        ("warnings", warnings),
        ("figures", figures_table(subjects)),
        ("settings", settings_table(subjects)),
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
    Ok(page + rest)
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

/// Ten images per line, each model's reconstructions below them.
fn strips(pictures: &Reconstructions, subjects: &[Subject]) -> Result<String> {
    const COLUMNS: usize = 10;
    let count = pictures.rows[0].len();
    let mut html = String::from("<figure class=\"strips\">");
    let names: Vec<_> = std::iter::once("test images")
        .chain(subjects.iter().map(|subject| subject.model.name.as_str()))
        .collect();
    for start in (0..count).step_by(COLUMNS) {
        html.push_str("<div>");
        for (at, (name, row)) in names.iter().zip(&pictures.rows).enumerate() {
            let tiles = &row[start..count.min(start + COLUMNS)];
            let name =
                if at == 0 { (*name).to_owned() } else { format!("reconstructions by {name}") };
            let (name, images) = (escape(&name), tiles.len());
            let _ = write!(
                html,
                "<p>{name}</p><span role=\"img\" aria-label=\"{name}, {images} images\">"
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
