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
    assert!(text.contains("linear:0.2:3000* (article constant)"), "{text}");
}

#[test]
fn json_has_names_values_and_defaults() {
    let value: Value = serde_json::from_str(&good(&["presets", "--json"])).unwrap();
    let presets = value["presets"].as_array().unwrap();
    assert_eq!(presets.len(), 8);
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

/// The samples decide the settings of a training without a preset.
#[test]
fn images_have_a_preset_and_other_samples_another() {
    let folder = Folder::new("preset-default");
    let [flat, images] = ["flat.npy", "images.npy"].map(|name| folder.path(name));
    let numbers: Vec<f32> = (0..40 * 12).map(|at| (at * at % 17) as f32 / 16.0).collect();
    sae::data::write_npy(&flat, &[40, 12], &numbers).unwrap();
    sae::data::write_npy(&images, &[40, 3, 4], &numbers).unwrap();
    let rows = ["--rows", "first", "--scaling", "as-is"];
    let with = |samples: &str, more: &[&str]| -> Value {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_sae"));
        command.args(["train", "--quiet", "--json", "--samples", samples]).args(rows).args(more);
        let output = command.current_dir(&folder.0).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    };
    let steps = ["--steps", "3"];
    let of_images = with(&images, &steps)["settings"].clone();
    assert_eq!((&of_images["layers"][1], &of_images["batch"]), (&300.into(), &512.into()));
    assert_eq!(of_images["code"], "top-k:32");
    let of_flat = with(&flat, &steps)["settings"].clone();
    assert_eq!((&of_flat["layers"][1], &of_flat["batch"]), (&128.into(), &1024.into()));
    let named = |preset: &str, samples: &str| {
        with(samples, &["--steps", "3", "--preset", preset])["settings"].clone()
    };
    assert_eq!((named("images", &images), named("top-k", &flat)), (of_images, of_flat));
    assert_eq!(named("article", &flat)["layers"], serde_json::json!([12, 300, 30, 300, 12]));
    // Their steps, too.
    assert_eq!(with(&images, &["--layers", "12,4,12", "--batch", "2"])["steps"], 2000);
    let matlab = with(&flat, &["--preset", "matlab", "--layers", "12,1,12"]);
    assert_eq!(matlab["steps"], 1000);
}

#[test]
fn unknown_names_are_refused() {
    let text = refused(&["presets", "dense"]);
    assert!(text.contains("expected article, article-plain, images, top-k"), "{text}");
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
