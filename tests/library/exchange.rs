//! Dictionaries of other libraries. Those of `tests/recorded/exchange` were written by the real ones, with what
//! these make of some samples.

use std::fs;
use std::path::{Path, PathBuf};

use sae::files::exchange::{
    Format, Metadata, Tensor, export, from_dictionary_learning, import, is_dictionary,
    to_dictionary_learning,
};
use sae::{
    Activation, Autoencoder, Code, Engine, Isa, Samples, Scaling, Settings, Trainer,
    compute::ThreadPool,
};
use safetensors::SafeTensors;

use crate::folder::Folder;

mod transcoders;

fn recorded() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded/exchange")
}

fn engine() -> Engine {
    Engine::new(Isa::detect(), ThreadPool::new(1))
}

fn tensors(path: &Path) -> Vec<Tensor> {
    let bytes = fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (&str, safetensors::tensor::TensorView<'_>)| Tensor {
        name: name.to_owned(),
        shape: view.shape().to_vec(),
        values: view.data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
    };
    file.iter().map(tensor).collect()
}

fn named(tensors: &[Tensor], name: &str) -> Vec<f32> {
    tensors.iter().find(|tensor| tensor.name == name).unwrap().values.clone()
}

/// Fails unless numbers differ by at most a part of the largest, and zeros are in the same places.
#[track_caller]
fn close(have: &[f32], want: &[f32], zeros: bool, what: &str) {
    assert_eq!(have.len(), want.len(), "{what}");
    let largest = want.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    for (at, (a, b)) in have.iter().zip(want).enumerate() {
        assert!((a - b).abs() <= 2e-6 * largest, "{what}: {a} and {b} at {at}");
        assert!(!zeros || (*a == 0.0) == (*b == 0.0), "{what}: {a} and {b} at {at}");
    }
}

/// Fails unless a network makes of the samples what was recorded.
#[track_caller]
fn check(net: &Autoencoder, folder: &Path) {
    let expected = tensors(&folder.join("expected.safetensors"));
    let features = net.settings().layers[0];
    let samples = Samples::from_values(named(&expected, "samples"), features).unwrap();
    let what = folder.display().to_string();
    let codes = net.encode(&mut engine(), &samples).unwrap();
    close(&codes, &named(&expected, "codes"), true, &what);
    let reconstructions = net.reconstruct(&mut engine(), &samples).unwrap();
    close(&reconstructions, &named(&expected, "reconstructions"), false, &what);
}

fn load(name: &str) -> Autoencoder {
    let folder = recorded().join(name);
    if !name.starts_with("dictionary-learning") {
        return import(&folder).unwrap();
    }
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    from_dictionary_learning(&folder, &config, tensors(&folder.join("state.safetensors"))).unwrap()
}

const CASES: [(&str, &str); 21] = [
    ("saelens-standard", "dense"),
    ("saelens-standard-no-input-bias", "dense"),
    ("saelens-standard-float16", "dense"),
    ("saelens-standard-bfloat16", "dense"),
    ("saelens-topk", "top-k:2"),
    ("saelens-topk-rescaled", "top-k:2"),
    ("saelens-topk-old", "top-k:2"),
    ("saelens-jumprelu", "jump-relu:0:0.1:0.1"),
    ("saelens-batchtopk", "batch-top-k:2"),
    ("saelens-matryoshka", "batch-top-k:2"),
    ("sparsify-topk", "top-k:2"),
    ("sparsify-hookpoints", "top-k:2"),
    ("gemma-scope", "jump-relu:0:0.1:0.1"),
    ("gemma-scope-compressed", "jump-relu:0:0.1:0.1"),
    ("dictionary-learning-AutoEncoder", "dense"),
    ("dictionary-learning-AutoEncoderNew", "dense"),
    ("dictionary-learning-AutoEncoderTopK", "top-k:2"),
    ("dictionary-learning-BatchTopKSAE", "batch-top-k:2"),
    ("dictionary-learning-BatchTopKSAE-unset", "batch-top-k:2"),
    ("dictionary-learning-MatryoshkaBatchTopKSAE", "batch-top-k:2"),
    ("dictionary-learning-JumpReluAutoEncoder", "jump-relu:0:0.1:0.1"),
];

