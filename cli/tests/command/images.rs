//! Which data are images, and images in color.

use sae::data::{Array, write_npy};

use crate::runs::{folder, good, refused};

const TRAIN: &str = "--preset article --steps 4 --batch 5 --scaling as-is --quiet";

/// Square numbers of features are images only where the data say so, or are bytes.
#[test]
fn squares_are_no_images_by_themselves() {
    let folder = folder("squares");
    for features in [4, 64, 1024] {
        let numbers: Vec<f32> = (0..30 * features).map(|at| (at % 7) as f32 / 7.0).collect();
        write_npy(folder.path("x.npy"), &[30, features], &numbers).unwrap();
        let train =
            format!("train --samples x.npy --layers {features},4,{features} {TRAIN} --overwrite");
        let [text, _] = good(&folder, &format!("{train} --out m.safetensors"));
        assert!(text.contains("no picture: the samples are not images"), "{text}");
        assert!(!folder.0.join("m.png").exists());
        let [text, _] = good(&folder, "compare m.safetensors --out c.png");
        assert!(text.contains("no picture: the samples are not images"), "{text}");
        let [text, _] = good(&folder, "inspect x.npy");
        assert!(!text.contains(['\u{2588}', '\u{2591}']), "{text}");
        let problem = refused(&folder, "reconstruct m.safetensors");
        assert!(problem.contains("are not images"), "{problem}");
        // Who asks for pictures gets them.
        good(&folder, "features m.safetensors --overwrite");
    }
    // Pixels in a file without their shape, and numbers that are too few for an image.
    for (features, are_images) in [(64, true), (4, false)] {
        let bytes: Vec<u8> = (0..30 * features).map(|at| (at * 37 % 251) as u8).collect();
        write_npy(folder.path("b.npy"), &[30, features], &bytes).unwrap();
        let layers = format!("{features},4,{features}");
        let train = format!(
            "train --samples b.npy --layers {layers} --preset article --steps 4 --batch 5 --quiet"
        );
        let [text, _] = good(&folder, &format!("{train} --overwrite --out b.safetensors"));
        assert_eq!(text.contains("picture: b.png"), are_images, "{text}");
    }
}

/// What a sample of an array of floats is, is said where it may be a surprise.
#[test]
fn rows_of_deep_arrays_are_said() {
    let folder = folder("deep");
    let numbers: Vec<f32> = (0..30 * 6 * 4).map(|at| (at % 7) as f32 / 7.0).collect();
    write_npy(folder.path("f.npy"), &[30, 6, 4], &numbers).unwrap();
    let bytes: Vec<u8> = (0..30 * 6 * 4).map(|at| (at % 7) as u8).collect();
    write_npy(folder.path("b.npy"), &[30, 6, 4], &bytes).unwrap();
    let train = |options: &str| {
        let options = format!("{options} --preset plain --steps 4 --batch 5 --overwrite");
        good(&folder, &format!("train {options} --out m.safetensors"))
    };
    let note = "note: f.npy: the numbers along the last of its 3 dimensions, 4, are a sample; \
                --rows first makes a sample of 6 x 4\n";
    let floats = "--samples f.npy --scaling as-is";
    let [_, stderr] = train(&format!("{floats} --layers 4,3,4"));
    assert!(stderr.contains(note), "{stderr}");
    let [stdout, _] = good(&folder, "eval m.safetensors --samples f.npy --json");
    assert!(stdout.contains("180"), "{stdout}");
    for options in [
        &format!("{floats} --layers 4,3,4 --rows last"),
        &format!("{floats} --layers 24,3,24 --rows first"),
        &format!("{floats} --layers 4,3,4 --quiet"),
        "--samples b.npy --layers 24,3,24",
    ] {
        let [_, stderr] = train(options);
        assert!(!stderr.contains("of its 3 dimensions"), "{options}: {stderr}");
    }
}

