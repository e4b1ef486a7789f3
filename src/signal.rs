//! Being asked to stop: SIGINT, SIGTERM and SIGHUP are noted, and heeded between two steps.

use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};

use crate::error::{Error, Result};

static ASKED: AtomicBool = AtomicBool::new(false);

extern "C" fn note(_: libc::c_int) {
    ASKED.store(true, Ordering::SeqCst);
}

/// From now on the signals are noted instead of ending the process: a step in hand is finished, then what was done is undone.
pub fn hold() {
    let action = SigAction::new(SigHandler::Handler(note), SaFlags::SA_RESTART, SigSet::empty());
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        // SAFETY: the handler only stores to an atomic.
        let _ = unsafe { sigaction(signal, &action) };
    }
}

/// An error if a signal came since [`hold`].
pub fn check() -> Result<()> {
    if ASKED.load(Ordering::SeqCst) { Err(Error::failure("interrupted")) } else { Ok(()) }
}
