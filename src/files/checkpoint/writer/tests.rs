//! Checkpoints on disks that fail, and what is written.

use std::cell::Cell;
use std::fs;

use super::folder::Folder;
use super::*;
use crate::compute::ThreadPool;
use crate::data::samples::Samples;
use crate::data::scaling::Scaling;
use crate::settings::Settings;

/// A file system of which one operation fails, and with it all later ones, as when the process is
/// killed there; or none of the later ones, as when the disk was full for a while.
struct Faulty {
    fails_at: usize,
    for_good: bool,
    done: Cell<usize>,
}

impl Faulty {
    fn new(fails_at: usize, for_good: bool) -> Self {
        Faulty { fails_at, for_good, done: Cell::new(0) }
    }

    fn next(&self) -> io::Result<()> {
        let at = self.done.replace(self.done.get() + 1);
        if at == self.fails_at || self.for_good && at > self.fails_at {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "made to fail"));
        }
        Ok(())
    }
}

impl Disk for Faulty {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        for half in [&bytes[..0], &bytes[..bytes.len() / 2], bytes] {
            if let Err(e) = self.next() {
                // What was written until then is there.
                fs::write(path, half)?;
                return Err(e);
            }
        }
        fs::write(path, bytes)?;
        // The waiting for the disk.
        self.next()
    }
    fn sync(&self, _: &Path) -> io::Result<()> {
        self.next()
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.next()?;
        System.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.next()?;
        System.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.next()?;
        System.remove(path)
    }
    fn sync_folder(&self, _: &Path) -> io::Result<()> {
        self.next()
    }
}

fn samples(seed: usize) -> Samples {
    let value = |i: usize| ((i * 7919 + seed * 31) % 101) as f32 / 101.0;
    Samples::from_values((0..40 * 12).map(value).collect(), 12).unwrap()
}

fn trainer() -> Trainer {
    let layers = vec![12, 5, 3, 5, 12];
    let settings = Settings { layers, batch: 7, ..Settings::default() };
    Trainer::builder(settings).threads(1).build(&samples(1)).unwrap()
}

/// A training's checkpoint after `steps` steps.
fn bytes(steps: u64) -> Vec<u8> {
    let mut trainer = trainer();
    trainer.run(steps, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
    trainer.checkpoint().unwrap()
}

/// A file system that writes when it is let.
struct Slow(std::sync::mpsc::Receiver<()>);

impl Disk for Slow {
    fn write_new(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let _ = self.0.recv();
        System.write_new(path, bytes)
    }
    fn sync(&self, path: &Path) -> io::Result<()> {
        System.sync(path)
    }
    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.link(from, to)
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        System.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        System.remove(path)
    }
    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        System.sync_folder(path)
    }
}

/// A checkpoint that waits for the disk is not lost to one that cannot be written.
#[test]
fn a_waiting_checkpoint_is_kept() {
    let folder = Folder::new("waiting");
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer();
    let (lets, disk) = std::sync::mpsc::channel();
    let mut checkpoints = Checkpoints::on(Slow(disk), &path, 1, &trainer).unwrap();
    for step in 1..=3 {
        trainer.step().unwrap();
        checkpoints.save(&mut trainer).unwrap();
        while step == 1 && !checkpoints.shared.images().writing {
            thread::yield_now();
        }
    }
    trainer.step().unwrap();
    trainer.cx.state.second[3] = f32::INFINITY;
    let problem = checkpoints.save(&mut trainer).unwrap_err().to_string();
    assert!(problem.contains("a parameter or moment is inf"), "{problem}");
    lets.send(()).unwrap();
    lets.send(()).unwrap();
    checkpoints.finish().unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().steps(), 3);
}

