//! `sae completions`

use std::io::{self, Write};

use clap_complete::Shell;

use crate::failure::Result;
use crate::suggest::{arguments_of_fish, of_bash, of_zsh};

/// Print a script that completes sae's commands, options and their values in a shell
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  source <(sae completions bash)      for this shell; in ~/.bashrc for all
  sae completions zsh > _sae          to be moved to a folder of $fpath
  sae completions fish > sae.fish     to be moved to ~/.config/fish/completions")]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args, mut cli: clap::Command) -> Result<()> {
    // Into memory first: the generator panics if its output is closed.
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut cli, "sae", &mut script);
    match args.shell {
        Shell::Bash => script = of_bash(&String::from_utf8_lossy(&script)).into_bytes(),
        Shell::Zsh => script = of_zsh(&String::from_utf8_lossy(&script)).into_bytes(),
        Shell::Fish => script.extend(arguments_of_fish(&cli).into_bytes()),
        _ => {}
    }
    Ok(io::stdout().write_all(&script)?)
}
