//! A training that is killed and resumed many times ends in the bytes of an undisturbed run; on a full
//! disk the existing checkpoint stays.
//!
//! `SAE_KILLS` says how many times (10; `.ci/run` says 200). Unix only: a kill that cannot be caught.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Instant, SystemTime};

use crate::folder::Folder;
use sae::files::Checkpoint;

/// Of an undisturbed run.
const STEPS: u64 = 1000;

/// Temporary files of unfinished writes.
fn unfinished(folder: &Folder) -> Vec<String> {
    folder.names().into_iter().filter(|name| name.ends_with(".tmp")).collect()
}

fn sae(data: &Path, folder: &Path, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.args(["train", "--quiet", "--layers", "784,24,784", "--steps"]);
    command.arg(STEPS.to_string());
    command.args(["--batch", "10", "--threads", "1", "--data"]).arg(data);
    command.arg("--out").arg(folder.join("model.safetensors")).args(more);
    command.env_remove("SAE_ISA").stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn good(output: &Output) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{:?}\n{stderr}", output.status);
}

fn digits(folder: &Path) -> PathBuf {
    let data = folder.join("digits");
    let mut command = Command::new(env!("CARGO_BIN_EXE_sae"));
    command.arg("make-digits").arg(&data).args(["--train", "300", "--test", "20"]);
    good(&command.output().unwrap());
    data
}

/// The model and the checkpoint: weights, moments and all.
fn outcome(folder: &Path) -> [Vec<u8>; 2] {
    ["model.safetensors", "run.ckpt"].map(|name| fs::read(folder.join(name)).unwrap())
}

fn kills() -> usize {
    std::env::var("SAE_KILLS").map_or(10, |text| text.parse().unwrap())
}

#[test]
fn killed_again_and_again() {
    let kills = kills();
    let (within, resumed, finished) = kill("kill", kills, &[]);
    assert!(kills < 200 || (within > 0 && resumed > kills / 2 && finished > 0));
}

/// The evaluations so far and the best network are in the checkpoint.
#[test]
fn killed_before_an_early_stop() {
    kill("early", kills().min(20), &["--patience", "3", "--evaluate-every", "70", "--lr", "0.1"]);
}

/// Kills runs of the command with these options, and returns how many kills were within a file's
/// writing and how many in resumed runs, and how many runs came to their end.
fn kill(name: &str, kills: usize, options: &[&str]) -> (usize, usize, usize) {
    let folder = Folder::new(name);
    let data = digits(&folder.0);
    let run = folder.0.join("run");
    fs::create_dir(&run).unwrap();
    let run = Folder(run);
    let checkpoint = run.0.join("run.ckpt");
    let path = checkpoint.to_str().unwrap();
    let options =
        [&["--checkpoint", path, "--checkpoint-every", "10", "--resume"], options].concat();

    let start = Instant::now();
    good(&sae(&data, &run.0, &options).output().unwrap());
    let undisturbed = start.elapsed();
    let want = outcome(&run.0);
    let has_patience = options.contains(&"--patience");
    let last = Checkpoint::load(&checkpoint).unwrap().steps();
    assert_eq!(last < STEPS, has_patience, "ended at {last}");
    if has_patience {
        // A training that has stopped early takes no more steps.
        let output = sae(&data, &run.0, &options).output().unwrap();
        good(&output);
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(
            stderr.contains(&format!("step {last}: no improvement in 3 evaluations")),
            "{stderr}"
        );
        assert!(outcome(&run.0) == want);
    }
    let clean = || {
        for name in ["model.safetensors", "model.png", "run.ckpt", "run.ckpt.1"] {
            let _ = fs::remove_file(run.0.join(name));
        }
    };
    clean();

    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    println!("seed of the moments: {seed}");
    let mut random = u64::from(seed) | 1;
    let (mut killed, mut within, mut finished, mut resumed) = (0, 0, 0, 0);
    while killed < kills {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // From before its first step to a third of the run.
        let moment = undisturbed.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64 / 3.0);
        let was_there = checkpoint.exists();
        let mut child = sae(&data, &run.0, &options).spawn().unwrap();
        std::thread::sleep(moment);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{status:?} after {killed} kills");
        } else {
            child.kill().unwrap();
            child.wait().unwrap();
            killed += 1;
            within += usize::from(!unfinished(&run).is_empty());
            resumed += usize::from(was_there);
            if checkpoint.exists() {
                Checkpoint::load(&checkpoint).unwrap();
            } else {
                assert!(!was_there, "a checkpoint is gone");
            }
            continue;
        }
        finished += 1;
        assert!(outcome(&run.0) == want, "other bytes after {killed} kills");
        assert!(unfinished(&run).is_empty(), "stayed: {:?}", unfinished(&run));
        clean();
    }
    good(&sae(&data, &run.0, &options).output().unwrap());
    assert!(outcome(&run.0) == want, "other bytes after {killed} kills");
    assert!(unfinished(&run).is_empty(), "stayed: {:?}", unfinished(&run));
    println!(
        "{killed} kills, {resumed} of resumed runs, {within} within a file's writing, \
         {} runs to the end; {undisturbed:.2?} undisturbed",
        finished + 1
    );
    (within, resumed, finished)
}

/// A mounted file system of that size, gone when the test ends.
struct Mounted(PathBuf);

impl Mounted {
    fn new(at: &Path, size: &str) -> Self {
        fs::create_dir(at).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(at);
        assert!(mount.status().unwrap().success(), "a file system cannot be mounted here");
        Mounted(at.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

#[test]
#[ignore = "mounts a file system: needs root"]
fn on_a_full_disk_the_old_checkpoint_stays() {
    let folder = Folder::new("full");
    let data = digits(&folder.0);
    // One checkpoint takes 450 KiB.
    let disk = Mounted::new(&folder.0.join("disk"), "700k");
    let checkpoint = disk.0.join("run.ckpt");
    let options = ["--checkpoint", checkpoint.to_str().unwrap(), "--checkpoint-every", "250"];
    let output = sae(&data, &folder.0, &options).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("No space left on device"), "{stderr}");
    assert!(stderr.contains("warning: cannot write"), "{stderr}");
    assert!(!output.status.success(), "the last checkpoint is missing without an error");
    assert_eq!(Checkpoint::load(&checkpoint).unwrap().steps(), 250);
    assert!(folder.0.join("model.safetensors").exists(), "the model is lost");
    let names: Vec<_> = fs::read_dir(&disk.0).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["run.ckpt"], "a temporary file stayed");
    // With more space it is resumed.
    let room = Command::new("mount").args(["-o", "remount,size=4m"]).arg(&disk.0).status();
    assert!(room.unwrap().success());
    good(&sae(&data, &folder.0, &[&options[..], &["--resume"]].concat()).output().unwrap());
    assert_eq!(Checkpoint::load(&checkpoint).unwrap().steps(), STEPS);
}
