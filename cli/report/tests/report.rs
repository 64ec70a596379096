//! Pages of small models, and what is refused.

use sae::{Engine, Isa, Preset, Samples, Scaling, Settings, Trainer};
use sae::{compute::ThreadPool, data::Array};
use sae_report::shape::Shape;
use sae_report::{History, Model, Report};
use serde_json::Value;

fn engine() -> Engine {
    Engine::new(Isa::detect(), ThreadPool::new(1))
}

/// A model of 6 features that has not learned anything, on this many samples.
fn model(count: usize) -> Model {
    let values = (0..count * 6).map(|at| (at % 11) as f32 / 10.0).collect();
    untrained(Samples::from_values(values, 6).unwrap())
}

fn untrained(samples: Samples) -> Model {
    let features = samples.features();
    let settings = Settings { layers: vec![features, 4, features], ..Settings::default() };
    let net = Trainer::builder(settings).build(&samples).unwrap().into_autoencoder();
    Model::new("a<b", net, samples, &mut engine()).unwrap()
}

fn facts(page: &str) -> Value {
    let after = page.split("id=\"sae-report\">").nth(1).unwrap();
    serde_json::from_str(after.split("</script>").next().unwrap()).unwrap()
}

#[test]
fn a_page_has_what_is_given() {
    let columns = [("step", [1.0, 2.0]), ("objective", [0.5, f64::NAN])];
    let columns = columns.map(|(name, rows)| (name.to_owned(), rows.to_vec())).to_vec();
    let model = Model { history: Some(History { columns, is_of_batches: true }), ..model(12) };
    let names: Vec<String> = (0..12).map(|at| format!("n{at}")).collect();
    let labels: Vec<u8> = (0..12).map(|at| at % 3).collect();
    let models = [model];
    let report = Report {
        names: Some(&names),
        labels: Some(&labels),
        context: 2,
        ..Report::new(&models, "<data>")
    };
    let page = report.html(&mut engine()).unwrap();
    let facts = facts(&page);
    assert!(page.contains("a&lt;b") && !page.contains("a<b"));
    assert!(page.contains("12 samples of &lt;data&gt;"));
    assert_eq!(facts["names"][0][1][11], "n11");
    assert_eq!(facts["context"], 2);
    assert_eq!(facts["models"][0]["model"], Value::Null);
    assert_eq!(facts["models"][0]["layers"][0]["classes"], 3);
    assert_eq!(facts["models"][0]["history"]["objective"][1], Value::Null);
    assert_eq!(facts["models"][0]["history_of_batches"], true);
    assert_eq!(facts["image"], Value::Null);
    let shape = Shape::of_dims(&[2, 3]);
    let page = Report { shape, ..report }.html(&mut engine()).unwrap();
    assert_eq!(self::facts(&page)["image"]["columns"], 3);
    assert_eq!(page.matches("data:image/png").count(), 24);
}

/// Noise, which hardly compresses.
fn noise(count: usize) -> Vec<f32> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 16) as f32 / 65536.0
    };
    (0..count).map(next).collect()
}

fn of_units(samples: &Samples, units: usize) -> Model {
    let features = samples.features();
    let code = "top-k:16".parse().unwrap();
    let layers = vec![features, units, features];
    let settings = Settings { layers, code, ..Settings::preset(Preset::TopK) };
    let net = Trainer::builder(settings).build(samples).unwrap().into_autoencoder();
    Model::new(format!("{units}"), net, samples.clone(), &mut engine()).unwrap()
}

/// A page has at most 5 MB, whatever the model and the samples.
#[test]
fn a_page_is_at_most_5_mb() {
    let transformer = Samples::from_values(noise(600 * 768), 768).unwrap();
    let names: Vec<String> = (0..600).map(|at| format!("token {at}")).collect();
    let labels: Vec<u8> = (0..600).map(|at| (at % 250) as u8).collect();
    for (units, is_whole) in [(3072, true), (6000, false)] {
        let models = [of_units(&transformer, units)];
        let report = Report::new(&models, "data");
        let full = Report { names: Some(&names), labels: Some(&labels), context: 8, ..report };
        for (report, is_whole) in [(report, is_whole), (full, false)] {
            let page = report.html(&mut engine()).unwrap();
            assert!((3_000_000..5_000_000).contains(&page.len()), "{units}: {}", page.len());
            let kept = facts(&page)["models"][0]["layers"][0]["kept"].as_u64();
            assert!(kept > Some(1200), "{kept:?}");
            assert!(!is_whole || kept == Some(units as u64), "{units}: {kept:?}");
        }
    }
    // What is not in arrays leaves less for them: a long course.
    let loss = noise(50_000).iter().map(|&value| f64::from(value) / 3.0).collect();
    let columns =
        vec![("step".to_owned(), (0..50_000).map(f64::from).collect()), ("loss".to_owned(), loss)];
    let history = Some(History { columns, is_of_batches: false });
    let models = [Model { history, ..of_units(&transformer, 6000) }];
    let page = Report::new(&models, "data").html(&mut engine()).unwrap();
    assert!((4_500_000..5_000_000).contains(&page.len()), "{}", page.len());
    // Photographs, whose pictures, too, are of several models.
    let bytes: Vec<f32> = noise(40 * 96 * 96 * 3).iter().map(|v| (255.0 * v).floor()).collect();
    let photos = Samples::new(Array::from_values(bytes, 96 * 96 * 3).unwrap(), Scaling::Byte);
    let models: Vec<_> = (0..3).map(|at| of_units(&photos, 20 + at)).collect();
    let report = Report { shape: Shape::of_dims(&[96, 96, 3]), ..Report::new(&models, "photos") };
    let page = report.html(&mut engine()).unwrap();
    assert!((2_000_000..5_000_000).contains(&page.len()), "{}", page.len());
}

