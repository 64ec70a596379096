//! Transcoders, skip connections and prefixes.

use super::*;
use sae::Prefixes;

/// Name, sizes, code, and whether there is a skip connection.
const TRANSCODERS: [(&str, [usize; 3], &str, bool); 8] = [
    ("saelens-transcoder", [6, 10, 4], "dense", false),
    ("saelens-skip_transcoder", [6, 10, 4], "dense", true),
    ("saelens-jumprelu_transcoder", [6, 10, 4], "jump-relu:0:0.1:0.1", false),
    ("saelens-jumprelu_skip_transcoder", [6, 10, 4], "jump-relu:0:0.1:0.1", true),
    ("sparsify-transcoder", [6, 10, 6], "top-k:2", false),
    ("sparsify-skip-transcoder", [6, 10, 6], "top-k:2", true),
    // sparsify's autoencoder with a skip connection: its bias is on the input, too.
    ("sparsify-skip", [6, 10, 6], "top-k:2", true),
    ("gemma-scope-transcoder", [6, 10, 4], "jump-relu:0:0.1:0.1", false),
];

#[test]
fn recorded_transcoders_give_what_their_libraries_give() {
    let folder = Folder::new("exchange-transcoders");
    for (name, sizes, code, skips) in TRANSCODERS {
        let net = load(name);
        let settings = net.settings();
        assert_eq!((&settings.layers[..], settings.code.to_string()), (&sizes[..], code.into()));
        assert_eq!((settings.skip, net.skip_weights().is_some()), (skips, skips), "{name}");
        assert_eq!((net.scaling(), net.target_scaling()), (Scaling::AsIs, Some(Scaling::AsIs)));
        check(&net, &recorded().join(name));
        net.save(folder.0.join("m.safetensors")).unwrap();
        assert_eq!(Autoencoder::load(folder.0.join("m.safetensors")).unwrap(), net, "{name}");
        // An evaluation needs their targets.
        let expected = tensors(&recorded().join(name).join("expected.safetensors"));
        let inputs = Samples::from_values(named(&expected, "samples"), 6).unwrap();
        let problem = net.evaluate(&mut engine(), &inputs).unwrap_err().to_string();
        assert!(
            problem.contains("the network predicts targets other than its inputs"),
            "{problem}"
        );
        let targets = Samples::from_values(named(&expected, "reconstructions"), sizes[2]).unwrap();
        let pairs = inputs.with_targets(targets).unwrap();
        let loss = net.evaluate(&mut engine(), &pairs).unwrap().loss;
        assert!(loss < 1e-10, "{name}: {loss}");
    }
}

/// Why a format does not have a transcoder; none if it has.
fn problem_of(net: &Autoencoder, format: Format) -> Option<&'static str> {
    let settings = net.settings();
    let top_k = matches!(settings.code, Code::TopK(_));
    match format {
        Format::SaeLens if top_k => {
            Some("SAELens has no transcoders with a top-k code (field code)")
        }
        Format::Sparsify if !top_k => Some("sparsify has top-k codes alone (field code)"),
        Format::Sparsify if settings.layers[0] != settings.layers[2] => {
            Some("as many outputs as inputs, and this network has 6 and 4 (field layers)")
        }
        Format::GemmaScope if settings.skip => Some("has no skip connection (field skip)"),
        Format::GemmaScope if top_k => Some("this code is top-k (field code)"),
        _ => None,
    }
}

#[test]
fn transcoders_come_back() {
    let folder = Folder::new("exchange-transcoders-back");
    let narrow = Settings { layers: vec![6, 10, 4], ..relu("top-k:3") };
    let narrow = Autoencoder::transcoder(narrow, Scaling::AsIs, Scaling::AsIs).unwrap();
    let nets = TRANSCODERS.map(|(name, ..)| (name, load(name)));
    let mut refused = 0;
    for (name, net) in nets.iter().chain([&("narrow", narrow)]) {
        for format in Format::ALL {
            let to = folder.0.join(format!("{name}-{}.npz", format.name()));
            let exported = export(net, format, &to, &Metadata::default());
            if let Some(sentence) = problem_of(net, format) {
                let problem = exported.unwrap_err().to_string();
                assert!(problem.contains(sentence) && !to.exists(), "{problem}");
                refused += 1;
                continue;
            }
            exported.unwrap();
            let again = import(&to).unwrap();
            // No bias is on the input, so that nothing is folded; a dense code gets thresholds of 0.
            if format == Format::GemmaScope && net.settings().code == Code::Dense {
                check(&again, &recorded().join(name));
            } else {
                assert!(again == *net, "{name}, {}", format.name());
            }
        }
        let problem = to_dictionary_learning(net).unwrap_err().to_string();
        assert!(problem.contains("dictionary_learning saves no transcoders"), "{problem}");
    }
    assert_eq!(refused, 16);
    // Nothing in an archive tells that this one is a transcoder.
    let equal = Settings { layers: vec![6, 10, 6], ..relu("jump-relu:0") };
    let equal = Autoencoder::transcoder(equal, Scaling::AsIs, Scaling::AsIs).unwrap();
    let to = folder.0.join("equal.npz");
    let unnamed =
        export(&equal, Format::GemmaScope, folder.path("no-ending"), &Metadata::default());
    assert!(unnamed.unwrap_err().to_string().contains("a name that ends with .npz"));
    export(&equal, Format::GemmaScope, &to, &Metadata::default()).unwrap();
    let again = import(&to).unwrap();
    assert_eq!((again.target_scaling(), again.parameters()), (None, equal.parameters()));
}

