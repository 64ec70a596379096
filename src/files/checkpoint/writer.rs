//! Writes checkpoints beside a training: one thread copies, another writes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use super::image::Image;
use super::{Checkpoint, Data, State, running_units};
use crate::error::{Error, Result};
use crate::files::atomic::{self, Disk, System};
use crate::settings::Optimizer;
use crate::training::controller::Control;
use crate::training::trainer::Trainer;

/// Replaces the newest checkpoint, the earlier ones moving on by one name. At any moment `path`
/// names a whole checkpoint, if it ever did.
fn store(disk: &impl Disk, path: &Path, keep: usize, bytes: &[u8]) -> io::Result<()> {
    let temporary = atomic::temporary(path)?;
    let done = disk.write_new(&temporary, bytes).and_then(|()| {
        if keep > 1 && path.exists() {
            for n in (1..keep - 1).rev() {
                if Checkpoint::earlier(path, n).exists() {
                    disk.rename(&Checkpoint::earlier(path, n), &Checkpoint::earlier(path, n + 1))?;
                }
            }
            // The newest has two names for a while, so that its own is never without a file.
            let second_name = atomic::temporary(path)?;
            let moved = disk.link(path, &second_name);
            let moved =
                moved.and_then(|()| disk.rename(&second_name, &Checkpoint::earlier(path, 1)));
            // Renaming does nothing where both are names of one file already, as they are after a
            // kill just here.
            match disk.remove(&second_name) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => moved.and(Err(e))?,
                _ => moved?,
            }
        }
        atomic::put(disk, &temporary, path)
    });
    if done.is_err() {
        let _ = disk.remove(&temporary);
    }
    done
}

/// What the training and the writing thread share.
struct Shared {
    desk: Mutex<Desk>,
    changed: Condvar,
}

/// Where images are handed over: one may be written while the next is filled.
struct Desk {
    free: Vec<Image>,
    /// Waits to be written; a newer one takes its place.
    full: Option<Image>,
    writing: bool,
    /// Of a writing that failed, until somebody is told.
    failure: Option<io::Error>,
    stop: bool,
}

impl Shared {
    fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, desk: MutexGuard<'a, Desk>) -> MutexGuard<'a, Desk> {
        self.changed.wait(desk).unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what is handed over until there is an end.
    fn write_all(&self, disk: &impl Disk, path: &Path, keep: usize) {
        let mut desk = self.desk();
        loop {
            if let Some(mut image) = desk.full.take() {
                desk.writing = true;
                drop(desk);
                let done = store(disk, path, keep, image.sealed());
                desk = self.desk();
                desk.failure = done.err().or(desk.failure.take());
                desk.free.push(image);
                desk.writing = false;
                self.changed.notify_all();
            } else if desk.stop {
                return;
            } else {
                desk = self.wait(desk);
            }
        }
    }
}

/// Writes checkpoints of a training beside it, in a thread of its own.
///
/// `path` is the newest, `path.1` the one before, and so on. One writer at a time may use a path.
pub struct Checkpoints {
    path: PathBuf,
    data: Data,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// Checkpoints of a training at `path`, the newest `keep` of them kept (at least 1). Removes
    /// what a writer that was killed has left unfinished.
    ///
    /// # Errors
    /// [`Error::Io`] if nothing could be written there; [`Error::Setting`] if none is to be kept.
    pub fn new(path: impl AsRef<Path>, keep: usize, trainer: &Trainer) -> Result<Self> {
        Self::on(System, path.as_ref(), keep, trainer)
    }

    fn on(
        disk: impl Disk + Send + 'static,
        path: &Path,
        keep: usize,
        trainer: &Trainer,
    ) -> Result<Self> {
        if keep == 0 {
            return Err(Error::setting("keep", "0 checkpoints; at least 1 was expected"));
        }
        check_optimizer(trainer)?;
        let wrong = |e| Error::io("write", path, e);
        let target = atomic::resolved(path).map_err(wrong)?;
        atomic::check_writable(&target)?;
        if target.exists() && !target.is_file() {
            return Err(Error::format(path, None, "not a regular file, as a checkpoint must be"));
        }
        let data = Data::of(trainer.samples())?;
        let free = [image(&data, trainer), image(&data, trainer)];
        let free = free.into_iter().collect::<Result<Vec<_>>>()?;
        let desk = Desk { free, full: None, writing: false, failure: None, stop: false };
        let shared = Arc::new(Shared { desk: Mutex::new(desk), changed: Condvar::new() });
        let (theirs, its_path) = (Arc::clone(&shared), target.clone());
        let writer = thread::Builder::new()
            .name("sae-checkpoint".to_owned())
            .spawn(move || theirs.write_all(&disk, &its_path, keep))
            .map_err(wrong)?;
        Ok(Checkpoints { path: target, data, shared, writer: Some(writer) })
    }

