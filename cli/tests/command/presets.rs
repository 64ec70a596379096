//! `sae presets`, and trainings that begin with one.

use serde_json::Value;

use crate::folder::Folder;
use crate::usage::{good, refused, run};

#[test]
fn all_are_listed_with_what_they_set() {
    let text = good(&["presets"]);
    for (name, source) in [
        ("article, sparse", "blog.c1mone.com.tw"),
        ("article-plain, plain, normal", "blog.c1mone.com.tw"),
        ("top-k, topk", "arXiv:2406.04093"),
        ("batch-top-k, batchtopk", "arXiv:2412.06410"),
        ("jump-relu, jumprelu", "arXiv:2407.14435"),
        ("matryoshka", "arXiv:2503.17547"),
        ("matlab", "www.mathworks.com"),
    ] {
        let at = text.find(&format!("{name}\n")).unwrap_or_else(|| panic!("{name}: {text}"));
        assert!(text[at..].contains(source), "{name}: {text}");
    }
    let text = good(&["presets", "topk", "--features", "96", "--steps", "3000"]);
    assert!(!text.contains("matlab") && text.contains("96,384,96*"), "{text}");
    assert!(text.contains("linear:0.2:3000* (default constant)"), "{text}");
}

#[test]
fn json_has_names_values_and_defaults() {
    let value: Value = serde_json::from_str(&good(&["presets", "--json"])).unwrap();
    let presets = value["presets"].as_array().unwrap();
    assert_eq!(presets.len(), 7);
    let matlab = presets.iter().find(|preset| preset["name"] == "matlab").unwrap();
    assert_eq!(matlab["steps"], 1000);
    let setting = |name: &str| {
        let settings = matlab["settings"].as_array().unwrap();
        settings.iter().find(|setting| setting["name"] == name).unwrap().clone()
    };
    let rho = setting("rho");
    assert_eq!((&rho["value"], &rho["default"]), (&"0.05".into(), &"0.02".into()));
    assert_eq!((&rho["follows"], &setting("beta")["follows"]), (&false.into(), &true.into()));
}

#[test]
fn unknown_names_are_refused() {
    let text = refused(&["presets", "dense"]);
    assert!(text.contains("expected article, article-plain, top-k"), "{text}");
    assert_eq!(run(&["presets", "--features", "0"]).status.code(), Some(2));
}

/// A schedule that has ended would train nothing.
#[test]
fn a_training_from_a_model_has_a_schedule_of_its_own() {
    let folder = Folder::new("preset-from");
    let (first, more) = (folder.path("first"), folder.path("more"));
    let json = |args: &[&str]| {
        let json = [&["train", "--quiet", "--json"], args].concat();
        let value: Value = serde_json::from_str(&good(&json)).unwrap();
        value["settings"].clone()
    };
    let preset = ["--preset", "top-k", "--layers", "784,32,784", "--batch", "64"];
    let settings = json(&[&preset[..], &["--steps", "40", "--out", &first]].concat());
    assert_eq!((&settings["schedule"], &settings["warm_up"]), (&"linear:0.2:40".into(), &2.into()));
    let settings = json(&["--from", &first, "--steps", "20", "--out", &more]);
    assert_eq!((&settings["schedule"], &settings["warm_up"]), (&"linear:0.2:20".into(), &1.into()));
    assert!(std::fs::read(&first).unwrap() != std::fs::read(&more).unwrap());
}
