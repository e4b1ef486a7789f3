//! `harden history`: what was done here, and how it ended.

use std::fmt::Write;

use serde_json::json;

use crate::apply::history::{self, History, Transaction, Unreadable};
use crate::apply::state_dir::StateDir;
use crate::assess;
use crate::cli::{Common, Format};
use crate::commands::{Ending, apply, open_host, output};
use crate::error::{Error, Result};

/// Lists the transactions, shows one, or takes old ones away.
pub fn run(common: &Common, id: Option<&str>, prune: bool) -> Result<Ending> {
    let host = open_host(common)?;
    let state_dir = apply::state_dir(common);
    if prune {
        apply::must_be_root(&host)?;
        let removed = StateDir::lock(&host.root, &state_dir)?.prune()?;
        output::note(&format!("{} removed", crate::plan::count(removed, "old transaction")));
    }
    let history = history::list(&host.root, &state_dir)?;
    let text = match id {
        Some(id) => show(common, find(&history, Some(id))?, &history.transactions)?,
        None => list(common, &history)?,
    };
    output::bytes_out(common, text.as_bytes())?;
    Ok(Ending::Done)
}

/// The transaction of that id; without one the newest that is in place.
///
/// # Errors
/// When there is none, or it can't be read; also when one can't be read that may be the newest.
pub fn find<'t>(history: &'t History, id: Option<&str>) -> Result<&'t Transaction> {
    let all = &history.transactions;
    let found = match id {
        Some(id) => all.iter().find(|transaction| transaction.id == id),
        None => all
            .iter()
            .rev()
            .find(|transaction| transaction.plan.undoes.is_none() && transaction.state(all) == history::State::Committed),
    };
    let in_the_way = |other: &&Unreadable| match id {
        Some(id) => other.id == id,
        None => found.is_none_or(|found| other.id > found.id),
    };
    if let Some(unreadable) = history.unreadable.iter().rev().find(in_the_way) {
        return Err(unreadable.refusal());
    }
    found.ok_or_else(|| match id {
        Some(id) => Error::usage(format!("there is no transaction `{id}`")).help("harden history lists them"),
        None => Error::failure("there is no transaction to undo").help("harden history lists what there is"),
    })
}

fn row(transaction: &Transaction, all: &[Transaction]) -> serde_json::Value {
    let (time, by, command) = transaction.begin();
    json!({
        "id": transaction.id, "time": time, "by": by, "command": command, "baseline": transaction.plan.baseline.name,
        "undoes": transaction.plan.undoes, "changes": transaction.plan.changes.len(), "state": transaction.state(all).to_string(),
    })
}

fn unreadable_row(unreadable: &Unreadable) -> serde_json::Value {
    json!({
        "id": unreadable.id, "time": null, "by": null, "command": null, "baseline": null, "undoes": null, "changes": null,
        "state": format!("unreadable: {}", unreadable.reason()), "originals": unreadable.place,
    })
}

fn list(common: &Common, history: &History) -> Result<String> {
    let all = &history.transactions;
    // Newest first, those that can't be read at their place.
    let mut ids: Vec<&str> = all.iter().map(|one| one.id.as_str()).collect();
    ids.extend(history.unreadable.iter().map(|one| one.id.as_str()));
    ids.sort_unstable_by(|one, other| other.cmp(one));
    let readable = |id: &str| all.iter().find(|one| one.id == id);
    let unreadable = |id: &str| history.unreadable.iter().find(|one| one.id == id);
    if common.format == Format::Json {
        let of = |id: &str| readable(id).map(|one| row(one, all)).or_else(|| unreadable(id).map(unreadable_row));
        return document(&json!({ "transactions": ids.into_iter().filter_map(of).collect::<Vec<_>>() }));
    }
    if ids.is_empty() {
        return Ok("No transaction yet.\n".into());
    }
    let mut text = String::new();
    for id in ids {
        let line = match (readable(id), unreadable(id)) {
            (Some(transaction), _) => line(transaction, all),
            (None, Some(unreadable)) => {
                format!("{id:<24} unreadable: {}; it lies in {}", unreadable.reason(), unreadable.place)
            }
            (None, None) => continue,
        };
        let _ = writeln!(text, "{}", crate::render::style::visible(&line));
    }
    text.push_str("\nharden history ID shows one with its diffs; harden rollback ID undoes it.\n");
    Ok(text)
}

fn line(transaction: &Transaction, all: &[Transaction]) -> String {
    let (time, by, _) = transaction.begin();
    let what = match &transaction.plan.undoes {
        Some(id) => format!("rollback of {id}"),
        None => transaction.plan.baseline.name.clone(),
    };
    let changes = crate::plan::count(transaction.plan.changes.len(), "change");
    format!("{:<24} {time}  {changes:<10}  {what}  {}  {by}", transaction.id, transaction.state(all))
}

fn show(common: &Common, transaction: &Transaction, all: &[Transaction]) -> Result<String> {
    let views: Vec<_> = transaction.plan.changes.iter().map(assess::view).collect();
    if common.format == Format::Json {
        let mut document_of = row(transaction, all);
        document_of["changes"] = json!(views);
        document_of["fixes"] = json!(transaction.plan.fixes);
        document_of["activations"] = json!(transaction.plan.activations);
        return document(&document_of);
    }
    let (time, by, command) = transaction.begin();
    let mut text = format!(
        "{}: {}\n{time}, {by}, {command}\nbaseline {}\n",
        transaction.id,
        transaction.state(all),
        transaction.plan.baseline.name
    );
    for view in views {
        let _ = writeln!(text, "\n{}  {}: {}\n{}", view.id, view.target, view.summary, view.diff);
    }
    Ok(text.lines().map(|line| format!("{}\n", crate::render::style::visible(line))).collect())
}

fn document(value: &serde_json::Value) -> Result<String> {
    Ok(serde_json::to_string_pretty(value).map_err(|error| Error::failure(error.to_string()))? + "\n")
}