#[test]
fn recorded_dictionaries_give_what_their_libraries_give() {
    let folder = Folder::new("exchange-recorded");
    for (name, code) in CASES {
        let net = load(name);
        assert_eq!(net.settings().code.to_string(), code, "{name}");
        assert_eq!(net.scaling(), Scaling::AsIs);
        let place = match name {
            "sparsify-hookpoints" => recorded().join(name).join("layers.3"),
            _ => recorded().join(name),
        };
        check(&net, &place);
        // It is an ordinary model.
        net.save(folder.0.join("m.safetensors")).unwrap();
        assert_eq!(Autoencoder::load(folder.0.join("m.safetensors")).unwrap(), net, "{name}");
    }
    let archive = recorded().join("gemma-scope/params.npz");
    assert!(is_dictionary(&archive) && is_dictionary(recorded().join("sparsify-hookpoints")));
    assert_eq!(import(archive).unwrap(), load("gemma-scope"));
    assert!(!is_dictionary(folder.0.join("m.safetensors")) && !is_dictionary(folder.0.join("")));
}

/// The formats that a code has, and that of dictionary_learning.
fn formats(code: Code) -> &'static [Format] {
    match code {
        Code::TopK(_) => &[Format::SaeLens, Format::Sparsify],
        _ => &[Format::SaeLens, Format::GemmaScope],
    }
}

#[test]
fn exports_come_back() {
    let folder = Folder::new("exchange-back");
    for (name, _) in CASES {
        let net = load(name);
        let place = recorded().join(name.replace("hookpoints", "hookpoints/layers.3"));
        for &format in formats(net.settings().code) {
            let to = folder.0.join(format!("{name}-{}.npz", format.name()));
            export(&net, format, &to, &Metadata::default()).unwrap();
            assert_eq!(to.is_dir(), format.is_folder());
            let again = import(&to).unwrap();
            check(&again, &place);
            if format == Format::SaeLens {
                // Nothing is folded, and the metadata tell a batch-top-k.
                assert_eq!(again, net, "{name}");
            }
        }
        for refused in Format::ALL.into_iter().filter(|f| !formats(net.settings().code).contains(f))
        {
            let to = folder.0.join("refused");
            let problem = export(&net, refused, &to, &Metadata::default()).unwrap_err().to_string();
            assert!(problem.contains("(field code)"), "{problem}");
            assert!(!to.exists());
        }
        let (config, state) = to_dictionary_learning(&net).unwrap();
        check(&from_dictionary_learning("ae.pt", &config, state).unwrap(), &place);
    }
}

fn small(settings: Settings, scaling: Scaling) -> Autoencoder {
    let mut net = Autoencoder::new(settings, scaling).unwrap();
    let numbers = net.parameters_mut().iter_mut().zip(1..);
    numbers.for_each(|(p, at)| *p = (at * at % 37) as f32 * 0.03 - 0.4);
    let thresholds = net.settings().code != Code::Dense;
    if thresholds && let Some(last) = net.parameters_mut().last_mut() {
        *last = 0.5;
    }
    net
}

fn relu(code: &str) -> Settings {
    Settings {
        layers: vec![4, 9, 4],
        activation: Activation::Relu,
        output_activation: Activation::Linear,
        beta: 0.0,
        code: code.parse().unwrap(),
        ..Settings::default()
    }
}

#[test]
fn a_scaling_is_folded_in() {
    let folder = Folder::new("exchange-scaling");
    let values: Vec<f32> = (0..80).map(|at| (at * at % 23) as f32 * 3.0 - 7.0).collect();
    let plain = Samples::from_values(values, 4).unwrap();
    let scaling = Scaling::MeanDeviation { mean: 11.0, deviation: 20.0 };
    for code in ["dense", "top-k:3", "batch-top-k:3"] {
        let net = small(relu(code), scaling.clone());
        let codes = net.encode(&mut engine(), &plain.clone().scaled(scaling.clone())).unwrap();
        for &format in formats(net.settings().code) {
            let to = folder.0.join(format!("{code}-{}.npz", format.name()).replace(':', "-"));
            export(&net, format, &to, &Metadata::default()).unwrap();
            let again = import(&to).unwrap();
            assert_eq!(again.scaling(), Scaling::AsIs);
            let have = again.encode(&mut engine(), &plain).unwrap();
            close(&have, &codes, false, code);
        }
    }
}

