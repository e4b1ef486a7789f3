//! Log drivers and their options. dockerd checks the names of options when it starts, the values when a container does.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Defect, Harm, Next};
use crate::fact::Fact;
use crate::formats::json_text::printable;

/// Drivers that are part of an engine; any other is a plugin.
const BUILT_IN: [&str; 11] =
    ["json-file", "local", "none", "syslog", "journald", "gelf", "fluentd", "awslogs", "splunk", "gcplogs", "logentries"];
/// Options of every driver.
const COMMON: [&str; 6] = ["mode", "max-buffer-size", "cache-disabled", "cache-max-size", "cache-max-file", "cache-compress"];
/// Options that add attributes to a line.
const ATTRIBUTES: [&str; 5] = ["labels", "labels-regex", "env", "env-regex", "tag"];
const ROTATION: [&str; 3] = ["max-size", "max-file", "compress"];
const SYSLOG: [&str; 7] = [
    "syslog-address",
    "syslog-facility",
    "syslog-format",
    "syslog-tls-ca-cert",
    "syslog-tls-cert",
    "syslog-tls-key",
    "syslog-tls-skip-verify",
];
const JOURNAL: &str = "/run/systemd/journal/socket";
const SYSLOG_SOCKETS: [&str; 3] = ["/dev/log", "/var/run/syslog", "/var/run/log"];

fn name(next: &Next) -> String {
    next.text("log-driver").unwrap_or_else(|| "json-file".into())
}

