//! Asks one question and prints what came of it; `tests/prompt.rs` answers it through a terminal.
//!
//! It reads a line first, so that the terminal can be set up, and one after the answer, so that the terminal can be looked
//! at while the process still has it.

use harden::commands::prompt::{PickItem, choose_baseline, confirm_typed, next_step, pick_findings, text};

fn main() {
    wait();
    let baselines: Vec<_> = [("essential", "What every host needs", 30), ("cis-l1", "CIS level 1", 70)]
        .map(|(name, title, count)| (name.to_owned(), title.to_owned(), count))
        .into();
    let item =
        |(label, hint, preselected): (&str, &str, bool)| PickItem { label: label.into(), hint: hint.into(), preselected };
    let items = [
        ("HIGH    daemon-icc-off", "restarts dockerd", true),
        ("MEDIUM  daemon-live-restore", "interrupts nothing", true),
        (
            "LOW     daemon-log-limits \x1b[2J and a text that is far too long for one line of this terminal",
            "restarts dockerd",
            false,
        ),
    ]
    .map(item);
    let answer = match std::env::args().nth(1).as_deref() {
        Some("baseline") => choose_baseline(&baselines).map(|answer| answer.to_string()),
        Some("findings") => pick_findings(&items).map(|answer| format!("{answer:?}")),
        Some("confirm") => {
            confirm_typed("4 changes will be made, and dockerd restarts.", "yes").map(|answer| answer.to_string())
        }
        Some("step") => next_step("And now?", &["Apply", "Choose again", "Stop"]).map(|answer| answer.to_string()),
        Some("text") => {
            let check =
                |typed: &str| if typed.ends_with(".toml") { Ok(()) } else { Err(format!("`{typed}` is no .toml file")) };
            text("Baseline file to write (enter: ./my.toml):", Some("./my.toml"), &check)
        }
        _ => std::process::exit(64),
    };
    match &answer {
        Ok(answer) => println!("\nanswer: {answer};"),
        Err(error) => println!("\nerror {}: {error};", error.kind.exit_code()),
    }
    wait();
    std::process::exit(answer.map_or_else(|error| error.kind.exit_code().into(), |_| 0));
}

fn wait() {
    let _ = std::io::stdin().read_line(&mut String::new());
}