#[test]
fn whatever_fails_the_newest_is_whole() {
    let [old, new, newer] = [1, 2, 3].map(bytes);
    for keep in [1, 2, 3] {
        for for_good in [true, false] {
            for fails_at in 0.. {
                let folder = Folder::new("faulty");
                let path = folder.0.join("run.ckpt");
                store(&System, &path, keep, &old).unwrap();
                store(&System, &path, keep, &new).unwrap();
                let disk = Faulty::new(fails_at, for_good);
                let done = store(&disk, &path, keep, &newer);
                let steps = Checkpoint::load(&path).unwrap().steps();
                let failed = disk.done.get() > fails_at;
                assert_eq!(done.is_err(), failed, "operation {fails_at}, keep {keep}");
                assert!(steps == 3 || failed && steps == 2, "operation {fails_at}: {steps}");
                // The one before is there, too, under one of its names.
                let before =
                    (1..keep).find_map(|n| Checkpoint::load(Checkpoint::earlier(&path, n)).ok());
                assert!(keep == 1 || before.unwrap().steps() < 3, "operation {fails_at}");
                atomic::remove_temporary(&path).unwrap();
                assert!(folder.names().iter().all(|name| name.starts_with("run.ckpt")));
                // The next start finds everything in order.
                store(&System, &path, keep, &newer).unwrap();
                assert_eq!(Checkpoint::load(&path).unwrap().steps(), 3);
                if !failed {
                    break;
                }
            }
        }
    }
}

/// Killed before the last renaming, the newest has two names.
#[test]
fn two_names_of_one_file() {
    let folder = Folder::new("names");
    let path = folder.0.join("run.ckpt");
    store(&System, &path, 2, &bytes(1)).unwrap();
    fs::hard_link(&path, Checkpoint::earlier(&path, 1)).unwrap();
    store(&System, &path, 2, &bytes(2)).unwrap();
    assert_eq!(folder.names(), ["run.ckpt", "run.ckpt.1"]);
}

#[test]
fn as_many_are_kept_as_wanted() {
    for keep in 1..5 {
        let folder = Folder::new("keep");
        let path = folder.0.join("run.ckpt");
        for steps in 1..=6 {
            store(&System, &path, keep, &bytes(steps)).unwrap();
        }
        let names: Vec<PathBuf> = std::iter::once(path.clone())
            .chain((1..keep).map(|n| Checkpoint::earlier(&path, n)))
            .collect();
        let steps = names.iter().map(|name| Checkpoint::load(name).unwrap().steps());
        assert!(steps.eq((7 - keep as u64..=6).rev()), "{keep}");
        assert_eq!(folder.names().len(), keep);
    }
}

#[test]
fn every_damage_is_seen() {
    let bytes = bytes(2);
    let load = |bytes: &[u8]| Checkpoint::from_bytes("c", bytes);
    assert_eq!(load(&bytes).unwrap().steps(), 2);
    for end in 0..bytes.len() {
        load(&bytes[..end]).unwrap_err();
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        load(&damaged).unwrap_err();
    }
}

#[test]
fn another_version_is_refused() {
    let mut image = Image::new([Some(&Scaling::AsIs), None], &[], 100).unwrap();
    image.fill(br#"{"version":5}"#, &[], &mut ThreadPool::new(1));
    let problem = Checkpoint::from_bytes("c", image.bytes()).unwrap_err().to_string();
    assert_eq!(problem, "c: checkpoint of version 5; this program knows versions 2 to 4");
}

#[test]
fn a_failing_disk_is_told_and_the_training_goes_on() {
    let folder = Folder::new("told");
    let path = folder.0.join("run.ckpt");
    let mut trainer = trainer();
    let disk = Faulty::new(2, false);
    let mut checkpoints = Checkpoints::on(disk, &path, 2, &trainer).unwrap();
    trainer.step().unwrap();
    checkpoints.save(&mut trainer).unwrap();
    let problem = checkpoints.finish().unwrap_err().to_string();
    assert!(problem.contains("run.ckpt: made to fail"), "{problem}");
    assert!(folder.names().is_empty(), "{:?}", folder.names());
    trainer.step().unwrap();
    checkpoints.save(&mut trainer).unwrap();
    checkpoints.finish().unwrap();
    assert_eq!(Checkpoint::load(&path).unwrap().steps(), 2);
}
