//! Tests of model files.

use safetensors::SafeTensors;

use super::*;

fn small() -> Autoencoder {
    // Not every decimal of these survives a careless conversion to text and back.
    let settings = Settings {
        layers: vec![6, 5, 2, 5, 6],
        rho: 0.1 + 0.2,
        lambda: 1e-5 / 3.0,
        seed: u64::MAX,
        ..Settings::default()
    };
    let scaling = Scaling::MinMax { min: -0.1, max: 1.0 / 3.0 };
    Autoencoder::new(settings, scaling).unwrap()
}

fn refused(bytes: &[u8]) -> String {
    Autoencoder::from_bytes(Path::new("m"), bytes).unwrap_err().to_string()
}

/// The bytes with a piece of the header's text replaced, the header's length kept right.
fn edited(from: &str, to: &str) -> Vec<u8> {
    let bytes = small().to_bytes().unwrap();
    let length = u64::from_le_bytes(*bytes.first_chunk().unwrap()) as usize;
    let header = std::str::from_utf8(&bytes[8..8 + length]).unwrap();
    assert!(header.contains(from), "{header}");
    let mut header = header.replace(from, to);
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let length = (header.len() as u64).to_le_bytes();
    [&length[..], header.as_bytes(), &bytes[8 + (bytes.len() - 8 - data_len())..]].concat()
}

fn data_len() -> usize {
    4 * small().parameters.len()
}

#[test]
fn a_round_trip_keeps_every_bit() {
    let net = small();
    let bytes = net.to_bytes().unwrap();
    let again = Autoencoder::from_bytes(Path::new("m"), &bytes).unwrap();
    assert_eq!(net, again);
    assert_eq!(bytes, again.to_bytes().unwrap());
}

#[test]
fn names_and_shapes_are_those_of_pytorch() {
    let net = small();
    let bytes = net.to_bytes().unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for (name, shape) in [
        ("encoder.0.weight", &[5, 6][..]),
        ("encoder.0.bias", &[5]),
        ("encoder.2.weight", &[2, 5]),
        ("encoder.2.bias", &[2]),
        ("decoder.0.weight", &[5, 2]),
        ("decoder.0.bias", &[5]),
        ("decoder.2.weight", &[6, 5]),
        ("decoder.2.bias", &[6]),
    ] {
        assert_eq!(tensors.tensor(name).unwrap().shape(), shape, "{name}");
    }
    assert_eq!(tensors.len(), 8);
    // Unit 3's weight of input 4.
    let weights = tensors.tensor("encoder.0.weight").unwrap().data().as_chunks().0;
    assert_eq!(f32::from_le_bytes(weights[3 * 6 + 4]), net.weights(0)[4 * 5 + 3]);
}

#[test]
fn every_cut_is_refused() {
    let bytes = small().to_bytes().unwrap();
    for end in 0..bytes.len() {
        refused(&bytes[..end]);
    }
    let longer = [&bytes[..], &[0]].concat();
    refused(&longer);
}

#[test]
fn every_damage_has_its_sentence() {
    for (from, to, sentence) in [
        (r#"\"version\":3"#, r#"\"version\":4"#, "version 4; this program knows versions 1 to 3"),
        (r#"\"version\":3"#, r#"\"version\":-1"#, "metadata 'sae'"),
        (r#"\"version\""#, r#"\"edition\""#, "missing field `version`"),
        (r#""sae":"#, r#""seal":"#, "no metadata 'sae'"),
        (
            r#"\"layers\":[6,5,2,5,6]"#,
            r#"\"layers\":[]"#,
            "layers: expected an odd number of 3 to 255 sizes",
        ),
        (r#"[6,5,2,5,6]"#, r#"[6,5,2,5,7]"#, "got 6 and 7"),
        (r#"[6,5,2,5,6]"#, r#"[6,5,3,5,6]"#, "'encoder.2.weight' is [2, 5]; [3, 5]"),
        (r#"[6,5,2,5,6]"#, r#"[6,5,16777216,5,6]"#, "'encoder.2.weight' is [2, 5]"),
        (r#"[6,5,2,5,6]"#, r#"[6,5,2,2,2,5,6]"#, "is missing"),
        (r#"\"sigmoid\""#, r#"\"sine\""#, "got 'sine'"),
        (
            r#"\"batch\":60"#,
            r#"\"batch\":0"#,
            "batch: expected a whole number from 1 to 16777216, got 0",
        ),
        (r#"\"batch\":60"#, r#"\"batch\":1e999"#, "metadata 'sae'"),
        (r#"\"min\":-0.1"#, r#"\"min\":1e999"#, "metadata 'sae'"),
        (r#"factor\":1.0"#, r#"factor\":-1.0"#, "metadata 'sae': penalty_factor is -1"),
        (r#"decoder.2.bias"#, r#"decoder.4.bias"#, "'decoder.2.bias', [6], is missing"),
        (r#""F32","shape":[6]"#, r#""U32","shape":[6]"#, "is U32; F32"),
        (r#""shape":[6,5]"#, r#""shape":[5,6]"#, "'decoder.2.weight' is [5, 6]; [6, 5]"),
        (r#""shape":[6,5]"#, r#""shape":[6,6]"#, "not a whole safetensors file"),
    ] {
        let problem = refused(&edited(from, to));
        assert!(problem.contains(sentence), "{to}: {problem}");
    }
}

/// As `save` would refuse them.
#[test]
fn numbers_that_are_not_finite_are_refused() {
    let net = small();
    let place = net.layers()[2].biases().end - 1;
    // Behind the other numbers of four bytes, sorted by name.
    let mut bytes = net.to_bytes().unwrap();
    let header = Header::read(&bytes).unwrap();
    let end = header.range("decoder.0.bias").unwrap().end;
    bytes[end - 4..end].copy_from_slice(&f32::NAN.to_le_bytes());
    let problem = refused(&bytes);
    assert!(problem.contains("decoder.0 has the number NaN"), "{problem}");

    let mut net = net;
    net.parameters_mut()[place] = f32::INFINITY;
    let path = std::env::temp_dir().join(format!("sae-{}-inf", std::process::id()));
    for error in [net.to_bytes().unwrap_err(), net.save(&path).unwrap_err()] {
        let problem = error.to_string();
        let sentence = "decoder.0 has the number inf; a model file has finite ones only";
        assert!(problem.ends_with(sentence), "{problem}");
    }
    assert!(!path.exists());
}
