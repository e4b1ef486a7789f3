//! Where output goes: stdout or `-o`, coloured only on a terminal.

use std::fs::{Metadata, OpenOptions};
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, fchown};
use std::path::Path;

use clap::ValueEnum;

use crate::cli::{Color, Common, Format, STATE_DIR};
use crate::error::{Error, Result};
use crate::render::style::visible;
use crate::render::text::{self, Part, Tense, View};
use crate::render::{html, json, junit, sarif};
use crate::report::Report;

/// Writes a report in the chosen format.
pub fn report(report: &Report, common: &Common, tense: Tense) -> Result<()> {
    let mut bytes = Vec::new();
    let written = match common.format {
        Format::Json => json::render(report, &mut bytes),
        Format::Sarif => sarif::render(report, exit_status(report, tense), common.verbose, &mut bytes),
        Format::Junit => junit::render(report, &mut bytes),
        Format::Html => html::render(report, tense, &mut bytes),
        Format::Text => text::review(report, &view(common, tense), &mut bytes),
    };
    written.map_err(|error| Error::failure(format!("cannot render the report: {error}")))?;
    bytes_out(common, &bytes)
}

/// The exit status of a run that ends with this report.
fn exit_status(report: &Report, tense: Tense) -> u8 {
    // The report of a saved plan has no findings: what it would change is what there is to do.
    let planned = report.findings.is_empty() && !(report.changes.is_empty() && report.activations.is_empty());
    match tense {
        Tense::Would if report.summary.has_drift() || planned => 2,
        _ => 0,
    }
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
        place: place(common).join(" "),
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
    words.extend(place(common));
    words.extend(common.docker_version.iter().map(|version| format!("--docker-version {}", quoted(version))));
    words.extend(common.set.iter().map(|set| format!("--set {}", quoted(set))));
    words.extend(common.only.iter().map(|glob| format!("--only {}", quoted(glob))));
    words.extend(common.skip.iter().map(|glob| format!("--skip {}", quoted(glob))));
    if common.max_risk != crate::cli::MaxRisk::Restart {
        words.push(format!("--max-risk {}", crate::assess::name(common.max_risk.into())));
    }
    words.join(" ")
}

/// Those that say which host it is, and where its transactions lie.
fn place(common: &Common) -> Vec<String> {
    let mut words = Vec::new();
    words.extend(common.root.iter().map(|root| format!("--root {}", quoted(&root.to_string_lossy()))));
    words.extend(common.docker_host.iter().filter(|url| !url.is_empty()).map(|url| format!("--docker-host {}", quoted(url))));
    let certs =
        common.docker_cert_path.iter().filter(|_| common.docker_host.as_deref().is_some_and(|url| url.starts_with("tcp://")));
    words.extend(certs.map(|dir| format!("--docker-cert-path {}", quoted(&dir.to_string_lossy()))));
    if common.state_dir != Path::new(STATE_DIR) {
        words.push(format!("--state-dir {}", quoted(&common.state_dir.to_string_lossy())));
    }
    words
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
        Some(file) => write_file(file, bytes, None),
        None => match io::stdout().lock().write_all(bytes).and_then(|()| io::stdout().flush()) {
            // `harden check | head` is no failure.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(|error| Error::failure(format!("cannot write to stdout: {error}"))),
        },
    }
}

/// Writes a file that only its owner may read; an existing one is replaced whole.
pub fn write_private(file: &Path, bytes: &[u8]) -> Result<()> {
    write_file(file, bytes, Some(0o600))
}

/// What this process was started with: `/dev/stdout`, `/dev/fd/63`, as shells give them.
fn is_own_stream(file: &Path) -> bool {
    ["/dev/stdout", "/dev/stderr"].iter().any(|stream| file == Path::new(stream))
        || ["/dev/fd", "/proc/self/fd"].iter().any(|dir| file.parent() == Some(Path::new(dir)))
}

/// A device, or a pipe, of root's or the user's own: who plants a pipe under a name would read what root writes.
fn is_written_to(metadata: &Metadata) -> bool {
    let kind = metadata.file_type();
    let trusted = metadata.uid() == 0 || metadata.uid() == nix::unistd::geteuid().as_raw();
    trusted && (kind.is_fifo() || kind.is_char_device())
}