/// Three rows: samples, the same corrupted, and what a denoising autoencoder makes of these.
#[test]
fn corrupted_samples_are_drawn() {
    let folder = folder("denoise");
    let size = |name: &str| {
        let png = std::fs::read(folder.path(name)).unwrap();
        let side = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        (side(16), side(20))
    };
    let train = "train --data digits --layers 784,12,784 --corruption gaussian:0.3";
    good(&folder, &format!("{train} {TRAIN} --out m.safetensors").replace("--scaling as-is ", ""));
    good(&folder, "reconstruct m.safetensors --count 10 --out plain.png");
    assert_eq!(size("plain.png"), (4 + 10 * 60, 4 + 2 * 60));
    for (corruption, name) in [("gaussian:0.3", "g.png"), ("masking:0.5", "mask.png")] {
        let reconstruct = "reconstruct m.safetensors --count 10 --corruption";
        good(&folder, &format!("{reconstruct} {corruption} --out {name}"));
        assert_eq!(size(name), (4 + 10 * 60, 4 + 3 * 60));
    }
    let decoded = |name: &str| {
        let file = std::io::BufReader::new(std::fs::File::open(folder.path(name)).unwrap());
        let mut reader = png::Decoder::new(file).read_info().unwrap();
        let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
        reader.next_frame(&mut pixels).unwrap();
        pixels
    };
    let [plain, noisy] = ["plain.png", "g.png"].map(decoded);
    let band = |row: usize| 604 * (4 + row * 60)..604 * (60 + row * 60);
    assert!(plain[band(0)] == noisy[band(0)], "the samples themselves");
    assert!(noisy[band(0)] != noisy[band(1)], "noise");
    assert!(plain[band(1)] != noisy[band(2)], "reconstructions of noisy samples are others");
    for (options, expected) in [
        ("--corruption gaussian:-1", "corruption: "),
        ("--corruption dust", "corruption: "),
        ("--corruption masking:0.5 --out x.npy", "only a picture shows corrupted samples"),
    ] {
        let problem = refused(&folder, &format!("reconstruct m.safetensors {options}"));
        assert!(problem.contains(expected), "{problem}");
    }
}

