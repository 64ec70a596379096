//! Checkpoints: a training as it stands, on disk, so that it can go on from there to the same
//! bits.
//!
//! A checkpoint is a safetensors file of six tensors: `parameters`, `first_moment` and
//! `second_moment` (`F32`, laid out as [`Autoencoder::parameters`]), `running_means` (`F32`, of the
//! layers whose KL penalty follows them, one after the other), `state` (`U8`: JSON, padded with
//! spaces; the controller's in it) and `checksum` (`U32`: CRC-32 of all the file's other bytes). The
//! order of the samples needs no more than the settings' seed, the epoch and the position in it.

mod image;

#[cfg(test)]
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use serde_json::json;

use crate::autoencoder::Autoencoder;
use crate::control::Control;
use crate::error::{Error, Result};
use crate::files::{self, Disk, System};
use crate::json::Fields;
use crate::network::layout;
use crate::samples::{Samples, Scaling};
use crate::settings::{Optimizer, Settings};
use crate::tensors::{self, Dtype, Header, read_file};
use crate::trainer::Trainer;
use crate::workspace::{self, end};
use image::{Image, checksum_of};

const VERSION: u64 = 2;

/// The tensors of numbers, each of one length.
const NUMBERS: [&str; 3] = ["parameters", "first_moment", "second_moment"];
const RUNNING_MEANS: &str = "running_means";

/// By which a data set is known again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Data {
    samples: usize,
    features: usize,
    /// CRC-32 of some samples' features, spread over the whole.
    digest: u64,
}

impl Data {
    /// # Errors
    /// A sample that is looked at is not of finite numbers.
    pub fn of(samples: &Samples) -> Result<Self> {
        const LOOKED_AT: usize = 64;
        let (count, features) = (samples.len(), samples.features());
        let mut row = vec![0.0; features];
        let mut digest = crc32fast::Hasher::new();
        for at in 0..count.min(LOOKED_AT) {
            let sample = (at as u128 * count as u128 / count.min(LOOKED_AT) as u128) as usize;
            samples.gather(sample, &mut row)?;
            for feature in &row {
                digest.update(&feature.to_le_bytes());
            }
        }
        Ok(Data { samples: count, features, digest: u64::from(digest.finalize()) })
    }
}

#[derive(Clone, Debug, PartialEq)]
struct State {
    settings: Settings,
    scaling: Scaling,
    data: Data,
    step: u64,
    epoch: u64,
    position: usize,
    penalty_factor: f64,
    control: Control,
}

impl State {
    fn to_json(&self) -> Vec<u8> {
        let State { settings, scaling, data, step, epoch, position, penalty_factor, control } =
            self;
        let Control { smoothed, log_factor, speed, sum } = control;
        let Data { samples, features, digest } = data;
        let json = json!({
            "version": VERSION,
            "settings": settings.to_value(),
            "scaling": scaling.to_value(),
            "data": {"samples": samples, "features": features, "digest": digest},
            "step": step,
            "epoch": epoch,
            "position": position,
            "penalty_factor": penalty_factor,
            "control": {
                "smoothed": smoothed,
                "log_factor": log_factor,
                "speed": speed,
                "sum": sum,
            },
        });
        json.to_string().into_bytes()
    }

    fn from_fields(fields: &Fields<'_>) -> std::result::Result<Self, String> {
        let data = Fields::of(fields.get("data")?)?;
        let control = Fields::of(fields.get("control")?)?;
        Ok(State {
            settings: Settings::from_value(fields.get("settings")?)?,
            scaling: Scaling::from_value(fields.get("scaling")?)?,
            data: Data {
                samples: data.count("samples")?,
                features: data.count("features")?,
                digest: data.whole("digest")?,
            },
            step: fields.whole("step")?,
            epoch: fields.whole("epoch")?,
            position: fields.count("position")?,
            penalty_factor: fields.number("penalty_factor")?,
            control: Control {
                smoothed: control.number("smoothed")?,
                log_factor: control.number("log_factor")?,
                speed: control.number("speed")?,
                sum: control.number("sum")?,
            },
        })
    }
}

/// A checkpoint that was read.
#[derive(Clone, Debug)]
pub struct Checkpoint {
    path: PathBuf,
    state: State,
    parameters: Vec<f32>,
    first_moment: Vec<f32>,
    second_moment: Vec<f32>,
    running_means: Vec<f32>,
}