/// Writes a file whole or not at all. Without a mode, an existing one keeps its own, and its owner.
///
/// # Errors
/// Also where a symbolic link has the name: whoever made it would choose what root overwrites.
fn write_file(file: &Path, bytes: &[u8], mode: Option<u32>) -> Result<()> {
    let failed = |error| Error::io(file, "write it", error);
    let existing = match file.symlink_metadata() {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(failed(error)),
    };
    if let Some(metadata) = &existing {
        let kind = metadata.file_type();
        if is_own_stream(file) {
            return OpenOptions::new().write(true).open(file).and_then(|mut handle| handle.write_all(bytes)).map_err(failed);
        }
        // Pipes and devices are written to: to put a file in the place of /dev/null would be a disaster.
        if is_written_to(metadata) {
            let opened = OpenOptions::new().write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NOCTTY).open(file);
            let mut handle = opened.map_err(failed)?;
            if !is_written_to(&handle.metadata().map_err(failed)?) {
                return Err(Error::failure("it became something else while it was opened; nothing was written").at(file));
            }
            return handle.write_all(bytes).map_err(failed);
        }
        if kind.is_symlink() {
            return Err(Error::failure("it is a symbolic link; nothing was written to where it leads")
                .at(file)
                .help("name the file itself"));
        }
        if !kind.is_file() {
            return Err(Error::failure("it is no regular file; nothing was written").at(file).help("name a file"));
        }
    }
    let name = file.file_name().ok_or_else(|| Error::usage("it names no file").at(file))?;
    let mut temporary = name.to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = file.with_file_name(temporary);
    let mut open = OpenOptions::new();
    let mut handle = open.write(true).create_new(true).mode(mode.unwrap_or(0o666)).open(&temporary).map_err(failed)?;
    let kept = existing.filter(|_| mode.is_none());
    let written = handle
        .write_all(bytes)
        .and_then(|()| {
            kept.map_or(Ok(()), |metadata| {
                // Only root may give a file away; another's own file is theirs already.
                let _ = fchown(&handle, Some(metadata.uid()), Some(metadata.gid()));
                handle.set_permissions(metadata.permissions())
            })
        })
        .and_then(|()| handle.sync_all())
        .and_then(|()| std::fs::rename(&temporary, file));
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

/// An error, once: on stderr for people; in any other format also as the one document on stdout, where its reader looks for it.
pub fn error(error: &Error, common: &Common) {
    note(&error.to_string());
    let name = common.baseline.as_deref().unwrap_or(crate::baseline::DEFAULT);
    if let Some(document) = failure(common.format, name, error) {
        // Where the file can't be written, and that may be what failed, its reader has only stdout.
        let _ = bytes_out(common, &document).or_else(|_| bytes_out(&Common { output: None, ..common.clone() }, &document));
    }
}

/// A command line that can't be read: with a format among its words, the one document says so too.
pub fn unreadable(error: &clap::Error) {
    let _ = error.print();
    let words: Vec<_> =
        std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).take_while(|word| word != "--").collect();
    let pair = words.windows(2).find(|pair| pair[0] == "--format").map(|pair| pair[1].as_str());
    let format = pair.or_else(|| words.iter().find_map(|word| word.strip_prefix("--format=")));
    let what = error.render().to_string();
    let what = what.strip_prefix("error: ").unwrap_or(&what).trim_end();
    let format = format.and_then(|name| Format::from_str(name, false).ok()).unwrap_or(Format::Text);
    if let Some(document) = failure(format, crate::baseline::DEFAULT, &Error::usage(what)) {
        let _ = io::stdout().lock().write_all(&document);
    }
}

/// The document of a run that ended with an error; none for people, who have it on stderr.
fn failure(format: Format, baseline: &str, error: &Error) -> Option<Vec<u8>> {
    let report = Report::failure(baseline, error);
    let mut bytes = Vec::new();
    let written = match format {
        Format::Text => return None,
        Format::Json => json::render(&report, &mut bytes),
        Format::Sarif => sarif::render(&report, error.kind.exit_code(), false, &mut bytes),
        Format::Junit => junit::render(&report, &mut bytes),
        Format::Html => html::render(&report, Tense::Did, &mut bytes),
    };
    written.ok().map(|()| bytes)
}