fn options(next: &Next) -> BTreeMap<String, String> {
    let options = next.value("log-opts");
    let members = options.as_ref().and_then(Value::as_object).into_iter().flatten();
    members.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// The service that a driver sends lines to.
pub fn driver(next: &Next) -> Vec<Defect> {
    let name = name(next);
    if !next.live() || !next.speaks_of("log-driver") {
        return Vec::new();
    }
    let defect = |what: String, help: &str| vec![Defect::new("log-driver", Harm::Containers, what, help)];
    match name.as_str() {
        "journald" if next.file(JOURNAL).is_absent() => defect(
            format!("`log-driver` is journald, and there is no {JOURNAL}"),
            "start systemd-journald, or take another driver",
        ),
        "syslog" => syslog(next),
        name if !BUILT_IN.contains(&name) && super::access::plugin(next, name).is_absent() => {
            let what = "`log-driver` names neither a driver of dockerd nor a plugin that is there".into();
            defect(what, "correct the name, or start the plugin")
        }
        _ => Vec::new(),
    }
}

fn syslog(next: &Next) -> Vec<Defect> {
    let Some(address) = options(next).remove("syslog-address").filter(|address| !address.is_empty()) else {
        return match next.any_of(SYSLOG_SOCKETS.map(str::to_owned)) {
            Fact::Absent => vec![Defect::new(
                "log-driver",
                Harm::Containers,
                format!("`log-driver` is syslog, and there is none of {}", SYSLOG_SOCKETS.join(", ")),
                "start a syslog service, or take another driver",
            )],
            _ => Vec::new(),
        };
    };
    match address.strip_prefix("unix://").map(|path| next.file(path)) {
        Some(Fact::Absent) => vec![Defect::of_member(
            "log-opts",
            "syslog-address",
            Harm::Start,
            "`log-opts.syslog-address` names a socket that does not exist".into(),
            "start the service that makes it, or correct the address",
        )],
        _ => Vec::new(),
    }
}

/// Names that the driver knows, for drivers whose options changed little with the engines.
pub fn option_names(next: &Next) -> Vec<Defect> {
    let driver = name(next);
    let of_driver: Vec<&str> = match driver.as_str() {
        "json-file" => [ROTATION.as_slice(), &ATTRIBUTES].concat(),
        // Newer engines take attributes here too.
        "local" if next.before(24) => ROTATION.to_vec(),
        "local" => [ROTATION.as_slice(), &ATTRIBUTES].concat(),
        "journald" => ATTRIBUTES.to_vec(),
        "syslog" => [SYSLOG.as_slice(), &ATTRIBUTES].concat(),
        _ => return Vec::new(),
    };
    let known = |name: &String| of_driver.contains(&name.as_str()) || COMMON.contains(&name.as_str());
    let defect = |option: String| {
        let shown = printable(&option);
        let what = format!("the log driver {driver} has no option `{shown}`");
        Defect::of_member("log-opts", &option, Harm::Start, what, "take it out, or correct its name")
    };
    options(next).into_keys().filter(|option| !known(option)).map(defect).collect()
}

/// What every driver checks at the start.
pub fn modes(next: &Next) -> Vec<Defect> {
    let options = options(next);
    if name(next) == "none" {
        return Vec::new();
    }
    let mode = options.get("mode").map(String::as_str).unwrap_or_default();
    let defect =
        |option: &str, what: &str, help: &str| vec![Defect::of_member("log-opts", option, Harm::Start, what.to_owned(), help)];
    if !["", "blocking", "non-blocking"].contains(&mode) {
        return defect("mode", "`log-opts.mode` is neither blocking nor non-blocking", "correct it");
    }
    match options.get("max-buffer-size") {
        Some(_) if mode != "non-blocking" => {
            defect("max-buffer-size", "`log-opts.max-buffer-size` takes `mode` non-blocking", "take it out, or set the mode")
        }
        Some(size) if size_of(size).is_none() => {
            defect("max-buffer-size", "`log-opts.max-buffer-size` is no size, like \"4m\"", "correct it")
        }
        _ => Vec::new(),
    }
}

/// Values that the two file drivers refuse when a container starts.
pub fn option_values(next: &Next) -> Vec<Defect> {
    let driver = name(next);
    if !["json-file", "local"].contains(&driver.as_str()) {
        return Vec::new();
    }
    let options = options(next);
    let defect = |option: &str, what: String, help: &str| Defect::of_member("log-opts", option, Harm::Containers, what, help);
    let mut found = Vec::new();
    if options.get("max-size").is_some_and(|size| size_of(size).is_none_or(|size| size <= 0.0)) {
        let what = "`log-opts.max-size` is no size above 0, like \"10m\"".into();
        found.push(defect("max-size", what, "correct it"));
    }
    let files = options.get("max-file").map(|files| files.parse::<i64>());
    if files.as_ref().is_some_and(|files| !matches!(files, Ok(1..))) {
        found.push(defect("max-file", "`log-opts.max-file` is no whole number above 0".into(), "correct it"));
    }
    let one_file = matches!(files, Some(Ok(1))) || files.is_none() && driver == "json-file";
    match options.get("compress").map(|compress| go_bool(compress)) {
        Some(None) => found.push(defect("compress", "`log-opts.compress` is neither true nor false".into(), "correct it")),
        Some(Some(true)) if driver == "json-file" && (one_file || !options.contains_key("max-size")) => {
            let what = "`log-opts.compress` takes `max-size`, and `max-file` above 1".into();
            found.push(defect("compress", what, "set them, or take it out"));
        }
        Some(Some(true)) | None if driver == "local" && one_file => {
            let what = "with `log-opts.max-file` 1 the log driver local has nothing to compress, and it would".into();
            found.push(defect("max-file", what, "raise it, or set `compress` to \"false\""));
        }
        _ => {}
    }
    found
}

/// A size as dockerd reads it: a number, one space at most, and a unit.
fn size_of(text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = text[digits.len()..].to_ascii_lowercase();
    let unit = unit.strip_suffix('b').unwrap_or(&unit);
    let unit = unit.strip_suffix('i').unwrap_or(unit);
    let number = digits.strip_suffix(' ').unwrap_or(digits);
    let fits = matches!(unit, "" | "k" | "m" | "g" | "t" | "p") && number.starts_with(|c: char| c.is_ascii_digit());
    number.parse().ok().filter(|_| fits)
}

/// A boolean as Go reads it.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}
