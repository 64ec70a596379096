//! Writes checkpoints during a training: the training's threads copy, another one writes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use safetensors::tensor::Dtype;
use serde::Serialize;

use super::image::Image;
use super::{BEST, Checkpoint, INACTIVE, NUMBERS, VERSION, check};
use crate::compute::lock;
use crate::data::fingerprint::Fingerprint;
use crate::data::scaling::Scaling;
use crate::error::{Error, Result};
use crate::files::atomic::{self, Disk, System};
use crate::files::tensors::not_finite;
use crate::settings::{Optimizer, json};
use crate::training::early_stopping::{Best, Record};
use crate::training::snapshot::Progress;
use crate::training::trainer::Trainer;
use crate::training::workspace::{Context, Control};

/// Replaces the newest checkpoint and renames the earlier ones, `path` to `path.1` and so on. The
/// newest is valid after a crash at any moment.
fn store(disk: &impl Disk, path: &Path, keep: usize, bytes: &[u8]) -> io::Result<()> {
    let temporary = atomic::temporary(path)?;
    let done = disk.write_new(&temporary, bytes).and_then(|()| {
        if keep > 1 && path.exists() {
            for n in (1..keep - 1).rev() {
                if Checkpoint::earlier(path, n).exists() {
                    disk.rename(&Checkpoint::earlier(path, n), &Checkpoint::earlier(path, n + 1))?;
                }
            }
            // The newest has two names for a while, so that `path` always exists.
            let second_name = atomic::temporary(path)?;
            let moved = disk.link(path, &second_name);
            let moved =
                moved.and_then(|()| disk.rename(&second_name, &Checkpoint::earlier(path, 1)));
            // Renaming does nothing if both are names of one file, as they are after a kill right
            // here.
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

/// What the training and the writer share.
struct Shared {
    images: Mutex<Images>,
    changed: Condvar,
}

/// The two images of a training: one may be written while the other is filled.
struct Images {
    free: Vec<Image>,
    /// Will be written next, unless a newer one replaces it.
    full: Option<Image>,
    writing: bool,
    /// The error of a failed write, until it is returned.
    failure: Option<io::Error>,
    stop: bool,
}

impl Shared {
    fn images(&self) -> MutexGuard<'_, Images> {
        lock(&self.images)
    }

    fn wait<'a>(&self, images: MutexGuard<'a, Images>) -> MutexGuard<'a, Images> {
        self.changed.wait(images).unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes full images until told to stop.
    fn write_all(&self, disk: &impl Disk, path: &Path, keep: usize) {
        let mut images = self.images();
        loop {
            if let Some(image) = images.full.take() {
                images.writing = true;
                drop(images);
                let done = store(disk, path, keep, image.bytes());
                images = self.images();
                images.failure = done.err().or(images.failure.take());
                images.free.push(image);
                images.writing = false;
                self.changed.notify_all();
            } else if images.stop {
                return;
            } else {
                images = self.wait(images);
            }
        }
    }
}

/// Writes checkpoints of a training, in a thread of its own.
///
/// `path` is the newest, `path.1` the one before, and so on. One writer at a time may use a path.
pub struct Checkpoints {
    path: PathBuf,
    data: Fingerprint,
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Checkpoints").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Checkpoints {
    /// Starts a writer that keeps the newest `keep` checkpoints, at least 1, at `path`.
    ///
    /// Removes the temporary files that killed writers have left there.
    ///
    /// # Errors
    /// [`Error::Io`] if nothing could be written there; [`Error::Setting`] if `keep` is 0 or the
    /// optimizer is L-BFGS.
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
        let data = Fingerprint::of(trainer.batches.samples())?;
        let free = [new_image(&data, trainer), new_image(&data, trainer)];
        let free = free.into_iter().collect::<Result<Vec<_>>>()?;
        let images = Images { free, full: None, writing: false, failure: None, stop: false };
        let shared = Arc::new(Shared { images: Mutex::new(images), changed: Condvar::new() });
        let (theirs, its_path) = (Arc::clone(&shared), target.clone());
        let writer = thread::Builder::new()
            .name("sae-checkpoint".to_owned())
            .spawn(move || theirs.write_all(&disk, &its_path, keep))
            .map_err(wrong)?;
        Ok(Checkpoints { path: target, data, shared, writer: Some(writer) })
    }

    /// Copies the state of the training for the writer, without waiting for the disk. If the writer
    /// is busy, this checkpoint is written next, instead of an earlier one that waits.
    ///
    /// # Errors
    /// [`Error::Io`] if an earlier checkpoint could not be written (the one on the disk stays valid);
    /// [`Error::Format`] if a number is not finite, so that this one could not be loaded: it is not
    /// written.
    pub fn save(&mut self, trainer: &mut Trainer) -> Result<()> {
        if self.shared.images().free.is_empty() {
            // One that waits is not given up for one that cannot be written.
            check_numbers(trainer).map_err(|e| Error::format(&self.path, None, e))?;
        }
        let mut images = self.shared.images();
        let failure = images.failure.take();
        let taken = images.free.pop().or_else(|| images.full.take());
        drop(images);
        // Of the two the writer has at most one, so there is one.
        let mut image = match taken {
            Some(image) => image,
            None => new_image(&self.data, trainer)?,
        };
        let filled = fill(&mut image, &self.data, trainer);
        let mut images = self.shared.images();
        let old = if filled.is_ok() { images.full.replace(image) } else { Some(image) };
        images.free.extend(old);
        drop(images);
        self.shared.changed.notify_all();
        filled.map_err(|problem| Error::format(&self.path, None, problem))?;
        self.told(failure)
    }

    /// Waits until every saved checkpoint is on the disk.
    ///
    /// # Errors
    /// As for [`Checkpoints::save`].
    pub fn finish(&mut self) -> Result<()> {
        let mut images = self.shared.images();
        while images.writing || images.full.is_some() {
            images = self.shared.wait(images);
        }
        let failure = images.failure.take();
        drop(images);
        self.told(failure)
    }

    fn told(&self, failure: Option<io::Error>) -> Result<()> {
        failure.map_or(Ok(()), |e| Err(Error::io("write", &self.path, e)))
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.shared.images().stop = true;
        self.shared.changed.notify_all();
        if let Some(writer) = self.writer.take() {
            // It does not panic.
            let _ = writer.join();
        }
    }
}

impl Trainer {
    /// A text of the caller's, which checkpoints keep and a resumed training has; empty at first.
    pub fn note(&self) -> &str {
        &self.cx.state.note
    }

    /// Replaces the text that checkpoints keep.
    ///
    /// [`Checkpoints`] have room for the one that is there when they
    /// are made, so that later ones must not be longer.
    pub fn set_note(&mut self, note: String) {
        self.cx.state.note = note;
    }

    /// The bytes of a checkpoint of the training; for [`Checkpoint::from_bytes`].
    ///
    /// # Errors
    /// [`Error::Setting`] if the optimizer is L-BFGS; [`Error::Shape`] if a number is not finite.
    #[doc(hidden)]
    pub fn checkpoint(&mut self) -> Result<Vec<u8>> {
        check_optimizer(self)?;
        let data = Fingerprint::of(self.batches.samples())?;
        let mut image = new_image(&data, self)?;
        fill(&mut image, &data, self).map_err(Error::Shape)?;
        Ok(image.bytes().to_vec())
    }
}

fn check_optimizer(trainer: &Trainer) -> Result<()> {
    if let Optimizer::Lbfgs { .. } = trainer.cx.net.settings.optimizer {
        let problem = "checkpoints do not have the state of L-BFGS; train without, or with adam";
        return Err(Error::setting("optimizer", problem));
    }
    Ok(())
}

/// The JSON of a checkpoint.
#[derive(Serialize)]
struct State<'a> {
    version: u64,
    #[serde(flatten)]
    progress: &'a Progress,
}