impl Checkpoint {
    /// Reads a checkpoint.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read; [`Error::Format`] if it is no checkpoint, is of another
    /// version, or is damaged.
    pub fn load(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        Self::from_bytes(path, &read_file(path, "a checkpoint")?)
    }

    /// The checkpoint in these bytes; `path` is what errors call it.
    ///
    /// # Errors
    /// [`Error::Format`], as for [`Checkpoint::load`].
    pub fn from_bytes(path: impl AsRef<Path>, bytes: &[u8]) -> Result<Self> {
        let path = path.as_ref();
        let wrong = |problem: String| Error::format(path, None, problem);
        let damaged = |problem| wrong(format!("not a whole safetensors file: {problem}"));
        let header = Header::read(bytes).map_err(damaged)?;
        let range = |name: &str| match header.tensors.get(name) {
            Some(entry) => Ok(entry.bytes.clone()),
            None => Err(wrong(format!("not a checkpoint: it has no '{name}'"))),
        };
        let checksum = header.numbers(bytes, "checksum", Dtype::U32, &[1]).map_err(wrong)?;
        if u32::from_le_bytes(checksum[0]) != checksum_of(bytes, range("checksum")?) {
            return Err(wrong("damaged: its checksum is not that of its bytes".to_owned()));
        }
        let bad = |problem: String| wrong(format!("state: {problem}"));
        let json = tensors::json(&bytes[range("state")?]).map_err(bad)?;
        let fields = Fields::of(&json).map_err(bad)?;
        // Before all else: another version may have other fields.
        let version = fields.whole("version").map_err(bad)?;
        if version != VERSION {
            return Err(wrong(format!(
                "checkpoint of version {version}; this program knows version {VERSION}"
            )));
        }
        let state = State::from_fields(&fields).map_err(bad)?;
        // No training gets so far; the next ones would overflow.
        if state.step.max(state.epoch) >> 53 > 0 {
            return Err(bad(format!("step {} of epoch {}", state.step, state.epoch)));
        }
        state.settings.validate().map_err(|e| bad(e.to_string()))?;
        let factor = state.penalty_factor;
        if !(factor.is_finite() && factor >= 0.0) {
            return Err(bad(format!("penalty_factor is {factor}")));
        }
        let settings = &state.settings;
        let count = end(&layout(&settings.layers)) + settings.gate_parameters();
        let numbers = |name: &str, count: usize| {
            let numbers = header.numbers(bytes, name, Dtype::F32, &[count]).map_err(wrong)?;
            let numbers = numbers.iter().map(|&number| f32::from_le_bytes(number));
            let numbers: Vec<f32> = numbers.collect();
            match numbers.iter().find(|number| !number.is_finite()) {
                Some(number) => Err(wrong(format!(
                    "'{name}' has the number {number}; finite ones were expected"
                ))),
                None => Ok(numbers),
            }
        };
        let [parameters, first_moment, second_moment] = NUMBERS;
        Ok(Checkpoint {
            parameters: numbers(parameters, count)?,
            first_moment: numbers(first_moment, count)?,
            second_moment: numbers(second_moment, count)?,
            running_means: numbers(RUNNING_MEANS, running_units(settings).iter().sum())?,
            state,
            path: path.to_owned(),
        })
    }

    /// Name of the `n`-th checkpoint before the newest, which is at `path`.
    pub fn earlier(path: impl AsRef<Path>, n: usize) -> PathBuf {
        let mut name = path.as_ref().as_os_str().to_owned();
        name.push(format!(".{n}"));
        PathBuf::from(name)
    }

    /// The training's settings.
    pub fn settings(&self) -> &Settings {
        &self.state.settings
    }

    /// How the data was scaled.
    pub fn scaling(&self) -> Scaling {
        self.state.scaling
    }

    /// Steps done.
    pub fn steps(&self) -> u64 {
        self.state.step
    }

    /// The same training, to go on with other samples, from their next epoch. (One that goes on
    /// like that ends in other bits than one that was built on them.)
    ///
    /// # Errors
    /// A sample that is looked at is not of finite numbers.
    pub fn with_samples(mut self, samples: &Samples) -> Result<Self> {
        self.state.data = Data::of(samples)?;
        if self.state.position > 0 {
            (self.state.epoch, self.state.position) = (self.state.epoch + 1, 0);
        }
        Ok(self)
    }

