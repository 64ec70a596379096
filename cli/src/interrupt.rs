//! Ctrl-C and SIGTERM. During work that must be saved or undone, the first signal requests an end
//! and the second ends the process; at other times the first one ends it. (SIGHUP is left alone, for
//! those who had it ignored: nohup.)

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};

struct Signals {
    /// The next signal ends the process: there is nothing to save, or an end is requested already.
    ends: Arc<AtomicBool>,
    /// The last signal; 0 for none.
    last: Arc<AtomicUsize>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

fn signals() -> &'static Signals {
    SIGNALS.get_or_init(|| Signals { ends: Arc::new(AtomicBool::new(true)), last: Arc::default() })
}

/// Installs the handlers of Ctrl-C and SIGTERM.
pub fn listen() -> Result<()> {
    let Signals { ends, last } = signals();
    for signal in [SIGINT, SIGTERM] {
        // In the order in which they run.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(ends))
            .and_then(|_| flag::register_usize(signal, Arc::clone(last), signal as usize))
            .and_then(|_| flag::register(signal, Arc::clone(ends)))
            .map_err(|e| Failure::other(format!("cannot catch signals: {e}")))?;
    }
    Ok(())
}

/// Begins work that a signal must not end at once.
pub fn begin() {
    signals().ends.store(false, Ordering::SeqCst);
}

/// Ends that work. Returns the signal that came meanwhile.
pub fn end() -> Option<u8> {
    let requested = signals().ends.swap(true, Ordering::SeqCst);
    requested.then(|| signals().last.load(Ordering::SeqCst) as u8)
}

/// Whether an end is requested.
pub fn requested() -> bool {
    signals().ends.load(Ordering::Relaxed)
}

/// The signal that has requested an end.
pub fn signal() -> Option<u8> {
    requested().then(|| signals().last.load(Ordering::SeqCst) as u8)
}

/// `Break` if an end is requested, for the loops of the library.
pub fn control_flow() -> ControlFlow<()> {
    if requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

/// Fails if an end is requested.
pub fn check() -> Result<()> {
    signal().map_or(Ok(()), |signal| Err(Failure::interrupted(signal)))
}

/// Does work that [checks](check) for signals and removes its unfinished files when it fails.
pub fn interruptible<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    begin();
    let done = work();
    end();
    done
}
