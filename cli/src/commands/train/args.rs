//! The options of `sae train`.

use std::path::PathBuf;

use crate::data::TrainingDataArgs;
use crate::outputs::OverwriteArgs;
use crate::settings::SettingsArgs;

/// Train an autoencoder and save it
///
/// Without data it trains on drawn digits. Without --preset, samples that are images (PNGs, IDX files, and NumPy files of
/// integers, of three dimensions, or of four in color; of floats with --rows first) have the preset images, a
/// dictionary of 300 units of which each sample has 32, and others the preset top-k, a dictionary of four units for each feature, at least 128. --preset article is the autoencoder of the
/// article "Tensorflow Day17 Sparse Autoencoder" (blog.c1mone.com.tw/tensorflow-note-day-17.html), with its
/// sparsity penalty, and --preset article-plain the one without. `sae presets` lists all.
///
/// The same seed, data and settings give the same model, byte for byte, with any number of threads,
/// in one run or resumed. Ctrl-C and SIGTERM end the training after the current step and save the
/// model and the checkpoint; a second signal ends it at once. Where its output is closed, as by `| head -1`,
/// the training goes on and saves its model.
///
/// `mpirun -n 4 sae train …` is one training by four processes (ranks), on one machine or several.
/// Each computes its part of every batch; rank 0 prints and writes. (Needs a build with the feature
/// mpi.)
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  sae train
  sae train --preset article --out article.safetensors
  sae train --preset article-plain --steps 2000 --out plain.safetensors
  sae train --preset article --layers 784,64,784 --rho 0.05 --beta 1e-3 --steps 2000
  sae train --preset top-k --layers 784,1024,784 --steps 2000 --out dictionary.safetensors
  sae train --preset article --target mean-activation:0.05
  sae train --checkpoint-every 500 && sae train --resume
  sae train --steps 500 --test-every 50 --out followed.safetensors --log followed.jsonl
  sae train --from plain.safetensors --learning-rate 1e-4 --steps 2000 --out more.safetensors
  sae train --like plain.safetensors --seed 2 --out again.safetensors
  sae make-digits digits && sae train --data digits --json
  sae make-digits d && sae train --samples d/*-images* --order window:1000 --out d.safetensors")]
pub struct Args {
    #[command(flatten)]
    pub data: TrainingDataArgs,
    /// Training steps, including those before a checkpoint [default: those of the preset, 2000 of images, 1000 of
    /// matlab, 20000 of the others]
    #[arg(long, value_name = "N")]
    pub steps: Option<u64>,
    #[command(flatten)]
    pub settings: SettingsArgs,
    /// Begin with the weights of a model, or of a dictionary of another library (a folder of SAELens or
    /// sparsify, a Gemma Scope .npz). Its architecture and scaling stay; its other settings can be changed. Without
    /// data it is trained on its own
    #[arg(long, value_name = "MODEL", conflicts_with_all = ["scaling", "target_scaling", "pretrain"])]
    pub from: Option<PathBuf>,
    /// Repeat the training of a model: its data and options, which the file beside it has. Of a model file alone give
    /// --samples or --data, too. Options that are given take the place of its own
    #[arg(long, value_name = "MODEL")]
    pub like: Option<PathBuf>,
    /// Pretrain each layer by itself for N steps, from the outermost to the innermost
    #[arg(long, value_name = "N")]
    pub pretrain: Option<u64>,
    /// Reinitialize dead units every N steps
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub revive: Option<u64>,
    /// Stop when the test objective has not improved for N evaluations, and keep the best model
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub patience: Option<u32>,
    /// Steps from one of these evaluations to the next
    #[arg(long, value_name = "N", default_value_t = 500, requires = "patience",
        value_parser = clap::value_parser!(u64).range(1..))]
    pub evaluate_every: u64,
    /// Threads of each process; the model does not depend on them [default: SAE_NUM_THREADS or
    /// OMP_NUM_THREADS if set, all cores otherwise]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Batches that are read ahead, by a thread of their own; 0 for none [default: none where the data fit
    /// in memory]
    #[arg(long, value_name = "BATCHES")]
    pub read_ahead: Option<usize>,
    /// With several ranks: each trains on its own shard of the data; {rank} in --data or --samples is
    /// replaced by its number, from 0
    #[arg(long)]
    pub sharded: bool,
    /// Model file to write [default: model.safetensors in the folder of a new run: runs/1, runs/2, ...]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    #[command(flatten)]
    pub overwrite: OverwriteArgs,
    /// Write checkpoints, to this file if one is given; the one before is kept as FILE.1, and so on
    /// [default: checkpoint.ckpt in the run's folder, or the model's name with .ckpt]
    #[arg(long, value_name = "FILE", num_args = 0..=1)]
    pub checkpoint: Option<Option<PathBuf>>,
    /// Write checkpoints, every N steps [default: 1000]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub checkpoint_every: Option<u64>,
    /// Write checkpoints, and keep the last N [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    pub keep: Option<u16>,
    /// Resume from the checkpoint if it exists, without --checkpoint and --out from that of the latest run, with
    /// the data and options of its model's record; more --steps can be given where the learning rate has not come to 0.
    /// Writes checkpoints
    #[arg(long)]
    pub resume: bool,
    /// PNG of test samples above their reconstructions [default: picture.png in the run's folder, or the
    /// model's name with .png]
    #[arg(long, value_name = "FILE")]
    pub picture: Option<PathBuf>,
    /// CSV of the objective's terms and the mean activations over the training, for `sae report`
    /// [default: history.csv in the run's folder, or the model's name with .history.csv]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Measure test samples, at most 2048, and the norm of the gradient every N steps, for the history; 0 for
    /// never. Weights do not depend on it [default: a 25th of the steps]
    #[arg(long, value_name = "N")]
    pub test_every: Option<u64>,
    /// The history while the training runs, as JSON lines: first what is trained, last how it ended
    /// [default: log.jsonl in the run's folder, or else none]
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Print no progress and no notes; warnings stay, and what ends or changes the training
    #[arg(long)]
    pub quiet: bool,
    /// Print one JSON object at the end instead of text
    #[arg(long)]
    pub json: bool,
}

impl Args {
    /// Whether checkpoints are written.
    pub fn has_checkpoints(&self) -> bool {
        let given = self.checkpoint.is_some() || self.checkpoint_every.is_some();
        given || self.keep.is_some() || self.resume
    }

    /// The steps of the training, once they are known.
    pub fn steps(&self) -> u64 {
        self.steps.unwrap_or(0)
    }

    /// Checkpoints that are kept.
    pub fn keep(&self) -> u16 {
        self.keep.unwrap_or(2)
    }

    /// Steps from one checkpoint to the next.
    pub fn checkpoint_every(&self) -> u64 {
        self.checkpoint_every.unwrap_or(1000)
    }
}
