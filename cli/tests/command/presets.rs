//! `sae presets`, and trainings that begin with one.

use serde_json::Value;

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
