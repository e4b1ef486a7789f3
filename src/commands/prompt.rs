//! The questions of interactive mode.
//!
//! Whatever ends a question (an answer, Esc, Ctrl-C, SIGTERM, a terminal that goes away), the terminal is left as it was: the
//! cursor is shown and what is typed is echoed.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use dialoguer::theme::Theme;
use dialoguer::{Input, MultiSelect, Select};
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::sys::termios::{SetArg, tcgetattr, tcsetattr};

use crate::error::{Error, ErrorKind, Result};
use crate::render::style::visible;

/// A finding in the list to choose from.
#[derive(Debug, Clone)]
pub struct PickItem {
    /// Severity, control and target.
    pub label: String,
    /// What its fix interrupts.
    pub hint: String,
    /// Whether it is chosen at first.
    pub preselected: bool,
}

/// Asks for a baseline; each has a name, a title and a number of controls. Gives its place in the list.
///
/// # Errors
/// Cancelled; usage without a terminal (`--baseline` names one).
pub fn choose_baseline(baselines: &[(String, String, usize)]) -> Result<usize> {
    let name_columns = baselines.iter().map(|(name, ..)| name.chars().count()).max().unwrap_or(0);
    let item = |(name, title, count): &(String, String, usize)| format!("{name:name_columns$}  {title} ({count} controls)");
    select("Baseline to judge by:", "--baseline NAME", baselines.iter().map(item).collect())
}

/// Asks which findings to fix. Gives their places in the list; none chosen is an answer, too.
///
/// # Errors
/// Cancelled; usage without a terminal (`--yes` takes all).
pub fn pick_findings(items: &[PickItem]) -> Result<Vec<usize>> {
    let label_columns = items.iter().map(|item| item.label.chars().count()).max().unwrap_or(0).min(50);
    let lines = items.iter().map(|item| format!("{:label_columns$}  {}", item.label, item.hint));
    let lines: Vec<_> = lines.zip(items).map(|(line, item)| (one_line(&line), item.preselected)).collect();
    if lines.is_empty() {
        return Ok(Vec::new());
    }
    let chosen = ask("--yes", || {
        let prompt = MultiSelect::with_theme(&AsWritten)
            .with_prompt("Fix which? (space: choose, a: all or none, enter: go on, esc: stop)");
        prompt.items_checked(lines).report(false).interact_opt()
    })?;
    writeln!(io::stderr(), "{} of {} chosen", chosen.len(), items.len()).map_err(unanswered)?;
    Ok(chosen)
}

/// Asks for a word to be typed; anything else is a no.
///
/// # Errors
/// Cancelled; usage without a terminal (`--yes` says it beforehand).
pub fn confirm_typed(question: &str, word: &str) -> Result<bool> {
    let typed = ask("--yes", || {
        writeln!(io::stderr(), "{}", visible(question))?;
        let prompt = format!("Type {word} to go on, anything else to stop:");
        Input::<String>::with_theme(&AsWritten).with_prompt(prompt).allow_empty(true).interact_text().map(Some)
    })?;
    Ok(typed.trim() == word)
}

/// Asks for a text, as often as `check` says what is wrong with it. Just enter gives `default`, where there is one.
///
/// # Errors
/// Cancelled; usage without a terminal (`--yes` goes on without asking).
pub fn text(question: &str, default: Option<&str>, check: &dyn Fn(&str) -> Result<(), String>) -> Result<String> {
    let typed = ask("--yes", || {
        let input = Input::<String>::with_theme(&AsWritten).with_prompt(visible(question)).allow_empty(true);
        let given =
            |typed: &str| if typed.trim().is_empty() { default.unwrap_or("").to_owned() } else { typed.trim().to_owned() };
        let input = input.validate_with(|typed: &String| check(&given(typed)).map_err(|what| visible(&what).into_owned()));
        input.interact_text().map(|typed| Some(given(&typed)))
    })?;
    Ok(typed)
}

/// Asks what to do next. Gives the place of the answer in the list.
///
/// # Errors
/// Cancelled; usage without a terminal (`--yes` goes on without asking).
pub fn next_step(question: &str, steps: &[&str]) -> Result<usize> {
    select(question, "--yes", steps.iter().map(|step| (*step).to_owned()).collect())
}

fn select(question: &str, flag: &str, items: Vec<String>) -> Result<usize> {
    if items.is_empty() {
        return Err(Error::failure(format!("there is nothing to choose from for `{question}`")));
    }
    let items: Vec<_> = items.iter().map(|item| one_line(item)).collect();
    ask(flag, || Select::with_theme(&AsWritten).with_prompt(visible(question)).items(&items).default(0).interact_opt())
}

/// Shows questions as they are written; dialoguer's own themes put a colon behind each.
struct AsWritten;

