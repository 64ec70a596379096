//! Files that change while mapped, and numbers that are not finite, in the library and the command.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::folder::Folder;
use sae::{
    Error, Samples, Scaling, Settings, Trainer,
    data::{Array, write_idx},
};

/// A file of many pages: 4096 samples of 100 features.
fn data(folder: &Folder) -> PathBuf {
    let path = folder.0.join("data.idx");
    let bytes: Vec<u8> = (0..4096 * 100).map(|i| (i * 31 % 251) as u8).collect();
    write_idx(&path, &[4096, 100], &bytes).unwrap();
    path
}

fn train(folder: &Path, data: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.args([
        "train",
        "--preset",
        "article",
        "--layers",
        "100,10,100",
        "--threads",
        "1",
        "--batch",
        "64",
    ]);
    command.arg("--images").arg(data).arg("--out").arg(folder.join("m.safetensors")).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a training and waits for its first steps.
fn at_work(mut command: Command) -> (Child, BufReader<std::process::ChildStdout>) {
    let mut child = command.spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("step ") {
        line.clear();
        assert!(out.read_line(&mut line).unwrap() > 0, "it ended before its first steps");
    }
    (child, out)
}

fn end(mut child: Child, mut out: BufReader<std::process::ChildStdout>) -> Output {
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    out.read_to_end(&mut stdout).unwrap();
    child.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    Output { status: child.wait().unwrap(), stdout, stderr }
}

const SIGBUS: i32 = if cfg!(target_os = "linux") { 7 } else { 10 };

/// As documented at `Array::open`: an error if the end of an epoch comes first, or else SIGBUS; no model
/// file either way.
#[test]
fn truncated_while_mapped() {
    let folder = Folder::new("truncated");
    let data = data(&folder);
    let steps = ["--steps", "100000000"];
    let (child, out) = at_work(train(&folder.0, &data, &steps));
    File::options().write(true).open(&data).unwrap().set_len(5000).unwrap();
    let output = end(child, out);
    let stderr = String::from_utf8_lossy(&output.stderr);
    let signalled = output.status.signal() == Some(SIGBUS);
    let told = output.status.code() == Some(2) && stderr.contains("changed while mapped");
    assert!(signalled || told, "{:?}\n{stderr}", output.status);
    println!("truncated while mapped: {}", if signalled { "SIGBUS" } else { "told" });
    assert!(!folder.0.join("m.safetensors").exists());
}

#[test]
fn truncated_after_a_copy() {
    let folder = Folder::new("copied");
    let data = data(&folder);
    let (child, out) = at_work(train(&folder.0, &data, &["--steps", "3000", "--copy"]));
    File::options().write(true).open(&data).unwrap().set_len(5000).unwrap();
    let output = end(child, out);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(folder.0.join("m.safetensors").exists());
}

/// Other bytes, the same length.
#[test]
fn rewritten_while_mapped() {
    let folder = Folder::new("rewritten");
    let data = data(&folder);
    let (child, out) = at_work(train(&folder.0, &data, &["--steps", "100000000"]));
    // File systems have times of a few milliseconds' resolution.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let bytes = fs::read(&data).unwrap();
    // The library refuses to replace a mapped file.
    let problem = write_idx(&data, &[4096, 100], &vec![7u8; 4096 * 100]).unwrap_err().to_string();
    assert!(problem.contains("it is mapped"), "{problem}");
    assert!(fs::read(&data).unwrap() == bytes);
    // Not truncated: all pages stay, so only the check at the end of the epoch can notice.
    let mut file = File::options().write(true).open(&data).unwrap();
    file.write_all(&[&bytes[..12], &vec![7; bytes.len() - 12]].concat()).unwrap();
    let output = end(child, out);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("written to since it was opened"), "{stderr}");
    assert!(!folder.0.join("m.safetensors").exists());
}