/// The progress of a training.
fn progress(data: &Fingerprint, trainer: &Trainer) -> Progress {
    let Context { net, state, .. } = &trainer.cx;
    let (epoch, position) = trainer.batches.position();
    Progress {
        settings: net.settings.clone(),
        scaling: net.scaling.without_constants(),
        target_scaling: net.target_scaling.as_ref().map(Scaling::without_constants),
        data: data.clone(),
        step: state.step,
        epoch,
        position,
        penalty_factor: net.penalty_factor,
        variance: net.variance,
        control: state.control,
        early_stopping: trainer.early_stopping.as_ref().map(|stopping| stopping.record),
        note: state.note.clone(),
    }
}

fn state(progress: &Progress) -> std::result::Result<Vec<u8>, String> {
    serde_json::to_vec(&State { version: VERSION, progress }).map_err(|e| e.to_string())
}

/// An image with room for a training's checkpoints.
fn new_image(data: &Fingerprint, trainer: &Trainer) -> Result<Image> {
    // The longest possible state: the length of the file never depends on the step.
    let number = -f64::MIN_POSITIVE;
    let best = Best { objective: number, step: u64::MAX, penalty_factor: number };
    let record = Record { patience: u32::MAX, worse: u32::MAX, best: Some(best) };
    let longest = Progress {
        step: u64::MAX,
        epoch: u64::MAX,
        position: usize::MAX,
        penalty_factor: number,
        variance: trainer.cx.net.variance.map(|_| number),
        control: Control { smoothed: number, log_factor: number, speed: number, sum: number },
        early_stopping: trainer.early_stopping.as_ref().map(|_| record),
        ..progress(data, trainer)
    };
    let count = trainer.cx.net.parameters.len();
    let means = trainer.cx.state.running_means.iter().map(Vec::len).sum();
    let floats = NUMBERS.into_iter().zip([count, count, count, means]);
    let mut tensors: Vec<_> = floats.map(|(name, count)| (name, Dtype::F32, count)).collect();
    let inactive = trainer.cx.state.inactive.len();
    tensors.extend((inactive > 0).then_some((INACTIVE, Dtype::U32, inactive)));
    tensors.extend(trainer.early_stopping.as_ref().map(|_| (BEST, Dtype::F32, count)));
    let net = &trainer.cx.net;
    let scalings = [Some(&net.scaling), net.target_scaling.as_ref()];
    let image = state(&longest).and_then(|state| Image::new(scalings, &tensors, state.len()));
    image.map_err(|e| Error::setting("checkpoint", e))
}

