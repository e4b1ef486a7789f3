//! The questions of interactive mode, asked at a real terminal (a pty) and ended in every way a person or a system can.

use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

use expectrl::process::unix::{Signal, WaitStatus};
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};
use nix::sys::termios::{LocalFlags, tcgetattr};

const DOWN: &str = "\x1b[B";
const UP: &str = "\x1b[A";
const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";
const ESC: &str = "\x1b";
const SHOW_CURSOR: &str = "\x1b[?25h";
const HIDE_CURSOR: &str = "\x1b[?25l";

/// What a question shows when it waits for a key.
const QUESTIONS: [(&str, &str); 5] = [
    ("baseline", "cis-l1     CIS level 1 (70 controls)"),
    ("findings", "[ ] LOW     daemon-log-limits"),
    ("confirm", "Type yes to go on, anything else to stop:"),
    ("step", "Stop"),
    ("text", "Baseline file to write (enter: ./my.toml):"),
];

fn demo() -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    path.set_file_name("examples/prompt_demo");
    assert!(path.exists(), "{} is missing: cargo build --examples", path.display());
    Command::new(path)
}

fn ask(question: &str) -> OsSession {
    let mut command = demo();
    command.arg(question);
    let mut session = Session::spawn(command).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(20)));
    // The library switches it off for its children; a person's terminal has it on.
    session.get_process_mut().set_echo(true, None).unwrap();
    session.send("\n").unwrap();
    let shown = QUESTIONS.iter().find(|(name, _)| *name == question).unwrap().1;
    session.expect(shown).unwrap();
    session
}

/// Reads up to the end of the question; gives what was shown and what came of it. Checks the terminal.
fn outcome(session: &mut OsSession, what: &str) -> (String, String) {
    let found = session.expect(";\r\n").unwrap_or_else(|error| panic!("{what}: {error}"));
    let text = String::from_utf8_lossy(found.before()).into_owned();
    let terminal = session.get_process().get_raw_handle().unwrap();
    let flags = tcgetattr(&terminal).unwrap().local_flags;
    assert!(flags.contains(LocalFlags::ECHO | LocalFlags::ICANON | LocalFlags::ISIG), "{what}: {flags:?}");
    let (shown, result) = text.rsplit_once('\n').unwrap_or(("", &text));
    (shown.to_owned(), result.to_owned())
}

fn exit_code(mut session: OsSession) -> i32 {
    session.send("\r").unwrap();
    session.expect(Eof).unwrap();
    match session.get_process().wait().unwrap() {
        WaitStatus::Exited(_, code) => code,
        other => panic!("{other:?}"),
    }
}

#[test]
fn answers() {
    let table = [
        ("baseline", vec![ENTER], "answer: 0"),
        ("baseline", vec![DOWN, ENTER], "answer: 1"),
        ("step", vec![UP, ENTER], "answer: 2"),
        ("findings", vec![ENTER], "answer: [0, 1]"),
        ("findings", vec![" ", DOWN, DOWN, " ", ENTER], "answer: [1, 2]"),
        ("findings", vec!["a", "a", ENTER], "answer: []"),
        ("confirm", vec!["yes", ENTER], "answer: true"),
        ("confirm", vec!["y", ENTER], "answer: false"),
        ("confirm", vec![ENTER], "answer: false"),
        ("text", vec![ENTER], "answer: ./my.toml"),
        ("text", vec![" a.toml ", ENTER], "answer: a.toml"),
        ("text", vec!["a", ENTER, "b.toml", ENTER], "answer: b.toml"),
    ];
    for (question, keys, expected) in table {
        let mut session = ask(question);
        for key in &keys {
            session.send(key).unwrap();
            // An escape sequence has to arrive as one, apart from the next key.
            std::thread::sleep(Duration::from_millis(50));
        }
        let what = format!("{question} {keys:?}");
        let (shown, result) = outcome(&mut session, &what);
        assert_eq!(result, expected, "{what}");
        assert!(matches!(question, "confirm" | "text") || shown.contains(SHOW_CURSOR), "{what}: {shown:?}");
        assert_eq!(exit_code(session), 0, "{what}");
    }
}

#[test]
fn whatever_ends_a_question_leaves_the_terminal_as_it_was() {
    for (question, _) in QUESTIONS {
        for key in [CTRL_C, ESC] {
            if matches!((question, key), ("confirm" | "text", ESC)) {
                continue;
            }
            let mut session = ask(question);
            session.send(key).unwrap();
            cancelled(session, &format!("{question} {key:?}"));
        }
        for signal in [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP] {
            let mut session = ask(question);
            session.get_process_mut().signal(signal).unwrap();
            cancelled(session, &format!("{question} {signal:?}"));
        }
    }
}

fn cancelled(mut session: OsSession, what: &str) {
    let (shown, result) = outcome(&mut session, what);
    assert_eq!(result, "error 1: cancelled; nothing was changed", "{what}");
    assert!(shown.rfind(SHOW_CURSOR) > shown.rfind(HIDE_CURSOR), "{what}: {shown:?}");
    assert_eq!(exit_code(session), 1, "{what}");
}

#[test]
fn a_signal_that_comes_early_is_not_lost() {
    // As soon as the question is there, and a little later: somewhere between the handler and the wait for a key.
    for delay in 0..20 {
        let mut session = ask("findings");
        session.send(DOWN).unwrap();
        std::thread::sleep(Duration::from_micros(delay * 100));
        session.get_process_mut().signal(Signal::SIGTERM).unwrap();
        cancelled(session, &format!("SIGTERM {delay}00 µs after a key"));
    }
}

#[test]
fn a_list_shows_nothing_that_steers_the_terminal_and_fits_its_lines() {
    let mut session = ask("findings");
    session.send(ENTER).unwrap();
    let (shown, _) = outcome(&mut session, "findings");
    assert!(!shown.contains("\x1b[2J "), "{shown:?}");
    assert!(shown.contains("2 of 3 chosen"), "{shown:?}");
}

#[test]
fn without_a_terminal_the_error_names_the_flag() {
    for (question, flag) in
        [("baseline", "--baseline NAME"), ("findings", "--yes"), ("confirm", "--yes"), ("step", "--yes"), ("text", "--yes")]
    {
        let mut child =
            demo().arg(question).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"yes\n").unwrap();
        let output = child.wait_with_output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(
            text,
            format!("\nerror 64: this needs an answer, and there is no terminal to ask at\n  help: give {flag};\n"),
            "{question}"
        );
        assert_eq!(output.status.code(), Some(64), "{question}");
    }
}
