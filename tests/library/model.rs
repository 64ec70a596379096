//! Model files of earlier versions, and files that are no model.

use sae::{Activation, Autoencoder, Code, LayerPenalty, Optimizer, Scaling, Schedule};
use sae::{Samples, Settings, Trainer, data};

use crate::folder::Folder;

fn recorded(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recorded").join(name)
}

/// Written by version 0.1.0 while it used the crate `safetensors`: 784-4-784, 50 steps on drawn
/// digits.
#[test]
fn a_file_of_version_1_loads() {
    let net = Autoencoder::load(recorded("model-v1.safetensors")).unwrap();
    let settings = net.settings();
    assert_eq!(settings.layers, [784, 4, 784]);
    assert_eq!((settings.rho, settings.seed, settings.batch), (0.3, 7, 20));
    assert_eq!(settings.activation, Activation::Sigmoid);
    assert_eq!(net.scaling(), Scaling::Byte);
    // FNV-1a over the numbers' bits.
    let bytes = net.parameters().iter().flat_map(|number| number.to_bits().to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    assert_eq!(hash, HASH, "{hash:#018x}");
}

const HASH: u64 = 0x916b_81a7_856b_dd2c;

#[test]
fn an_error_of_a_write_names_the_file_not_a_temporary_one() {
    let net = Autoencoder::load(recorded("model-v1.safetensors")).unwrap();
    let path = Folder::new("model-nowhere").0.join("missing").join("model.safetensors");
    let error = net.save(&path).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot write {}: ", path.display())), "{error}");
}

/// 6-4-6 with JumpReLU, five steps, and no setting as it is by default.
#[test]
fn a_file_of_version_2_loads() {
    let net = Autoencoder::load(recorded("model-v2.safetensors")).unwrap();
    let settings = net.settings();
    assert_eq!(settings.code, Code::JumpRelu { l0: 0.01, bandwidth: 0.1, threshold: 0.1 });
    assert_eq!(settings.penalties, [LayerPenalty { layer: 0, rho: 0.1, beta: 0.0, l1: 0.01 }]);
    assert_eq!(settings.schedule, Schedule::Step { every: 3, factor: 0.5 });
    assert_eq!(settings.optimizer, Optimizer::AdamW { decay: 0.1 });
    // Weights and biases, then the thresholds, of which the file has the logarithms, and their scale.
    let parameters = net.parameters();
    assert_eq!(parameters.len(), 6 * 4 + 4 + 4 * 6 + 6 + 4 + 1);
    assert!(parameters[58..62].iter().all(|t| (t / 0.1).ln().abs() < 0.5), "{parameters:?}");
    assert_eq!(parameters[62], 1.0);
}

#[test]
fn they_are_written_again_as_they_were_read() {
    for name in ["model-v1.safetensors", "model-v2.safetensors"] {
        let path = recorded(name);
        let net = Autoencoder::load(&path).unwrap();
        assert_eq!(Autoencoder::from_bytes(&path, &net.to_bytes().unwrap()).unwrap(), net);
    }
}

#[test]
fn a_model_knows_the_shape_of_its_samples() {
    let folder = Folder::new("model-shape");
    let path = folder.0.join("images.npy");
    let pixels: Vec<u8> = (0..50 * 24).map(|i| (i * i % 251) as u8).collect();
    data::write_npy(&path, &[50, 2, 4, 3], &pixels).unwrap();
    let trained = |samples: &Samples| {
        let settings = Settings { layers: vec![24, 4, 24], batch: 10, ..Settings::default() };
        let trainer = Trainer::new(settings, samples).unwrap();
        trainer.autoencoder().to_bytes().unwrap()
    };
    let load = |bytes: &[u8]| Autoencoder::from_bytes("m", bytes);
    let shape =
        |bytes: &[u8]| load(bytes).unwrap().training_data().unwrap().sample_shape().to_vec();
    let samples = Samples::open(&path).unwrap();
    let bytes = trained(&samples);
    assert_eq!(shape(&bytes), [2, 4, 3]);
    // Some held out, the shape is the same.
    assert_eq!(shape(&trained(&samples.split(30).unwrap().0)), [2, 4, 3]);
    // Samples of one dimension have none, and neither have older files.
    let flat = trained(&Samples::from_values(vec![0.5; 50 * 24], 24).unwrap());
    assert_eq!(shape(&flat), [0; 0]);
    assert!(!String::from_utf8_lossy(&flat).contains("shape\\\":[]"), "a shape of nothing");
    // A shape of other samples is refused.
    let text = br#"[2,4,3]"#;
    let at = bytes.windows(text.len()).position(|window| window == text).unwrap();
    let mut wrong = bytes.clone();
    wrong[at + 1] = b'5';
    let problem = load(&wrong).unwrap_err().to_string();
    assert!(
        problem.contains("samples of the shape [5, 4, 3] do not have 24 features"),
        "{problem}"
    );
}

/// Texts that the file keeps, up to its limit, whatever is in them.
#[test]
fn notes_are_kept() {
    let folder = Folder::new("model-notes");
    let path = folder.path("m.safetensors");
    let settings = Settings { layers: vec![3, 2, 3], ..Settings::default() };
    let mut net = Autoencoder::new(settings, Scaling::AsIs).unwrap();
    net.save(&path).unwrap();
    let without = std::fs::read(&path).unwrap();
    assert!(Autoencoder::load(&path).unwrap().notes().is_empty());
    net.notes_mut().insert("training".to_owned(), r#"{"steps":3,"text":"\"\\ü"}"#.to_owned());
    // Control characters are the longest in JSON within JSON.
    net.notes_mut().insert("a".to_owned(), "\u{1}".repeat((1 << 14) - 60));
    net.save(&path).unwrap();
    let loaded = Autoencoder::load(&path).unwrap();
    assert_eq!(loaded, net);
    assert_eq!(loaded.to_bytes().unwrap(), std::fs::read(&path).unwrap());
    net.notes_mut().insert("b".to_owned(), "x".repeat(60));
    let problem = net.save(&path).unwrap_err().to_string();
    assert!(
        problem.contains("notes: 16") && problem.contains("expected 16384 at most"),
        "{problem}"
    );
    net.notes_mut().clear();
    net.save(&path).unwrap();
    assert!(std::fs::read(&path).unwrap() == without);
    // Another training starts without them.
    let samples =
        Samples::new(data::Array::from_values(vec![0.5f32; 24], 3).unwrap(), Scaling::AsIs);
    let settings = Settings { batch: 4, ..loaded.settings().clone() };
    let trainer = Trainer::builder(settings).network(loaded).build(&samples).unwrap();
    assert!(trainer.autoencoder().notes().is_empty());
}