/// In the library: an error at the end of the epoch, and the trainer stays usable.
#[test]
fn the_library_notices_at_the_end_of_the_epoch() {
    let folder = Folder::new("epoch");
    let data = data(&folder);
    let samples = Samples::open(&data).unwrap();
    let builder = Trainer::builder(Settings {
        layers: vec![100, 5, 100],
        batch: 1024,
        ..Settings::default()
    })
    .threads(1);
    let mut trainer = builder.build(&samples).unwrap();
    let go_on = |_: &mut Trainer, _| ControlFlow::Continue(());
    trainer.run(5, go_on).unwrap();
    let file = File::options().write(true).open(&data).unwrap();
    // Longer: all mapped pages stay.
    file.set_len(16 + 4096 * 100 + 1).unwrap();
    let problem = trainer.run(1000, go_on).unwrap_err().to_string();
    assert!(problem.contains("changed while mapped: 409612 bytes became 409617"), "{problem}");
    assert!(trainer.steps() < 12, "{}", trainer.steps());
    assert!(trainer.autoencoder().parameters().iter().all(|number| number.is_finite()));
}

/// NaN and infinities in data are errors that name sample and feature, in every method.
#[test]
fn features_that_are_not_finite() {
    let folder = Folder::new("finite");
    for (name, odd) in [("NaN", f32::NAN), ("inf", f32::INFINITY), ("-inf", f32::NEG_INFINITY)] {
        let mut values: Vec<f32> = (0..40 * 100).map(|i| (i % 97) as f32 / 97.0).collect();
        values[33 * 100 + 71] = odd;
        let path = folder.0.join("odd.idx");
        write_idx(&path, &[40, 100], &values).unwrap();
        let samples = || Samples::new(Array::open(&path).unwrap(), Scaling::AsIs);
        let refused = |problem: Error| {
            let problem = problem.to_string();
            let place = problem.contains("sample 33") && problem.contains("feature 71");
            assert!(place && problem.contains(name), "{problem}");
        };
        let builder = || {
            Trainer::builder(Settings {
                layers: vec![100, 5, 100],
                batch: 16,
                ..Settings::default()
            })
            .threads(2)
        };
        let mut trainer = builder().build(&samples()).unwrap();
        let before = trainer.autoencoder().parameters().to_vec();
        let problem = (0..3).find_map(|_| trainer.step().err()).unwrap();
        refused(problem);
        refused(trainer.evaluate(&samples()).unwrap_err());
        refused(trainer.encode(&samples()).unwrap_err());
        refused(
            {
                let (engine, net) = trainer.parts();
                net.reconstruct(engine, &samples())
            }
            .unwrap_err(),
        );
        assert!(trainer.autoencoder().parameters().iter().all(|number| number.is_finite()));
        assert_eq!(before.len(), trainer.autoencoder().parameters().len());
        let output = train(&folder.0, &path, &["--scaling", "as-is", "--steps", "5"]).output();
        let output = output.unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("sample 33") && stderr.contains("feature 71"), "{stderr}");
    }
}

/// A diverged training writes no model.
#[test]
fn a_diverging_run_keeps_its_last_checkpoint() {
    let folder = Folder::new("diverging");
    let path = folder.0.join("large.idx");
    let values: Vec<f32> = (0..200 * 100).map(|i| (i % 97) as f32 * 1e3).collect();
    write_idx(&path, &[200, 100], &values).unwrap();
    let checkpoint = folder.0.join("run.ckpt");
    let mut command = train(&folder.0, &path, &["--scaling", "as-is", "--steps", "2000"]);
    command.args(["--activation", "linear", "--output-activation", "linear", "--beta", "0"]);
    command.args(["--lr", "1e8", "--checkpoint-every", "1", "--checkpoint"]).arg(&checkpoint);
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("the objective is not finite at step"), "{stderr}");
    assert!(!folder.0.join("m.safetensors").exists());
    let kept = sae::files::Checkpoint::load(&checkpoint).unwrap();
    assert!(kept.steps() > 0);
}

/// A child process holds its parent's files until `exec`; a lock must not outlive its map because of that.
#[test]
fn a_lock_goes_with_its_map_while_processes_start() {
    let folder = Folder::new("lock");
    let path = folder.0.join("data.idx");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
                command.arg("--version").stdout(Stdio::null()).status().unwrap();
            }
        });
        let written: sae::Result<Vec<()>> = (0..300u32)
            .map(|i| {
                write_idx(&path, &[1, 1], &[i as f32])?;
                Array::open(&path).map(drop)
            })
            .collect();
        done.store(true, Ordering::Relaxed);
        written.unwrap();
    });
    let held = Array::open(&path).unwrap();
    let problem = write_idx(&path, &[1, 1], &[0f32]).unwrap_err().to_string();
    assert!(problem.contains("it is mapped"), "{problem}");
    drop(held);
}
