//! SIGHUP, SIGINT and SIGTERM. As the first process of a container a program is ended by none of them unless it handles it.

use std::process::exit;
use std::thread;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program that a signal has ended: this, and the signal's number.
const ENDED_BY_SIGNAL: i32 = 128;

/// The signals that end a program.
pub(super) struct Termination {
    hangup: Signal,
    interrupt: Signal,
    terminate: Signal,
}

impl Termination {
    /// Handles them from here on. Must be called in a tokio runtime.
    pub(super) fn new() -> std::io::Result<Self> {
        let handle = |kind| signal(kind);
        Ok(Self {
            hangup: handle(SignalKind::hangup())?,
            interrupt: handle(SignalKind::interrupt())?,
            terminate: handle(SignalKind::terminate())?,
        })
    }

    /// The next one.
    pub(super) async fn next(&mut self) -> SignalKind {
        tokio::select! {
            _ = self.hangup.recv() => SignalKind::hangup(),
            _ = self.interrupt.recv() => SignalKind::interrupt(),
            _ = self.terminate.recv() => SignalKind::terminate(),
        }
    }
}

/// From here on a signal ends the process, whatever its other threads wait for.
pub(super) fn exit_on_signal() {
    // Where that fails the system's own handling stays, which is good enough everywhere but in a container.
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_io().build() else { return };
    let Ok(mut termination) = runtime.block_on(async { Termination::new() }) else { return };
    let wait = move || {
        let signal = runtime.block_on(termination.next());
        exit(ENDED_BY_SIGNAL + signal.as_raw_value())
    };
    drop(thread::Builder::new().name("signals".to_owned()).spawn::<_, ()>(wait));
}
