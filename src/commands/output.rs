//! Where output goes: stdout or `-o`, coloured only on a terminal.

use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::cli::{Color, Common, Format};
use crate::error::{Error, Result};
use crate::render::json;
use crate::render::style::visible;
use crate::render::text::{self, Part, Tense, View};
use crate::report::Report;

/// Writes a report in the chosen format.
pub fn report(report: &Report, common: &Common, tense: Tense) -> Result<()> {
    let mut bytes = Vec::new();
    let written = match common.format {
        Format::Json => json::render(report, &mut bytes),
        Format::Text => text::review(report, &view(common, tense), &mut bytes),
    };
    written.map_err(|error| Error::failure(format!("cannot render the report: {error}")))?;
    bytes_out(common, &bytes)
}

/// Reports what was done. The host is as it says even when that can't be told, so that is no failure of the run.
pub fn done(report: &Report, common: &Common) {
    if let Err(error) = self::report(report, common, Tense::Did) {
        note(&format!("{error}; everything was done all the same"));
    }
}

/// Writes a part of a report, between the questions of interactive mode.
pub fn part(report: &Report, common: &Common, part: Part) -> Result<()> {
    let mut bytes = Vec::new();
    let view = View { part, options: None, ..view(common, Tense::Would) };
    text::review(report, &view, &mut bytes).map_err(|error| Error::failure(format!("cannot render the report: {error}")))?;
    bytes_out(common, &bytes)
}

/// How text looks on this terminal.
pub fn view(common: &Common, tense: Tense) -> View {
    let to_terminal = common.output.is_none() && io::stdout().is_terminal();
    let options = options(common);
    View {
        color: color(common, to_terminal),
        verbose: common.verbose,
        quiet: common.quiet,
        tense,
        options: Some(options),
        ..View::of(io::stdout())
    }
}

/// A word as a shell reads it.
pub fn quoted(text: &str) -> String {
    match text.contains(|c: char| !(c.is_alphanumeric() || "-_./:=,@".contains(c))) {
        true => format!("'{}'", text.replace('\'', r"'\''")),
        false => text.to_owned(),
    }
}

/// The options of this run that the next command needs too.
fn options(common: &Common) -> String {
    let mut words = Vec::new();
    words.extend(common.baseline.iter().map(|name| format!("-b {}", quoted(name))));
    words.extend(common.root.iter().map(|root| format!("--root {}", quoted(&root.to_string_lossy()))));
    words.extend(common.docker_host.iter().filter(|url| !url.is_empty()).map(|url| format!("--docker-host {}", quoted(url))));
    let certs =
        common.docker_cert_path.iter().filter(|_| common.docker_host.as_deref().is_some_and(|url| url.starts_with("tcp://")));
    words.extend(certs.map(|dir| format!("--docker-cert-path {}", quoted(&dir.to_string_lossy()))));
    words.extend(common.docker_version.iter().map(|version| format!("--docker-version {}", quoted(version))));
    words.extend(common.set.iter().map(|set| format!("--set {}", quoted(set))));
    words.extend(common.only.iter().map(|glob| format!("--only {}", quoted(glob))));
    words.extend(common.skip.iter().map(|glob| format!("--skip {}", quoted(glob))));
    if common.max_risk != crate::cli::MaxRisk::Restart {
        words.push(format!("--max-risk {}", crate::assess::name(common.max_risk.into())));
    }
    words.join(" ")
}

fn color(common: &Common, terminal: bool) -> bool {
    match common.color {
        Color::Always => true,
        Color::Never => false,
        // NO_COLOR counts when it is there and not empty (no-color.org).
        Color::Auto => terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()),
    }
}

/// Writes bytes to stdout or `-o`.
pub fn bytes_out(common: &Common, bytes: &[u8]) -> Result<()> {
    match &common.output {
        Some(file) => std::fs::write(file, bytes).map_err(|error| Error::io(file, "write it", error)),
        None => match io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()) {
            // `harden check | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Error::failure(format!("cannot write to stdout: {error}"))),
        },
    }
}

/// Writes a file that only its owner may read; an existing one is replaced whole.
pub fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    let failed = |error| Error::io(file, "write it", error);
    let name = file.file_name().ok_or_else(|| Error::usage("it names no file").at(file))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(temporary);
    let mut open = OpenOptions::new();
    let mut handle = open.write(true).create_new(true).mode(0o600).open(&temporary).map_err(failed)?;
    let written = handle.write_all(bytes).and_then(|()| handle.sync_all()).and_then(|()| std::fs::rename(&temporary, file));
    written.map_err(|error| {
        let _ = std::fs::remove_file(&temporary);
        failed(error)
    })
}

/// A message on stderr. Paths in it may hold anything, and must not steer the terminal.
pub fn note(text: &str) {
    let lines: Vec<_> = text.split('\n').map(visible).collect();
    // Whoever closed stderr does not want to know.
    let _ = writeln!(io::stderr(), "harden: {}", lines.join("\n"));
}

/// An error, once: on stderr for people; with `--format json` also as one document on stdout, where Ansible looks for it.
pub fn error(error: &Error, common: &Common) {
    note(&error.to_string());
    if common.format == Format::Json {
        let name = common.baseline.as_deref().unwrap_or(crate::baseline::DEFAULT);
        let mut bytes = Vec::new();
        let _ = json::render(&Report::failure(name, error), &mut bytes);
        let _ = bytes_out(common, &bytes);
    }
}

/// A command line that can't be read: with `--format json` among its words, the one document says so too.
pub fn unreadable(error: &clap::Error) {
    let _ = error.print();
    let words: Vec<_> = std::env::args_os().skip(1).take_while(|word| word != "--").collect();
    let pair = words.windows(2).any(|pair| pair[0] == "--format" && pair[1] == "json");
    if pair || words.iter().any(|word| word == "--format=json") {
        let what = error.render().to_string();
        let what = what.strip_prefix("error: ").unwrap_or(&what).trim_end();
        let _ = json::render(&Report::failure(crate::baseline::DEFAULT, &Error::usage(what)), &mut io::stdout().lock());
    }
}
