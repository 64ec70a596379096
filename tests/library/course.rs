//! What a program that follows a training has of it: a note in checkpoints, L0 of each batch, and a few of the
//! test samples.

use sae::files::{Checkpoint, Checkpoints};
use sae::{Samples, Settings, Trainer};

use crate::folder::Folder;

fn samples(count: usize) -> Samples {
    let number = |at: usize| ((at * 7919 + at / 31) % 256) as f32 / 256.0;
    Samples::from_values((0..count * 9).map(number).collect(), 9).unwrap()
}

fn settings(code: &str) -> Settings {
    let mut settings = Settings { layers: vec![9, 20, 9], batch: 8, ..Settings::default() };
    for (name, text) in
        [("activation", "relu"), ("initialization", "he"), ("beta", "0"), ("code", code)]
    {
        settings.set(name, text, None).unwrap();
    }
    settings
}

#[test]
fn checkpoints_keep_a_note() {
    let folder = Folder::new("note");
    let path = folder.0.join("c.ckpt");
    let mut trainer = Trainer::new(settings("top-k:3"), &samples(50)).unwrap();
    assert_eq!(trainer.note(), "");
    trainer.set_note("a \"note\"".to_owned());
    let mut checkpoints = Checkpoints::new(&path, 1, &trainer).unwrap();
    trainer.step().unwrap();
    trainer.set_note("b \"note\"".to_owned());
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    let resumed = |path| {
        let checkpoint = Checkpoint::load(path).unwrap();
        Trainer::builder(settings("top-k:3")).resume(checkpoint).build(&samples(50)).unwrap()
    };
    assert_eq!(resumed(&path).note(), "b \"note\"");
    // A longer one would not fit the file, and the one before stays.
    trainer.set_note("longer than any other number of a checkpoint's state ".repeat(20));
    let error = checkpoints.save(&mut trainer).unwrap_err().to_string();
    assert!(error.contains("note is longer"), "{error}");
    trainer.set_note(String::new());
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    assert_eq!(resumed(&path).note(), "");
}

#[test]
fn a_report_has_the_l0_of_its_batch() {
    let batch = samples(8);
    for code in ["top-k:3", "batch-top-k:3", "jump-relu:0.01:0.1:0.05", "dense"] {
        let mut trainer = Trainer::new(settings(code), &batch).unwrap();
        // Where a threshold stands for the batch, the code of an evaluation is another.
        let l0 = match code {
            "batch-top-k:3" => 3.0,
            "dense" => 0.0,
            _ => trainer.evaluate(&batch).unwrap().layers[0].l0,
        };
        let report = trainer.step().unwrap();
        assert!((report.l0 - l0).abs() < 1e-12, "{code}: {} and {l0}", report.l0);
    }
}

#[test]
fn thinned_samples_are_at_equal_distances() {
    let all = samples(50).with_targets(samples(50)).unwrap();
    let row = |samples: &Samples, at: usize| {
        let mut row = vec![0.0; 9];
        samples.gather(at, &mut row).unwrap();
        row
    };
    for (count, places) in [(4, vec![0, 12, 25, 37]), (1, vec![0]), (60, (0..50).collect())] {
        let some = all.thinned(count);
        assert_eq!(some.len(), places.len());
        for (at, &place) in places.iter().enumerate() {
            assert_eq!(row(&some, at), row(&all, place));
            assert_eq!(row(some.targets().unwrap(), at), row(&all, place));
        }
    }
}