/// Samples that are the same in several models are in the page once.
#[test]
fn samples_are_in_a_page_once() {
    let samples = Samples::from_values(noise(200 * 64), 64).unwrap();
    let models: Vec<_> = (0..3).map(|at| of_units(&samples, 30 + at)).collect();
    let page = Report::new(&models, "data").html(&mut engine()).unwrap();
    let facts = facts(&page);
    assert_eq!(facts["arrays"]["m0.x"], facts["arrays"]["m2.x"]);
    assert_ne!(facts["arrays"]["m0.decoder0"], facts["arrays"]["m2.decoder0"]);
    // All units are in full, so that nothing of a sample is drawn apart.
    assert!(facts["arrays"]["m0.rest"].is_null());
}

#[test]
fn features_with_names_are_a_table_not_a_square() {
    let ones = (0..20 * 64).map(|at| (at % 11) as f32 / 10.0).collect();
    let bytes: Vec<f32> = (0..20 * 64).map(|at| (at % 256) as f32).collect();
    let bytes = Samples::new(Array::from_values(bytes, 64).unwrap(), Scaling::Byte);
    let ones = [untrained(Samples::from_values(ones, 64).unwrap())];
    let bytes = [untrained(bytes)];
    let numbered: Vec<String> = (0..64).map(|at| format!("pixel{at}")).collect();
    let mut words = numbered.clone();
    words[3] = "alcohol".to_owned();
    let shape = Shape::of_dims(&[4, 16]);
    for (models, features, shape, rows) in [
        (&ones, None, None, Some(8)),
        (&ones, Some(&numbered), None, None),
        (&ones, Some(&words), None, None),
        (&ones, Some(&words), shape, Some(4)),
        (&bytes, None, None, Some(8)),
        (&bytes, Some(&numbered), None, Some(8)),
        (&bytes, Some(&words), None, None),
        (&bytes, Some(&words), shape, Some(4)),
    ] {
        let features = features.map(Vec::as_slice);
        let report = Report { features, shape, ..Report::new(models, "data") };
        let page = report.html(&mut engine()).unwrap();
        let facts = facts(&page);
        assert_eq!(facts["image"]["rows"].as_u64(), rows);
        // A page has pictures or a table, not tiles of one and samples of the other.
        assert_eq!(page.contains("data:image/png"), rows.is_some());
        let shown = features.filter(|_| rows.is_none()).map(|names| names[3].as_str());
        assert_eq!(facts["features"][3].as_str(), shown);
        assert_eq!(facts["lines"].is_null(), shown.is_none());
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let models = [model(12)];
    let (names, labels) = (vec![String::new(); 11], vec![0; 13]);
    let good = Report::new(&models, "data");
    let others = [model(12), model(10)];
    for (report, sentence) in [
        (Report::new(&[], "data"), "models: expected at least one model, got none"),
        (Report { models: &others, ..good }, "models: a<b has 10 samples, and a<b 12"),
        (
            Report { names: Some(&names), ..good },
            "names: expected one for each of the 12 samples, got 11",
        ),
        (
            Report { labels: Some(&labels), ..good },
            "labels: expected one for each of the 12 samples, got 13",
        ),
        (
            Report { numbers: Some(&[1]), ..good },
            "numbers: expected one for each of the 12 samples, got 1",
        ),
        (
            Report { shape: Shape::of_dims(&[2, 2]), ..good },
            "shape: 2 x 2 pixels of 1 channel are 4 numbers, and a sample has 6",
        ),
    ] {
        let problem = report.html(&mut engine()).err().map(|error| error.to_string());
        assert!(problem.as_deref().is_some_and(|p| p.starts_with(sentence)), "{problem:?}");
    }
}