#[test]
fn saelens_keeps_where_activations_are_from() {
    let folder = Folder::new("exchange-metadata");
    let net = small(relu("batch-top-k:3"), Scaling::AsIs);
    let metadata = Metadata {
        model_name: Some("gpt2-small".into()),
        hook_name: Some("blocks.8.hook_resid_pre".into()),
        hook_name_out: None,
    };
    export(&net, Format::SaeLens, folder.0.join("a"), &metadata).unwrap();
    let text = fs::read_to_string(folder.0.join("a/cfg.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(config["metadata"]["model_name"], "gpt2-small");
    assert_eq!(config["metadata"]["hook_name"], "blocks.8.hook_resid_pre");
    assert_eq!(config["metadata"]["training_architecture"], "batchtopk");
    assert_eq!((&config["architecture"], &config["d_sae"]), (&"jumprelu".into(), &9.into()));
    assert_eq!(config["apply_b_dec_to_input"], false);
    // A folder with something in it stays.
    let before = fs::read(folder.0.join("a/sae_weights.safetensors")).unwrap();
    let other = small(relu("dense"), Scaling::AsIs);
    let problem = export(&other, Format::SaeLens, folder.0.join("a"), &metadata).unwrap_err();
    assert!(problem.to_string().ends_with("expected a new or empty folder, but it has files"));
    assert_eq!(fs::read(folder.0.join("a/sae_weights.safetensors")).unwrap(), before);
    fs::create_dir(folder.0.join("b")).unwrap();
    export(&other, Format::SaeLens, folder.0.join("b"), &metadata).unwrap();
    let names = fs::read_dir(folder.0.join("")).unwrap().count();
    assert_eq!(names, 2, "no temporary folder stays");
}

#[test]
fn networks_that_formats_cannot_express_are_refused() {
    let folder = Folder::new("exchange-refused");
    let scaling = || Scaling::AsIs;
    let sigmoid =
        Settings { beta: 0.0, ..Settings { activation: Activation::Sigmoid, ..relu("dense") } };
    let deep = Settings { layers: vec![4, 5, 3, 5, 4], ..relu("dense") };
    let output = Settings { output_activation: Activation::Relu, ..relu("dense") };
    let mut negative = small(relu("jump-relu:0"), scaling());
    let first = negative.layers()[1].biases().end;
    negative.parameters_mut()[first..].fill(0.5);
    negative.parameters_mut()[first + 2] = -0.25;
    for (net, sentence) in [
        (small(sigmoid, scaling()), "the code's activation is sigmoid (field activation)"),
        (small(deep, scaling()), "the network has 3 hidden layers (field layers)"),
        (small(output, scaling()), "the output is relu (field output_activation)"),
        (small(relu("dense"), Scaling::LayerNorm), "scaling: layer-norm depends on each sample"),
        (negative, "the threshold of unit 2 (from 0) is -0.125"),
    ] {
        for format in Format::ALL {
            let to = folder.0.join("out");
            let problem = export(&net, format, &to, &Metadata::default()).unwrap_err().to_string();
            assert!(problem.contains(sentence), "{problem}");
            assert!(!to.exists());
        }
        let problem = to_dictionary_learning(&net).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{problem}");
    }
}

/// Copies a recorded dictionary, with a piece of its configuration replaced.
fn edited(folder: &Folder, name: &str, from: &str, to: &str) -> PathBuf {
    let copy = folder.0.join(name);
    let _ = fs::remove_dir_all(&copy);
    fs::create_dir_all(&copy).unwrap();
    for entry in fs::read_dir(recorded().join(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
    }
    let text = fs::read_to_string(copy.join("cfg.json")).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(copy.join("cfg.json"), text.replacen(from, to, 1)).unwrap();
    copy
}

#[test]
fn dictionaries_that_this_library_cannot_express_are_refused() {
    let folder = Folder::new("exchange-foreign");
    let none = r#""normalize_activations": "none""#;
    let normalize = |name: &str| format!(r#""normalize_activations": "{name}""#);
    let (average, layer) = (normalize("expected_average_only_in"), normalize("layer_norm"));
    let (length, matrix) = (normalize("constant_norm_rescale"), normalize("covariance_whitening"));
    let other = normalize("other");
    let architecture = r#""architecture": "standard""#;
    let topk = r#""activation": "topk""#;
    let skip = r#""skip_connection": false"#;
    for (name, from, to, sentence) in [
        (
            "saelens-standard",
            none,
            &average[..],
            "'expected_average_only_in': inputs are multiplied",
        ),
        ("saelens-standard", none, &layer, "'layer_norm': each sample is normalized"),
        ("saelens-standard", none, &length, "'constant_norm_rescale': each sample"),
        ("saelens-standard", none, &matrix, "'covariance_whitening': inputs"),
        ("saelens-standard", none, &other, "'other': this normalization is not known"),
        (
            "saelens-standard",
            r#""reshape_activations": "none""#,
            r#""reshape_activations": "other""#,
            "reshape_activations is 'other'",
        ),
        ("saelens-standard", architecture, r#""architecture": "gated""#, "architecture is 'gated'"),
        (
            "saelens-standard",
            architecture,
            r#""architecture": "gated_transcoder""#,
            "architecture is 'gated_transcoder', which",
        ),
        (
            "saelens-standard",
            architecture,
            r#""architecture": "batchtopk""#,
            "save_inference_model",
        ),
        ("saelens-standard", architecture, r#""architecture": 3"#, "architecture: expected a text"),
        (
            "saelens-standard",
            architecture,
            r#""architecture": "jumprelu""#,
            "tensor 'threshold', [10], is missing",
        ),
        (
            "saelens-jumprelu",
            r#""architecture": "jumprelu""#,
            r#""architecture": "standard""#,
            "tensor 'threshold' has no counterpart here",
        ),
        ("saelens-standard", r#""d_in": 6"#, r#""d_in": 7"#, "'W_enc' is [6, 10]; [7, 10] was"),
        ("saelens-standard", r#""d_sae": 10"#, r#""d_sae": -1"#, "d_sae: expected a whole number"),
        ("saelens-topk", r#""k": 2"#, r#""k": 11"#, "code: expected 1 to 10 active units"),
        ("saelens-topk", r#""k": 2"#, r#""kk": 2"#, "k is missing"),
        (
            "saelens-topk-old",
            r#""activation_fn_str": "topk""#,
            r#""activation_fn_str": "tanh-relu""#,
            "activation_fn is 'tanh-relu'",
        ),
        ("sparsify-topk", topk, r#""activation": "groupmax""#, "activation is 'groupmax'"),
        ("sparsify-topk", topk, r#""signed": true"#, "signed is true"),
        ("sparsify-topk", skip, r#""skip_connection": true"#, "'W_skip', [6, 6], is missing"),
        (
            "sparsify-topk",
            r#""num_latents": 10"#,
            r#""num_latents": 0"#,
            "'encoder.weight' is [10, 6]; [192, 6] was",
        ),
    ] {
        let copy = edited(&folder, name, from, to);
        let problem = import(&copy).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{to}: {problem}");
    }
    let problem =
        import(recorded().join("dictionary-learning-AutoEncoder")).unwrap_err().to_string();
    assert!(problem.contains("sae.import_dictionary"), "{problem}");
    let problem = import(recorded()).unwrap_err().to_string();
    assert!(
        problem.contains("several dictionaries; give the folder of one of them: gemma"),
        "{problem}"
    );
    let problem = import(folder.0.join("nothing")).unwrap_err().to_string();
    assert!(problem.starts_with("cannot open"), "{problem}");
    fs::create_dir(folder.0.join("empty")).unwrap();
    let problem = import(folder.0.join("empty")).unwrap_err().to_string();
    assert!(problem.contains("expected a dictionary: a folder with cfg.json"), "{problem}");
}

#[test]
fn state_dicts_that_cannot_be_expressed_are_refused() {
    let folder = recorded().join("dictionary-learning-BatchTopKSAE");
    let state = || tensors(&folder.join("state.safetensors"));
    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    let refused = |config: &str, state: Vec<Tensor>| {
        from_dictionary_learning("d", config, state).unwrap_err().to_string()
    };
    let with = |from: &str, to: &str| refused(&config.replacen(from, to, 1), state());
    for (from, to, sentence) in [
        ("BatchTopKSAE", "GatedAutoEncoder", "dict_class is 'GatedAutoEncoder', which"),
        ("\"k\": 2", "\"k\": 3", "k is 2 in the state dict and 3 in config.json"),
        ("trainer", "coach", "trainer: expected an object"),
        ("BatchTopKSAE", "AutoEncoder", "tensor 'bias', [6], is missing"),
        ("{", "", "config.json: "),
    ] {
        let problem = with(from, to);
        assert!(problem.contains(sentence), "{to}: {problem}");
    }
    let mut more = state();
    more.push(Tensor { name: "r_mag".into(), shape: vec![1], values: vec![1.0] });
    assert!(refused(&config, more).contains("tensor 'r_mag' has no counterpart here"));
    let mut odd = state();
    odd[0].values.pop();
    assert!(refused(&config, odd).contains("numbers"));
    let mut large = state();
    large.iter_mut().find(|of| of.name == "b_dec").unwrap().values[1] = f32::NAN;
    let problem = refused(&config, large);
    assert!(problem.contains("'b_dec' has the number NaN at place 1"), "{problem}");
}

/// Whatever is cut off or changed, there is an error or a network, and no panic.
#[test]
fn damaged_files_are_errors() {
    let folder = Folder::new("exchange-damaged");
    for (name, files) in [
        ("saelens-jumprelu", &["cfg.json", "sae_weights.safetensors"][..]),
        ("sparsify-topk", &["cfg.json", "sae.safetensors"]),
        ("gemma-scope", &["params.npz"]),
        ("gemma-scope-compressed", &["params.npz"]),
    ] {
        let copy = folder.0.join(name);
        fs::create_dir(&copy).unwrap();
        for entry in fs::read_dir(recorded().join(name)).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), copy.join(entry.file_name())).unwrap();
        }
        assert!(import(&copy).is_ok());
        for file in files {
            let path = copy.join(file);
            let whole = fs::read(&path).unwrap();
            for length in (0..whole.len()).step_by(7) {
                fs::write(&path, &whole[..length]).unwrap();
                assert!(import(&copy).is_err(), "{name}/{file}, {length} bytes");
            }
            for at in (0..whole.len()).step_by(5) {
                let mut bytes = whole.clone();
                bytes[at] ^= 0x55;
                fs::write(&path, bytes).unwrap();
                let _ = import(&copy);
            }
            fs::write(&path, whole).unwrap();
        }
        assert!(import(&copy).is_ok());
    }
}

#[test]
fn imported_dictionaries_are_trained_on() {
    for (name, _) in CASES {
        let net = load(name);
        let place = recorded().join(name.replace("hookpoints", "hookpoints/layers.3"));
        let expected = tensors(&place.join("expected.safetensors"));
        let samples = Samples::from_values(named(&expected, "samples"), 6).unwrap();
        let settings = Settings { batch: 12, learning_rate: 1e-3, ..net.settings().clone() };
        let builder = Trainer::builder(settings.clone()).threads(1).network(net.clone());
        let mut trainer = builder.build(&samples).unwrap();
        assert_eq!(trainer.autoencoder().parameters(), net.parameters(), "{name}");
        let before = trainer.evaluate(&samples).unwrap().loss;
        for _ in 0..200 {
            trainer.step().unwrap();
        }
        let after = trainer.evaluate(&samples).unwrap().loss;
        assert!(after < 0.9 * before, "{name}: {before} {after}");
        let other = Settings { layers: vec![6, 11, 6], ..settings };
        let problem = Trainer::builder(other).network(net).build(&samples).unwrap_err().to_string();
        assert!(
            problem.starts_with("layers: expected 6,1") && problem.ends_with("got 6,11,6"),
            "{problem}"
        );
    }
}

#[test]
fn a_training_begins_with_a_network_that_fits_it() {
    let values: Vec<f32> = (0..80).map(|at| (at * at % 23) as f32 / 23.0).collect();
    let samples = Samples::from_values(values, 4).unwrap();
    let begin = |net: &Autoencoder, settings: Settings, samples: &Samples| {
        Trainer::builder(settings).threads(1).network(net.clone()).build(samples)
    };
    let net = small(relu("top-k:3"), Scaling::AsIs);
    let more = Settings { seed: 5, batch: 10, ..relu("top-k:4") };
    let trainer = begin(&net, more, &samples).unwrap();
    assert_eq!(trainer.autoencoder().parameters(), net.parameters());
    assert_eq!(trainer.autoencoder().settings().code, Code::TopK(4));
    let scaled = samples.clone().scaled(Scaling::MinMax { min: 0.0, max: 2.0 });
    for (settings, samples, sentence) in [
        (relu("batch-top-k:3"), &samples, "code: expected top-k:3, which the network has"),
        (Settings { tied: true, ..relu("top-k:3") }, &samples, "tied: expected false, which"),
        (relu("top-k:3"), &scaled, "scaling: the network that the training begins with has data"),
        (Settings { unit_norm: true, ..relu("top-k:3") }, &samples, "unit_norm: the weights from"),
    ] {
        let problem = begin(&net, settings, samples).unwrap_err().to_string();
        assert!(problem.starts_with(sentence), "{problem}");
    }
}
