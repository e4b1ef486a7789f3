//! What takes long right now, in one line on the terminal that goes away again.
//!
//! Only a person at a terminal sees it, on stderr, and only when something takes longer than half a second.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::render::style::visible;

/// What a person waits for without a word.
const PATIENCE: Duration = Duration::from_millis(500);
/// How often the line follows what is done.
const REFRESH: Duration = Duration::from_millis(200);
/// The most of a line that is shown; a longer one would wrap, and could not be taken back.
const WIDTH: usize = 76;
const CLEAR: &str = "\r\x1b[K";

/// Whether anybody looks: counting for nobody would cost.
static WATCHED: AtomicBool = AtomicBool::new(false);
static STAGE: Mutex<String> = Mutex::new(String::new());

/// Says what is being done from now on, to be read before "…".
pub fn stage(what: impl Into<String>) {
    if let Ok(mut stage) = STAGE.lock() {
        *stage = what.into();
    }
}

/// Says how far what is being done has come: "inspecting containers: 350 of 1,000". Without words nothing is said.
pub fn count(doing: &str, done: usize, all: usize) {
    if WATCHED.load(Relaxed) && !doing.is_empty() {
        stage(format!("{doing}: {} of {}", grouped(done), grouped(all)));
    }
}

/// "1,000 files".
pub fn many(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

/// "1,000".
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// The line; it goes away when this is dropped.
#[derive(Debug)]
pub struct Progress(Option<(Sender<()>, JoinHandle<()>)>);

impl Progress {
    /// Watches the stages from now on, where a person sees them.
    pub fn begin() -> Progress {
        if !io::stderr().is_terminal() {
            return Progress(None);
        }
        WATCHED.store(true, Relaxed);
        let (sender, end) = mpsc::channel::<()>();
        let show = move || {
            let mut shown = false;
            let mut wait = PATIENCE;
            while end.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                wait = REFRESH;
                let stage = STAGE.lock().map(|stage| stage.clone()).unwrap_or_default();
                shown |= !stage.is_empty() && write(&line(&stage));
            }
            if shown {
                write(CLEAR);
            }
        };
        let thread = thread::Builder::new().name("progress".into()).spawn(show);
        Progress(thread.ok().map(|thread| (sender, thread)))
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some((sender, thread)) = self.0.take() {
            drop(sender);
            // It clears the line before anything else is written.
            let _ = thread.join();
        }
    }
}

fn line(stage: &str) -> String {
    let text: String = visible(stage).chars().take(WIDTH).collect();
    format!("{CLEAR}{text}…")
}

fn write(text: &str) -> bool {
    let mut stderr = io::stderr();
    stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers() {
        let texts = [0, 1, 999, 1000, 12_345, 1_000_000].map(|number| many(number, "file"));
        assert_eq!(texts, ["0 files", "1 file", "999 files", "1,000 files", "12,345 files", "1,000,000 files"]);
    }

    #[test]
    fn a_line_neither_wraps_nor_steers() {
        assert_eq!(line("looking at a\x1b[2J\n"), "\r\x1b[Klooking at a\\u{1b}[2J\\n…");
        assert_eq!(line(&"x".repeat(300)), format!("{CLEAR}{}…", "x".repeat(WIDTH)));
    }
}