/// Images in color stay so: PNGs, data, reconstructions and patches.
#[test]
fn colors_are_kept() {
    let folder = folder("colors");
    // The red channel alone.
    let red: Vec<u8> = (0..30 * 12 * 10 * 3)
        .map(|at| if at % 3 == 0 { (at / 3 * 7 % 256) as u8 } else { 0 })
        .collect();
    write_npy(folder.path("x.npy"), &[30, 12, 10, 3], &red).unwrap();
    let [text, _] = good(&folder, "convert x.npy pngs");
    assert!(text.contains("30 PNGs of 12 x 10 in color: pngs"), "{text}");
    good(&folder, "convert pngs back.npy --color");
    let bytes = |name: &str| std::fs::read(folder.path(name)).unwrap();
    assert!(bytes("back.npy") == bytes("x.npy"));
    good(
        &folder,
        "train --samples back.npy --layers 360,9,360 --preset article --steps 20 --batch 5 --quiet --out m.safetensors",
    );
    let [text, stderr] = good(&folder, "reconstruct m.safetensors --out clean/");
    assert!(text.contains("PNGs of 12 x 10 in color: clean/"), "{text}");
    // The names are the numbers of the samples in the data, of which these are the held-out ones.
    let data = folder.0.join("back.npy");
    let note =
        format!("4 held-out samples of {}; --samples FILE takes all of a file\n", data.display());
    assert_eq!(stderr, note);
    let [scores, _] = good(&folder, "score m.safetensors");
    let numbers = scores.lines().skip(1).map(|line| line.split(',').next().unwrap());
    let numbers = numbers.map(|number| format!("{:02}.png", number.parse::<usize>().unwrap()));
    let names = std::fs::read_dir(folder.path("clean")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let [mut names, numbers] = [names.collect::<Vec<_>>(), numbers.collect()];
    names.sort();
    assert_eq!(names, numbers);
    assert_eq!(good(&folder, "encode m.safetensors --out c.npy")[1], note);
    for options in ["--samples back.npy", "--split test"] {
        let [_, stderr] =
            good(&folder, &format!("encode m.safetensors {options} --out c.npy --overwrite"));
        assert_eq!(stderr, "", "{options}");
    }
    good(&folder, "reconstruct m.safetensors --out clean.npy");
    good(&folder, "convert clean clean-again.npy --color");
    assert!(bytes("clean.npy") == bytes("clean-again.npy"));
    let array = Array::open(folder.path("clean.npy")).unwrap();
    assert_eq!(array.dims()[1..], [12, 10, 3]);
    // Green and blue were 0, and red was not.
    let mean = |channel: usize| {
        let numbers = array.as_u8().unwrap().iter().skip(channel).step_by(3);
        numbers.map(|&byte| f64::from(byte)).sum::<f64>()
            / (array.as_u8().unwrap().len() / 3) as f64
    };
    assert!(
        mean(0) > 2.0 * mean(1) && mean(0) > 2.0 * mean(2),
        "{} {} {}",
        mean(0),
        mean(1),
        mean(2)
    );
    let file = std::io::BufReader::new(
        std::fs::File::open(folder.path(&format!("clean/{}", names[0]))).unwrap(),
    );
    assert_eq!(png::Decoder::new(file).read_info().unwrap().info().color_type, png::ColorType::Rgb);
    good(&folder, "cut-patches patches.npy --samples x.npy --side 4 --count 50 --contrast 0.01");
    let patches = Array::open(folder.path("patches.npy")).unwrap();
    assert_eq!(patches.dims(), [50, 4, 4, 3]);
    assert!(
        patches.as_u8().unwrap().iter().enumerate().all(|(at, &byte)| at % 3 == 0 || byte == 0)
    );
    good(
        &folder,
        "train --samples patches.npy --layers 48,9,48 --preset article --steps 4 --batch 5 --quiet --out p.safetensors",
    );
    good(&folder, "features p.safetensors");
}

/// The CSV that encode writes is read again, without the columns of indices and labels.
#[test]
fn codes_are_decoded_from_csv() {
    let folder = folder("decode-csv");
    let options = TRAIN.replace("--scaling as-is ", "");
    good(
        &folder,
        &format!("train --data digits --layers 784,12,784 {options} --out m.safetensors"),
    );
    let decoded = |name: &str, options: &str| {
        good(&folder, &format!("encode m.safetensors --out {name}{options}"));
        good(&folder, &format!("decode m.safetensors {name} --out {name}.npy"));
        std::fs::read(folder.path(&format!("{name}.npy"))).unwrap()
    };
    let expected = decoded("c.npy", "");
    assert!(decoded("c.csv", "") == expected);
    assert!(decoded("h.csv", " --header") == expected);
    assert!(decoded("i.csv", " --header --columns index,label") == expected);
    good(&folder, "encode m.safetensors --columns index --out n.csv");
    let problem = refused(&folder, "decode m.safetensors n.csv --out n.npy");
    let expected = "error: codes: n.csv has 13 numbers per sample; expected 12, the units of";
    assert!(problem.starts_with(expected) && problem.contains("--header"), "{problem}");
    // Whole numbers are no bytes to be divided.
    let row = |separator: &str| ["1"; 12].join(separator);
    std::fs::write(folder.path("ones.csv"), row(",")).unwrap();
    std::fs::write(folder.path("floats.csv"), format!("{}.0", row(".0,"))).unwrap();
    let [ones, floats] = ["ones", "floats"].map(|name| {
        good(&folder, &format!("decode m.safetensors {name}.csv --out {name}.npy"));
        std::fs::read(folder.path(&format!("{name}.npy"))).unwrap()
    });
    let codes = vec![1.0f32; 12];
    write_npy(folder.path("npy.npy"), &[1, 12], &codes).unwrap();
    good(&folder, "decode m.safetensors npy.npy --out same.npy");
    assert!(ones == floats && ones == std::fs::read(folder.path("same.npy")).unwrap());
}

/// There is nothing to learn of samples that are all equal.
#[test]
fn equal_samples_get_a_warning() {
    let folder = folder("equal");
    let train = |value: &dyn Fn(usize) -> f32| {
        let numbers: Vec<f32> = (0..70 * 4).map(value).collect();
        write_npy(folder.path("x.npy"), &[70, 4], &numbers).unwrap();
        let options = format!("{TRAIN} --overwrite --out m.safetensors");
        good(&folder, &format!("train --samples x.npy --layers 4,3,4 {options}"))[0].clone()
    };
    let text = train(&|_| 0.5);
    let warning = "warning: all 10 samples are equal: they have no variance to explain, and of such samples \
                   there is nothing to learn\n";
    for text in [text, good(&folder, "eval m.safetensors")[0].clone()] {
        assert!(text.contains(warning) && !text.contains("are dead"), "{text}");
    }
    assert!(!train(&|at| (at % 7) as f32 / 7.0).contains("are equal"));
}

/// A training of other samples than the model that it begins with takes names the two.
#[test]
fn samples_of_another_model_are_named() {
    let folder = folder("from-features");
    let numbers: Vec<f32> = (0..30 * 6).map(|at| (at % 7) as f32 / 7.0).collect();
    write_npy(folder.path("x.npy"), &[30, 6], &numbers).unwrap();
    let train = "train --data digits --layers 784,12,784";
    let options = TRAIN.replace("--scaling as-is ", "");
    good(&folder, &format!("{train} {options} --out m.safetensors"));
    for more in ["", " --layers 6,3,6"] {
        let train = format!("train --from m.safetensors --samples x.npy --out n.safetensors{more}");
        let problem = refused(&folder, &train);
        let expected =
            "error: x.npy has 6 features a sample, and the model m.safetensors takes 784\n";
        assert!(problem.starts_with(expected), "{problem}");
    }
}

/// A training that begins with a model of other layers says so first.
#[test]
fn other_layers_are_named_before_the_code() {
    let folder = folder("from-layers");
    let train = "train --data digits --steps 4 --batch 10 --quiet";
    good(&folder, &format!("{train} --preset images --layers 784,40,784 --out m.safetensors"));
    for more in ["", " --preset images"] {
        let problem = refused(
            &folder,
            &format!("{train} --from m.safetensors --layers 784,9,784 --out n.safetensors{more}"),
        );
        assert!(problem.starts_with("error: --layers: expected 784,40,784"), "{problem}");
    }
}
