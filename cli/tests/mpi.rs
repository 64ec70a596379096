//! `mpirun -n 2 sae train` is `sae train` by two processes. (Without an MPI library there is no feature
//! `mpi`: scripts/mpi.sh installs one and runs this.)

#[path = "../../tests/common/folder.rs"]
mod folder;

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use folder::Folder;

const SAE: &str = env!("CARGO_BIN_EXE_sae");

/// A few digits and a network that learns them in no time.
fn digits(name: &str) -> Folder {
    let folder = Folder::new(name);
    let made = Command::new(SAE)
        .args(["make-digits", "--train", "600", "--test", "100", "digits"])
        .current_dir(&folder.0)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    folder
}

/// There may be fewer cores than ranks, and a container may run as root.
fn mpirun(folder: &Path) -> Command {
    let mut command = Command::new("mpirun");
    command.env("OMPI_ALLOW_RUN_AS_ROOT", "1").env("OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1");
    command.arg("--oversubscribe").current_dir(folder);
    command
}

/// `arguments` for as many ranks; 0 for a process without mpirun.
fn command(folder: &Path, ranks: usize, arguments: &str) -> Command {
    let mut command = if ranks == 0 {
        let mut command = Command::new(SAE);
        command.current_dir(folder);
        command
    } else {
        let mut command = mpirun(folder);
        if !arguments.contains(LONG) {
            // Its own messages would stand between ours.
            command.arg("--quiet");
        }
        command.args(["-n", &ranks.to_string(), SAE]);
        command
    };
    command.args(arguments.split_whitespace());
    command
}

fn run(folder: &Path, ranks: usize, arguments: &str) -> Output {
    command(folder, ranks, arguments).output().unwrap_or_else(|e| panic!("mpirun: {e}"))
}

/// Output of a run that must succeed.
#[track_caller]
fn good(folder: &Path, ranks: usize, arguments: &str) -> Output {
    let done = run(folder, ranks, arguments);
    assert!(done.status.success(), "{arguments}: {done:?}");
    done
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// For runs whose end mpirun reports.
const LONG: &str = "--steps 100000000";

const TRAIN: &str = "train --data digits --preset article --layers 784,40,10,40,784";

/// The numbers of a history, row by row.
fn history(folder: &Path, name: &str) -> Vec<Vec<f64>> {
    let text = fs::read_to_string(folder.join(name)).unwrap();
    let rows = text.lines().skip(1);
    // What is measured now and then is empty in other rows.
    let number = |cell: &str| if cell.is_empty() { 0.0 } else { cell.parse().unwrap() };
    rows.map(|row| row.split(',').map(number).collect()).collect()
}

#[test]
fn the_curve_of_one_process_and_the_same_bits_twice() {
    let folder = digits("mpi-curve");
    let path = &*folder.0;
    good(path, 0, &format!("{TRAIN} --steps 60 --out alone.safetensors"));
    let alone = history(path, "alone.history.csv");
    assert!(alone.len() >= 50);
    for ranks in [1, 2, 4] {
        let mut models = Vec::new();
        for threads in [1, 2] {
            let out = format!("{ranks}-{threads}");
            let arguments =
                format!("{TRAIN} --steps 60 --threads {threads} --out {out}.safetensors");
            good(path, ranks, &arguments);
            let curve = history(path, &format!("{out}.history.csv"));
            assert_eq!(curve.len(), alone.len());
            for (ours, theirs) in curve.iter().flatten().zip(alone.iter().flatten()) {
                let close = (ours - theirs).abs() <= 1e-4 * theirs.abs();
                assert!(close, "{ranks} ranks: {ours} and {theirs}");
            }
            models.push(fs::read(path.join(format!("{out}.safetensors"))).unwrap());
        }
        assert!(models[0] == models[1], "{ranks} ranks: other bits the second time");
    }
}

#[test]
fn rank_0_alone_prints_and_writes() {
    let folder = digits("mpi-prints");
    let path = &*folder.0;
    let done = good(path, 2, &format!("{TRAIN} --steps 100 --checkpoint c --out m.safetensors"));
    let (out, error) = (text(&done.stdout), text(&done.stderr));
    assert!(error.is_empty(), "{error}");
    for line in ["training 784-40-10-40-784 on 600 samples, 2 ranks", "step 100 ", "model: m."] {
        assert_eq!(out.matches(line).count(), 1, "{line}: {out}");
    }
    let mut files: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    files.sort();
    let names = ["c", "digits", "m.data.json", "m.history.csv", "m.png", "m.safetensors"];
    assert_eq!(files, names);
    let done = run(path, 2, &format!("{TRAIN} --steps 60 --json --overwrite --out m.safetensors"));
    let answer: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&answer["ranks"], &answer["steps"]), (&2.into(), &60.into()));
}

