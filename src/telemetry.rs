//! Logs: text for people or JSON for machines, on standard error, written by a thread of their own: whoever reads them may stop
//! reading, and no request waits for him.

#[cfg(test)]
pub(crate) mod captured;
mod json;

use std::io::{self, BufWriter, IsTerminal, Stderr, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use tracing::Metadata;
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::layer;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// Lines that may wait for whoever reads them: a megabyte of usual ones, some ten of the longest that clients can cause. Further ones
/// are lost, and counted.
const MAX_BUFFERED_LINES: usize = 2_000;

/// After it has written what was there the thread rests for so long: a flood of lines wakes it once for many of them, and not for each,
/// which costs more than the line.
const BATCH_INTERVAL: Duration = Duration::from_millis(2);

/// How long the program waits at its end for whoever reads the log.
const LAST_LINE_TIMEOUT: Duration = Duration::from_secs(1);

/// Standard error. Its flush is the end of what was there to write.
struct BatchedStderr(BufWriter<Stderr>);

impl Write for BatchedStderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        let written = self.0.flush();
        thread::sleep(BATCH_INTERVAL);
        written
    }
}

static LOST: OnceLock<ErrorCounter> = OnceLock::new();

/// Lines that were lost because nobody read the log, since the process began.
pub fn lost_lines() -> u64 {
    LOST.get().map_or(0, |lost| lost.dropped_lines() as u64)
}

/// How a line of the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// For people; coloured on a terminal.
    Text,
    /// One JSON object a line.
    Json,
}

/// Installs the logs for the whole process, panics included. What still waits is written when the guard goes, within a second. `level` is a
/// level or directives, as the value parser of `--log-level` accepts them.
///
/// # Errors
///
/// When logs are installed already.
pub fn init(level: &str, format: LineFormat) -> Result<WorkerGuard, TryInitError> {
    let (writer, guard) = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(MAX_BUFFERED_LINES)
        .thread_name("logs")
        .finish(BatchedStderr(BufWriter::new(io::stderr())));
    LOST.get_or_init(|| writer.error_counter());
    // The level was checked by its value parser.
    let filter = EnvFilter::builder().parse_lossy(level);
    let registry = tracing_subscriber::registry().with(filter).with(filter_fn(is_free_of_payloads));
    match format {
        LineFormat::Text => {
            let text = layer().with_writer(writer).with_ansi(io::stderr().is_terminal());
            registry.with(text).try_init()?;
        }
        LineFormat::Json => {
            let json = layer().event_format(json::Format).fmt_fields(json::NoFields).with_writer(writer);
            registry.with(json).try_init()?;
        }
    }
    panic::set_hook(Box::new(log_panic));
    Ok(guard)
}

/// Whether what speaks here never quotes an object or a credential. kube's client logs whole answers at WARN, and each failed
/// request at ERROR, without saying to whom; the errors themselves are logged where they are handled.
fn is_free_of_payloads(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    !["kube", "tower", "hyper", "h2", "tungstenite", "rustls"].iter().any(|library| target.starts_with(library))
}

/// Writes the last line of the program to standard error, and waits for a second at most: nobody may be reading.
pub fn write_last_line(text: &str) {
    let (done, written) = std::sync::mpsc::channel();
    let text = text.to_owned();
    let write = move || {
        drop(writeln!(anstream::stderr(), "{text}"));
        let _ = done.send(());
    };
    if thread::Builder::new().name("last line".to_owned()).spawn(write).is_ok() {
        let _ = written.recv_timeout(LAST_LINE_TIMEOUT);
    }
}

/// Logs where a panic happened. Its message is left out: it may quote what a client sent, and no part of an object
/// belongs in a log.
fn log_panic(info: &PanicHookInfo<'_>) {
    let location = info.location().map(ToString::to_string).unwrap_or_default();
    tracing::error!(location, "panic");
}