impl Theme for AsWritten {
    fn format_prompt(&self, f: &mut dyn fmt::Write, prompt: &str) -> fmt::Result {
        f.write_str(prompt)
    }

    fn format_input_prompt(&self, f: &mut dyn fmt::Write, prompt: &str, _: Option<&str>) -> fmt::Result {
        write!(f, "{prompt} ")
    }

    fn format_input_prompt_selection(&self, f: &mut dyn fmt::Write, prompt: &str, answer: &str) -> fmt::Result {
        write!(f, "{prompt} {answer}")
    }
}

/// Escaped, and cut so that it surely fits a line of the terminal: a list whose lines wrap can't be redrawn cleanly.
fn one_line(text: &str) -> String {
    let width = crate::render::text::View::of(io::stderr()).width.saturating_sub(8);
    let text = visible(text.trim_end());
    // Bytes, not columns: a text never has more columns than bytes.
    if text.len() <= width {
        return text.into_owned();
    }
    let end = (0..=width.saturating_sub(3)).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    format!("{}...", &text[..end])
}

/// Set by the signals that end a question.
static CANCELLED: AtomicBool = AtomicBool::new(false);

/// Asks one question with signals caught, and leaves the terminal as it was.
fn ask<T>(flag: &str, question: impl FnOnce() -> dialoguer::Result<Option<T>>) -> Result<T> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(Error::usage("this needs an answer, and there is no terminal to ask at").help(format!("give {flag}")));
    }
    let before = tcgetattr(io::stdin()).ok();
    let signals = Signals::catch().map_err(unanswered)?;
    let answer = question();
    drop(signals);
    let cancelled = CANCELLED.load(Ordering::Relaxed);
    let answer = match answer {
        Ok(Some(answer)) if !cancelled => return Ok(answer),
        answer => answer,
    };
    if let Some(before) = before {
        // The read of a key puts this back itself, unless the signal came just then.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &before);
    }
    // The terminal may be gone; there is nobody to tell.
    let _ = write!(io::stderr(), "\x1b[?25h\r\n");
    match answer {
        Err(dialoguer::Error::IO(error)) if !cancelled && !is_end(&error) => Err(unanswered(error)),
        _ => Err(Error { kind: ErrorKind::Cancelled, ..Error::failure("cancelled; nothing was changed") }),
    }
}

/// Whether this is Ctrl-C, or a terminal that went away.
fn is_end(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::Interrupted | io::ErrorKind::UnexpectedEof)
}

fn unanswered(cause: impl fmt::Display) -> Error {
    Error::failure(format!("cannot read an answer from the terminal: {cause}")).help("give --yes to go on without a question")
}

/// SIGINT, SIGTERM and SIGHUP end the open question instead of the process, for as long as this value lives.
struct Signals {
    before: Vec<(Signal, SigAction)>,
}

impl Signals {
    fn catch() -> nix::Result<Self> {
        CANCELLED.store(false, Ordering::Relaxed);
        let mut signals = Self { before: Vec::new() };
        // SIGALRM first: the others start the alarm.
        for (signal, handler) in [
            (Signal::SIGALRM, on_alarm as extern "C" fn(i32)),
            (Signal::SIGINT, on_end),
            (Signal::SIGTERM, on_end),
            (Signal::SIGHUP, on_end),
        ] {
            // SA_RESTART: only the wait for a key is to be cut short (poll always is), not the setting of the terminal.
            let action = SigAction::new(SigHandler::Handler(handler), SaFlags::SA_RESTART, SigSet::empty());
            // SAFETY: both handlers only store to an atomic and call alarm(2), which is async-signal-safe.
            signals.before.push((signal, unsafe { sigaction(signal, &action)? }));
        }
        Ok(signals)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for (signal, action) in self.before.iter().rev() {
            if *signal == Signal::SIGALRM {
                // Nobody starts the alarm any more, and from here on it would end the process.
                nix::unistd::alarm::cancel();
            }
            // SAFETY: these are the actions that were there before.
            let _ = unsafe { sigaction(*signal, action) };
        }
    }
}

extern "C" fn on_end(_: i32) {
    CANCELLED.store(true, Ordering::Relaxed);
    nix::unistd::alarm::set(1);
}

/// A signal that comes between two waits for a key interrupts neither; so it is repeated until a wait has been interrupted.
extern "C" fn on_alarm(_: i32) {
    if CANCELLED.load(Ordering::Relaxed) {
        nix::unistd::alarm::set(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_fit_and_are_escaped() {
        assert_eq!(one_line("HIGH  daemon-icc-off\x1b[2J\n  "), "HIGH  daemon-icc-off\\u{1b}[2J");
        let long = one_line(&"é".repeat(200));
        assert!(long.len() <= 110 && long.ends_with("é..."), "{long}");
    }
}