/// Shards are the halves of a file; a checkpoint in rank 0 is enough to resume.
#[test]
fn shards_and_checkpoints() {
    let folder = digits("mpi-shards");
    let path = &*folder.0;
    let bytes = fs::read(path.join("digits/train-images-idx3-ubyte")).unwrap();
    for rank in 0..2 {
        let mut half = bytes[..16].to_vec();
        half[4..8].copy_from_slice(&300u32.to_be_bytes());
        half.extend(&bytes[16 + rank * 300 * 784..][..300 * 784]);
        fs::write(path.join(format!("part-{rank}.idx")), half).unwrap();
    }
    let train = "train --images part-{rank}.idx --test digits/t10k-images-idx3-ubyte --sharded \
                 --preset article --layers 784,40,784";
    for (arguments, out) in [
        ("--steps 40", "whole"),
        ("--steps 25 --checkpoint c", "half"),
        ("--steps 40 --checkpoint c --resume", "resumed"),
    ] {
        good(path, 2, &format!("{train} {arguments} --quiet --out {out}.safetensors"));
    }
    let [whole, half, resumed] = ["whole", "half", "resumed"]
        .map(|out| fs::read(path.join(format!("{out}.safetensors"))).unwrap());
    assert!(whole == resumed && whole != half);
}

/// One rank prints one sentence, and all end.
#[test]
fn failures_are_told_once() {
    let folder = digits("mpi-failures");
    let path = &*folder.0;
    fs::copy(path.join("digits/train-images-idx3-ubyte"), path.join("part-0.idx")).unwrap();
    let shares = "train --images part-{rank}.idx --sharded --layers 784,40,784";
    for (arguments, sentence) in [
        ("train --bogus", "error: unexpected argument '--bogus' found"),
        ("train --data nowhere", "error: cannot open nowhere: No such file"),
        (
            "train --data digits --preset article --rho 7",
            "error: --rho: expected a number from 1e-6 to 0.999999, got 7",
        ),
        ("train --data digits --batch 1", "error: --batch: 1 sample for 2 ranks"),
        ("train --data digits --out part-0.idx/m", "error: cannot create part-0.idx: File exists"),
        ("train --data digits --out part-0.idx", "error: part-0.idx: this file exists"),
        (shares, "error: rank 1 of 2: cannot open part-1.idx: No such file"),
        ("train --sharded", "error: --sharded: the shard of each rank must be given"),
        (&format!("{shares} --revive 10"), "error: --revive: no rank can find the dead units"),
        (&format!("{shares} --scaling min-max"), "error: --scaling: min-max needs all data"),
    ] {
        let done = command(path, 2, arguments).output().unwrap();
        let error = text(&done.stderr);
        assert_eq!(done.status.code(), Some(2), "{arguments}: {done:?}");
        assert_eq!(error.matches("error:").count(), 1, "{arguments}: {error}");
        assert!(error.contains(sentence), "{arguments}: {error}");
    }
    // The shard of another rank is none of the files that rank 0 reads.
    fs::copy(path.join("part-0.idx"), path.join("part-1.idx")).unwrap();
    let done = run(path, 2, &format!("{shares} --checkpoint ./part-1.idx --overwrite"));
    let error = text(&done.stderr);
    assert!(error.contains("error: rank 1 of 2: ./part-1.idx: this is a file that"), "{error}");
    // Different steps for the two ranks.
    let mut two = mpirun(path);
    two.args(["--quiet", "-n", "1", SAE, "train", "--data", "digits"]);
    two.args([":", "-n", "1", SAE, "train", "--data", "digits", "--steps", "7"]);
    let done = two.output().unwrap();
    let error = text(&done.stderr);
    assert!(
        error.contains("error: rank 1 of 2: --steps, --revive, --pretrain and --test-every"),
        "{error}"
    );
    assert!(!path.join("runs").exists());
}

