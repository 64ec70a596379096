//! Ctrl-C and SIGTERM: while there is something to lose, the first one asks for an end and the
//! second one ends. (SIGHUP is left alone, for those who had it ignored: nohup.)

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::failure::{Failure, Result};

struct Signals {
    /// The next signal ends the process: nothing is to be lost, or an end is asked for already.
    ends: Arc<AtomicBool>,
    /// The last signal; 0 for none.
    last: Arc<AtomicUsize>,
}

static SIGNALS: OnceLock<Signals> = OnceLock::new();

fn signals() -> &'static Signals {
    SIGNALS.get_or_init(|| Signals { ends: Arc::new(AtomicBool::new(true)), last: Arc::default() })
}

/// Takes over Ctrl-C and SIGTERM.
pub fn listen() -> Result<()> {
    let Signals { ends, last } = signals();
    for signal in [SIGINT, SIGTERM] {
        // In the order in which they act.
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(ends))
            .and_then(|_| flag::register_usize(signal, Arc::clone(last), signal as usize))
            .and_then(|_| flag::register(signal, Arc::clone(ends)))
            .map_err(|e| Failure::other(format!("cannot catch signals: {e}")))?;
    }
    Ok(())
}

/// From now on there is something to lose.
pub fn begin() {
    signals().ends.store(false, Ordering::SeqCst);
}

/// From now on there is nothing to lose. The signal that asked for an end meanwhile.
pub fn end() -> Option<u8> {
    let asked = signals().ends.swap(true, Ordering::SeqCst);
    asked.then(|| signals().last.load(Ordering::SeqCst) as u8)
}

/// The signal that has asked for an end.
pub fn signal() -> Option<u8> {
    asked().then(|| signals().last.load(Ordering::SeqCst) as u8)
}

/// Whether an end is asked for.
pub fn asked() -> bool {
    signals().ends.load(Ordering::Relaxed)
}