    /// Hands the training as it stands to the writer and returns at once. If that is still busy,
    /// this one is written next, instead of any other that waits.
    ///
    /// # Errors
    /// [`Error::Io`] if an earlier one could not be written (the newest that could is whole).
    pub fn save(&mut self, trainer: &mut Trainer) -> Result<()> {
        let json = State::of(&self.data, trainer).to_json();
        let mut desk = self.shared.desk();
        let failure = desk.failure.take();
        let waiting = desk.full.take();
        let taken = waiting.or_else(|| desk.free.pop());
        drop(desk);
        // There are two: one may be with the writer, so this is there.
        let mut taken = match taken {
            Some(taken) => taken,
            None => image(&self.data, trainer)?,
        };
        taken.fill(&json, trainer);
        self.shared.desk().full = Some(taken);
        self.shared.changed.notify_all();
        self.told(failure)
    }

    /// Waits until all that was handed over is on the disk.
    ///
    /// # Errors
    /// As for [`Checkpoints::save`].
    pub fn finish(&mut self) -> Result<()> {
        let mut desk = self.shared.desk();
        while desk.writing || desk.full.is_some() {
            desk = self.shared.wait(desk);
        }
        let failure = desk.failure.take();
        drop(desk);
        self.told(failure)
    }

    fn told(&self, failure: Option<io::Error>) -> Result<()> {
        failure.map_or(Ok(()), |e| Err(Error::io("write", &self.path, e)))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.shared.desk().stop = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // It does not panic; if it did, there is nobody to tell.
            let _ = writer.join();
        }
    }
}

impl Trainer {
    /// What a checkpoint's file of the training, as it stands, has; for [`Checkpoint::from_bytes`].
    ///
    /// # Errors
    /// [`Error::Setting`] if the optimizer is L-BFGS.
    pub fn checkpoint(&mut self) -> Result<Vec<u8>> {
        check_optimizer(self)?;
        let data = Data::of(self.samples())?;
        let mut image = image(&data, self)?;
        image.fill(&State::of(&data, self).to_json(), self);
        Ok(image.sealed().to_vec())
    }
}

fn check_optimizer(trainer: &Trainer) -> Result<()> {
    if let Optimizer::Lbfgs { .. } = trainer.autoencoder().settings().optimizer {
        let problem = "checkpoints do not hold what L-BFGS remembers; train without, or with adam";
        return Err(Error::setting("optimizer", problem));
    }
    Ok(())
}

/// An image with room for a training's checkpoints.
fn image(data: &Data, trainer: &Trainer) -> Result<Image> {
    // The longest that it can become: the file's size does not depend on where it was resumed.
    let state = State::of(data, trainer);
    let number = f64::MIN;
    let longest = State {
        step: u64::MAX,
        epoch: u64::MAX,
        position: usize::MAX,
        penalty_factor: number,
        control: Control { smoothed: number, log_factor: number, speed: number, sum: number },
        ..state
    };
    let net = trainer.autoencoder();
    let means = running_units(net.settings()).iter().sum();
    let image = Image::new(net.parameters().len(), means, longest.to_json().len());
    image.map_err(|e| Error::setting("checkpoint", e))
}

#[cfg(test)]
#[path = "../../../tests/common/folder.rs"]
mod folder;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs;

    use super::folder::Folder;
    use super::*;
    use crate::data::samples::Samples;
    use crate::settings::Settings;

    /// A disk of which one operation fails half-way, and with it all later ones, as when the
    /// process is killed there; or none of the later ones, as when the disk was full for a while.
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

    /// A training's checkpoint after so many steps.
    fn bytes(steps: u64) -> Vec<u8> {
        let mut trainer = trainer();
        trainer.run(steps, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        let data = Data::of(&samples(1)).unwrap();
        let mut image = image(&data, &trainer).unwrap();
        image.fill(&State::of(&data, &trainer).to_json(), &mut trainer);
        image.sealed().to_vec()
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
                    let before = (1..keep)
                        .find_map(|n| Checkpoint::load(Checkpoint::earlier(&path, n)).ok());
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
        let mut trainer = trainer();
        let count = trainer.autoencoder().parameters().len();
        let mut image = Image::new(count, 0, 100).unwrap();
        image.fill(br#"{"version":3}"#, &mut trainer);
        let problem = Checkpoint::from_bytes("c", image.sealed()).unwrap_err().to_string();
        assert_eq!(problem, "c: checkpoint of version 3; this program knows version 2");
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
}