#[test]
fn both_scalings_of_a_transcoder_are_folded_in() {
    let folder = Folder::new("exchange-transcoder-scaling");
    let values: Vec<f32> = (0..80).map(|at| (at * at % 23) as f32 * 3.0 - 7.0).collect();
    let plain = Samples::from_values(values, 4).unwrap();
    let (inputs, targets) = (
        Scaling::MeanDeviation { mean: 11.0, deviation: 20.0 },
        Scaling::MeanDeviation { mean: -3.0, deviation: 0.25 },
    );
    let settings = Settings { layers: vec![4, 9, 3], skip: true, ..relu("batch-top-k:3") };
    let mut net = Autoencoder::transcoder(settings, inputs.clone(), targets).unwrap();
    let numbers = net.parameters_mut().iter_mut().zip(1..);
    numbers.for_each(|(p, at)| *p = (at * at % 37) as f32 * 0.03 - 0.4);
    let scaled = plain.clone().scaled(inputs);
    let codes = net.encode(&mut engine(), &scaled).unwrap();
    let mut outputs = net.reconstruct(&mut engine(), &scaled).unwrap();
    outputs.iter_mut().for_each(|y| *y = *y * 0.25 - 3.0);
    let metadata = Metadata { hook_name_out: Some("mlp_out".into()), ..Metadata::default() };
    export(&net, Format::SaeLens, folder.0.join("a"), &metadata).unwrap();
    let text = fs::read_to_string(folder.0.join("a/cfg.json")).unwrap();
    assert!(text.contains(r#""hook_name_out":"mlp_out""#), "{text}");
    let plain_net = small(relu("dense"), Scaling::AsIs);
    let problem = export(&plain_net, Format::SaeLens, folder.0.join("b"), &metadata).unwrap_err();
    assert!(
        problem.to_string().contains("hook_name_out is for those of a transcoder"),
        "{problem}"
    );
    let again = import(folder.0.join("a")).unwrap();
    assert_eq!(again.settings().code, Code::BatchTopK(3));
    close(&again.encode(&mut engine(), &plain).unwrap(), &codes, false, "codes");
    close(&again.reconstruct(&mut engine(), &plain).unwrap(), &outputs, false, "outputs");
}

#[test]
fn transcoders_are_trained_on() {
    for (name, sizes, ..) in TRANSCODERS {
        let net = load(name);
        let expected = tensors(&recorded().join(name).join("expected.safetensors"));
        let targets = named(&expected, "reconstructions").iter().map(|y| 1.5 * y - 0.5).collect();
        let targets = Samples::from_values(targets, sizes[2]).unwrap();
        let inputs = Samples::from_values(named(&expected, "samples"), 6).unwrap();
        let pairs = inputs.with_targets(targets).unwrap();
        let settings = Settings { batch: 12, learning_rate: 1e-3, ..net.settings().clone() };
        let builder = Trainer::builder(settings).threads(1).network(net.clone());
        let mut trainer = builder.build(&pairs).unwrap();
        assert_eq!(trainer.autoencoder().parameters(), net.parameters(), "{name}");
        let before = trainer.evaluate(&pairs).unwrap().loss;
        for _ in 0..200 {
            trainer.step().unwrap();
        }
        let after = trainer.evaluate(&pairs).unwrap().loss;
        assert!(after < 0.9 * before, "{name}: {before} {after}");
    }
}

#[test]
fn wrong_transcoders_are_refused() {
    let folder = Folder::new("exchange-transcoders-refused");
    for (name, from, to, sentence) in [
        ("saelens-transcoder", r#""d_out": 4"#, r#""d_out": 6"#, "'W_dec' is [10, 4]; [10, 6] was"),
        ("saelens-transcoder", r#""d_out": 4"#, r#""other": 4"#, "d_out is missing"),
        (
            "saelens-transcoder",
            r#""apply_b_dec_to_input": false"#,
            r#""apply_b_dec_to_input": true"#,
            "a transcoder's input has no bias; expected false",
        ),
        (
            "saelens-transcoder",
            r#""dtype""#,
            r#""activation_fn": "topk", "dtype""#,
            "activation_fn is 'topk'",
        ),
        ("saelens-transcoder", r#""transcoder""#, r#""skip_transcoder""#, "'W_skip', [4, 6], is"),
        (
            "saelens-skip_transcoder",
            r#""skip_transcoder""#,
            r#""transcoder""#,
            "tensor 'W_skip' has no counterpart here",
        ),
        ("saelens-transcoder", r#""transcoder""#, r#""standard""#, "'W_dec' is [10, 4]; [10, 6]"),
        (
            "sparsify-skip-transcoder",
            r#""skip_connection": true"#,
            r#""skip_connection": false"#,
            "tensor 'W_skip' has no counterpart here",
        ),
    ] {
        let problem = import(edited(&folder, name, from, to)).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{to}: {problem}");
    }
}

#[test]
fn prefixes_of_batch_top_k_stay() {
    let folder = Folder::new("exchange-prefixes");
    let ends = |sizes: &[usize]| Prefixes::Sizes(sizes.to_vec());
    for name in ["saelens-matryoshka", "dictionary-learning-MatryoshkaBatchTopKSAE"] {
        assert_eq!(load(name).settings().prefixes, ends(&[5, 10]), "{name}");
    }
    for name in ["saelens-batchtopk", "dictionary-learning-BatchTopKSAE"] {
        assert_eq!(load(name).settings().prefixes, Prefixes::None, "{name}");
    }
    for (at, prefixes) in [Prefixes::PowersOfTwo, ends(&[2, 3]), ends(&[9])].into_iter().enumerate()
    {
        let net = small(Settings { prefixes, ..relu("batch-top-k:3") }, Scaling::AsIs);
        let sizes = net.settings().prefixes.of(9);
        let to = folder.0.join(at.to_string());
        export(&net, Format::SaeLens, &to, &Metadata::default()).unwrap();
        let text = fs::read_to_string(to.join("cfg.json")).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(config["architecture"], "jumprelu");
        assert_eq!(config["metadata"]["training_architecture"], "matryoshka_batchtopk");
        let details = &config["metadata"]["training_architecture_details"];
        assert_eq!(details["matryoshka_widths"], serde_json::json!(sizes));
        let (config, state) = to_dictionary_learning(&net).unwrap();
        assert!(config.contains("MatryoshkaBatchTopKSAE") && config.contains("group_sizes"));
        let groups = named(&state, "group_sizes");
        assert_eq!(groups.iter().sum::<f32>(), 9.0);
        let want = if sizes.len() > 1 { Prefixes::Sizes(sizes) } else { Prefixes::None };
        assert_eq!(import(&to).unwrap().settings().prefixes, want);
        let again = from_dictionary_learning("d", &config, state).unwrap();
        assert_eq!(
            (&again.settings().prefixes, again.parameters().len()),
            (&want, net.parameters().len())
        );
    }
}

#[test]
fn wrong_prefixes_are_refused() {
    let folder = Folder::new("exchange-prefixes-refused");
    for (to, sentence) in [
        ("[10, 5]", "prefixes: expected sizes that rise"),
        ("[5, 11]", "prefixes: expected sizes that rise"),
        ("[0, 10]", "prefixes: expected sizes that rise"),
        ("\"5\"", "matryoshka_widths: expected a list of whole numbers, got \"5\""),
        ("[5, 9.5]", "matryoshka_widths: expected a list of whole numbers, got [5,9.5]"),
    ] {
        let problem = import(edited(&folder, "saelens-matryoshka", "[5, 10]", to)).unwrap_err();
        assert!(problem.to_string().contains(sentence), "{to}: {problem}");
    }
    let place = recorded().join("dictionary-learning-MatryoshkaBatchTopKSAE");
    let config = fs::read_to_string(place.join("config.json")).unwrap();
    for (values, sentence) in [
        (vec![5.0, 6.0], "'group_sizes' has groups of 11 units together; 10 were expected"),
        (vec![5.0, 4.5], "'group_sizes' has the number 4.5; expected whole numbers from 1"),
        (vec![10.0, 0.0], "'group_sizes' has the number 0; expected whole numbers from 1"),
        (vec![-1.0, 11.0], "'group_sizes' has the number -1; expected whole numbers from 1"),
        (vec![1e30, 1e30], "'group_sizes'"),
    ] {
        let mut state = tensors(&place.join("state.safetensors"));
        state.iter_mut().find(|of| of.name == "group_sizes").unwrap().values = values;
        let problem = from_dictionary_learning("d", &config, state).unwrap_err().to_string();
        assert!(problem.contains(sentence), "{problem}");
    }
}