/// Fills an image with a training as it stands.
fn fill(
    image: &mut Image,
    data: &Fingerprint,
    trainer: &mut Trainer,
) -> std::result::Result<(), String> {
    let state = state(&progress(data, trainer))?;
    // A number that is not finite, for one, has no JSON.
    let readable = json::parse(&state).and_then(|progress| check(&progress));
    readable.map_err(|problem| format!("not written: the state: {problem}"))?;
    if state.len() > image.room() {
        return Err(
            "not written: the trainer's note is longer than in the first checkpoint".to_owned()
        );
    }
    let Trainer { cx: Context { engine, net, state: moments, .. }, early_stopping, .. } = trainer;
    let mut numbers = vec![&net.parameters[..], &moments.first, &moments.second];
    numbers.extend(moments.running_means.iter().map(Vec::as_slice));
    // As bytes a count is a finite number of the same length.
    numbers.push(bytemuck::cast_slice(&moments.inactive));
    if let Some(stopping) = early_stopping {
        let has_best = stopping.record.best.is_some();
        numbers.push(if has_best { &stopping.parameters } else { &net.parameters });
    }
    match image.fill(&state, &numbers, &mut engine.pool) {
        None => Ok(()),
        Some(number) => Err(beyond(number)),
    }
}

/// Fails if [`fill`] would, for a number.
fn check_numbers(trainer: &Trainer) -> std::result::Result<(), String> {
    let Context { net, state, .. } = &trainer.cx;
    let mut all = [&net.parameters, &state.first, &state.second].into_iter();
    let found = all.find_map(|numbers| not_finite(numbers));
    found.map_or(Ok(()), |(_, number)| Err(beyond(number)))
}

fn beyond(number: f32) -> String {
    format!("not written: a parameter or moment is {number}; a checkpoint has finite numbers only")
}

#[cfg(test)]
#[path = "../../../tests/common/folder.rs"]
mod folder;

#[cfg(test)]
mod tests;
