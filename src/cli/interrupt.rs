//! Ctrl-C: while there is something to lose, the first one asks for an end and the second one ends.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::failure::{Failure, Result};

const NOTHING_TO_LOSE: u8 = 0;
const WORKING: u8 = 1;
const ASKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(NOTHING_TO_LOSE);

/// Takes over Ctrl-C.
pub fn listen() -> Result<()> {
    let handler = || {
        let first =
            STATE.compare_exchange(WORKING, ASKED, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if !first {
            std::process::exit(130);
        }
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::other(format!("cannot catch Ctrl-C: {e}")))
}

/// From now on there is something to lose.
pub fn begin() {
    STATE.store(WORKING, Ordering::Relaxed);
}

/// From now on there is nothing to lose. Whether an end was asked for meanwhile.
pub fn end() -> bool {
    STATE.swap(NOTHING_TO_LOSE, Ordering::Relaxed) == ASKED
}

/// Whether an end is asked for.
pub fn asked() -> bool {
    STATE.load(Ordering::Relaxed) == ASKED
}