/// A training that would take hours, once it has a checkpoint.
fn long_training(path: &Path) -> Child {
    let arguments =
        format!("{TRAIN} {LONG} --quiet --checkpoint c --checkpoint-every 20 --overwrite");
    let mut command = command(path, 2, &arguments);
    // A busy machine needs more than the second that mpirun gives them to end.
    command.env("OMPI_MCA_odls_base_sigkill_timeout", "5");
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while !path.join("c").exists() {
        assert!(start.elapsed() < Duration::from_secs(100), "no checkpoint");
        sleep(Duration::from_millis(20));
    }
    child
}

/// The ranks of an mpirun, in their order.
fn ranks_of(mpirun: &Child) -> Vec<u32> {
    let mut ranks = Vec::new();
    for entry in fs::read_dir("/proc").unwrap() {
        let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
        let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let stat = text(&read("stat"));
        let parent = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1));
        if parent != Some(&mpirun.id().to_string()) {
            continue;
        }
        let environment = text(&read("environ"));
        let rank =
            environment.split('\0').find_map(|set| set.strip_prefix("OMPI_COMM_WORLD_RANK="));
        if let Some(rank) = rank {
            ranks.push((rank.parse::<u32>().unwrap(), pid));
        }
    }
    ranks.sort();
    ranks.into_iter().map(|(_, pid)| pid).collect()
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args([signal, &pid.to_string()]).status().unwrap();
    assert!(sent.success());
}

/// If any rank dies, mpirun reports it and ends the others, and the last checkpoint is valid.
#[test]
fn a_rank_that_dies() {
    let folder = digits("mpi-dies");
    let path = &*folder.0;
    for dies in [0, 1] {
        let mpirun = long_training(path);
        let ranks = ranks_of(&mpirun);
        assert_eq!(ranks.len(), 2);
        sleep(Duration::from_millis(300));
        send("-KILL", ranks[dies]);
        let done = mpirun.wait_with_output().unwrap();
        let error = text(&done.stderr);
        assert!(!done.status.success());
        assert!(error.contains(&format!("process rank {dies} ")), "{error}");
        assert!(error.contains("exited on signal 9"), "{error}");
        let checkpoint = sae::files::Checkpoint::load(path.join("c")).unwrap();
        // It is resumed by two ranks and by one process.
        for ranks in [2, 0] {
            let steps = checkpoint.steps() + 5;
            let arguments = format!(
                "{TRAIN} --steps {steps} --quiet --checkpoint d --resume --out m.safetensors"
            );
            fs::copy(path.join("c"), path.join("d")).unwrap();
            good(path, ranks, &arguments);
        }
        fs::remove_file(path.join("c")).unwrap();
    }
}

/// SIGTERM to mpirun, and to any rank, saves the model and the checkpoint.
#[test]
fn a_signal_saves() {
    let folder = digits("mpi-signals");
    let path = &*folder.0;
    for to_rank in [None, Some(0), Some(1)] {
        let mpirun = long_training(path);
        let pid = to_rank.map_or(mpirun.id(), |rank: usize| ranks_of(&mpirun)[rank]);
        send("-TERM", pid);
        let done = mpirun.wait_with_output().unwrap();
        let out = text(&done.stdout);
        assert!(!done.status.success());
        assert!(out.contains("stopped after step"), "{to_rank:?}: {out} {}", text(&done.stderr));
        let steps = sae::files::Checkpoint::load(path.join("c")).unwrap().steps();
        assert!(out.contains(&format!("stopped after step {steps}\n")), "{out}");
        // Rank 0 has chosen the folder.
        let runs = fs::read_dir(path.join("runs")).unwrap().count();
        assert_eq!(runs, 2, "a folder and .gitignore");
        sae::Autoencoder::load(path.join("runs/1/model.safetensors")).unwrap();
        fs::remove_file(path.join("c")).unwrap();
        fs::remove_dir_all(path.join("runs")).unwrap();
    }
}