    /// Gives a trainer's network and state what was kept of them.
    pub(crate) fn restore(self, net: &mut Autoencoder, state: &mut workspace::State) {
        net.parameters = self.parameters;
        net.penalty_factor = self.state.penalty_factor;
        state.first = self.first_moment;
        state.second = self.second_moment;
        state.step = self.state.step;
        state.control = self.state.control;
        let mut rest = &self.running_means[..];
        for means in &mut state.running_means {
            let (these, others) = rest.split_at(means.len());
            means.copy_from_slice(these);
            rest = others;
        }
    }

    /// Epoch, and the position in it.
    pub(crate) fn position(&self) -> (u64, usize) {
        (self.state.epoch, self.state.position)
    }

    /// # Errors
    /// The checkpoint is of other settings or other data.
    pub(crate) fn fits(&self, settings: &Settings, samples: &Samples) -> Result<()> {
        let wrong = |problem: String| Err(Error::format(&self.path, None, problem));
        if let Some((field, here, asked)) = self.state.settings.difference(settings) {
            return wrong(format!("checkpoint of a training with {field} {here}, not {asked}"));
        }
        let Data { samples: count, features, .. } = self.state.data;
        if (count, features) != (samples.len(), samples.features()) {
            return wrong(format!(
                "checkpoint of a training on {count} samples of {features} features; this data \
                 has {} of {}",
                samples.len(),
                samples.features()
            ));
        }
        if self.state.scaling != samples.scaling() {
            return wrong("checkpoint of a training on data scaled otherwise".to_owned());
        }
        if self.state.data != Data::of(samples)? {
            return wrong(format!(
                "checkpoint of a training on {count} other samples of as many features"
            ));
        }
        if self.state.position > count {
            return wrong(format!("position {} in {count} samples", self.state.position));
        }
        Ok(())
    }
}

/// Replaces the newest checkpoint, the earlier ones moving on by one name. At any moment `path`
/// names a whole checkpoint, if it ever did.
fn store(disk: &impl Disk, path: &Path, keep: usize, bytes: &[u8]) -> io::Result<()> {
    let temporary = files::temporary(path)?;
    let done = disk.write_new(&temporary, bytes).and_then(|()| {
        if keep > 1 && path.exists() {
            for n in (1..keep - 1).rev() {
                if Checkpoint::earlier(path, n).exists() {
                    disk.rename(&Checkpoint::earlier(path, n), &Checkpoint::earlier(path, n + 1))?;
                }
            }
            // The newest has two names for a while, so that its own is never without a file.
            let second_name = files::temporary(path)?;
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
        files::put(disk, &temporary, path)
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
        let target = files::resolved(path).map_err(wrong)?;
        files::check_writable(&target)?;
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
        let json = state(&self.data, trainer).to_json();
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
        image.fill(&state(&data, self).to_json(), self);
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

/// The state of a training.
fn state(data: &Data, trainer: &Trainer) -> State {
    let (epoch, position) = trainer.position();
    let net = trainer.autoencoder();
    State {
        settings: net.settings().clone(),
        scaling: net.scaling(),
        data: data.clone(),
        step: trainer.steps(),
        epoch,
        position,
        penalty_factor: net.penalty_factor(),
        control: trainer.control(),
    }
}

/// Units of each hidden layer whose running means are kept, 0 for none.
fn running_units(settings: &Settings) -> Vec<usize> {
    workspace::State::new(settings, 0).running_means.iter().map(Vec::len).collect()
}

/// An image with room for a training's checkpoints.
fn image(data: &Data, trainer: &Trainer) -> Result<Image> {
    // The longest that it can become: the file's size does not depend on where it was resumed.
    let state = state(data, trainer);
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
#[path = "../tests/common/folder.rs"]
mod folder;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::folder::Folder;
    use super::*;

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
        Trainer::builder().layers([12, 5, 3, 5, 12]).batch(7).threads(1).build(&samples(1)).unwrap()
    }

    /// A training's checkpoint after so many steps.
    fn bytes(steps: u64) -> Vec<u8> {
        let mut trainer = trainer();
        trainer.run(steps, |_, _| std::ops::ControlFlow::Continue(())).unwrap();
        let data = Data::of(&samples(1)).unwrap();
        let mut image = image(&data, &trainer).unwrap();
        image.fill(&state(&data, &trainer).to_json(), &mut trainer);
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
                    files::remove_temporary(&path).unwrap();
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
