//! Values that have the right type and still do not work, and keys that do not go together.

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde_json::{Map, Value};

use super::{LintKind, Linter, STRICT_READER};
use crate::formats::daemon_keys::EngineVersion;
use crate::formats::json_text::printable;

/// What log-level may be, in any case.
const LOG_LEVELS: [&str; 7] = ["panic", "fatal", "error", "warn", "info", "debug", "trace"];

/// Labels that dockerd keeps for itself.
const RESERVED_LABELS: [&str; 3] = ["com.docker.", "io.docker.", "org.dockerproject."];

const fn engine(major: u32) -> EngineVersion {
    EngineVersion::new(major, 0, 0)
}

impl Linter<'_> {
    /// Everything of this file.
    pub(super) fn values(&mut self) {
        self.ulimits();
        self.objects();
        self.addresses();
        self.labels();
        self.modes();
        self.numbers();
        self.seccomp_profile();
        self.log_level();
        self.combinations();
        self.exclusions();
        self.tls();
    }

    /// Limits that dockerd starts with and that then fail every container start.
    fn ulimits(&mut self) {
        let Some(limits) = self.document.get(&["default-ulimits"]).and_then(Value::as_object) else { return };
        for (outer, limit) in limits {
            let Some(limit) = limit.as_object() else { continue };
            let path = ["default-ulimits", outer.as_str()];
            let shown = printable(&path.join("."));
            let number = |wanted| find(limit, wanted).map_or(Some(0), Value::as_i64);
            let name = find(limit, "Name");
            match name.and_then(Value::as_str) {
                None if name.is_some() => self.wrong_member(&path, "Name", "a text"),
                None | Some("") => {
                    let what = format!("`{shown}` has no \"Name\": dockerd starts, and then every container start fails.");
                    self.add(&path, LintKind::BreaksContainers, false, what);
                }
                Some(name) if name != outer => {
                    let what = format!("`{shown}` has another \"Name\" than its key; only the \"Name\" counts.");
                    self.add(&path, LintKind::BadValue, false, what);
                }
                Some(_) => {}
            }
            match (number("Soft"), number("Hard")) {
                // -1 is no limit: the greatest of all.
                (Some(soft), Some(hard)) if soft.cast_unsigned() > hard.cast_unsigned() => {
                    let what = format!(
                        "`{shown}` has a Soft above its Hard limit: dockerd starts, and then every container start fails."
                    );
                    self.add(&path, LintKind::BreaksContainers, false, what);
                }
                (Some(_), Some(_)) => {}
                (soft, _) => self.wrong_member(&path, if soft.is_none() { "Soft" } else { "Hard" }, "an integer"),
            }
        }
    }

    /// Members of the objects that runtimes and address pools are.
    fn objects(&mut self) {
        for (name, runtime) in self.document.get(&["runtimes"]).and_then(Value::as_object).into_iter().flatten() {
            let Some(runtime) = runtime.as_object() else { continue };
            if find(runtime, "path").is_some_and(|path| !path.is_string() && !path.is_null()) {
                self.wrong_member(&["runtimes", name], "path", "a text");
            }
        }
        for pool in self.document.get(&["default-address-pools"]).and_then(Value::as_array).into_iter().flatten() {
            let Some(pool) = pool.as_object() else { continue };
            if find(pool, "base").is_some_and(|base| !base.is_string() && !base.is_null()) {
                self.wrong_member(&["default-address-pools"], "base", "a text");
            }
            if find(pool, "size").is_some_and(|size| !size.is_i64() && !size.is_null()) {
                self.wrong_member(&["default-address-pools"], "size", "an integer");
            }
        }
    }

    fn wrong_member(&mut self, path: &[&str], member: &str, wanted: &str) {
        let shown = printable(&path.join("."));
        let what = format!("`{member}` in `{shown}` is of a wrong type; dockerd expects {wanted} and refuses to start.");
        self.add(path, LintKind::WrongType, true, what);
    }

    /// Keys that hold IP addresses.
    fn addresses(&mut self) {
        for key in ["ip", "default-gateway", "default-gateway-v6", "host-gateway-ip", "dns", "host-gateway-ips"] {
            let texts = match self.document.get(&[key]) {
                Some(Value::String(text)) if !text.is_empty() => vec![text.as_str()],
                Some(Value::Array(elements)) => elements.iter().map(|element| element.as_str().unwrap_or_default()).collect(),
                _ => Vec::new(),
            };
            // dockerd allows space around addresses of name servers only.
            let is_address = |text: &&str| (if key == "dns" { text.trim() } else { text }).parse::<IpAddr>().is_ok();
            if !texts.iter().all(is_address) {
                let what = format!("`{key}` holds what is no IP address; dockerd refuses to start.");
                self.add(&[key], LintKind::BadValue, true, what);
            }
        }
    }

    fn labels(&mut self) {
        let labels = self.document.get(&["labels"]).and_then(Value::as_array).into_iter().flatten();
        let pairs: Vec<Option<(&str, &str)>> = labels.filter_map(Value::as_str).map(|label| label.split_once('=')).collect();
        let named: Vec<(&str, &str)> = pairs.iter().copied().flatten().collect();
        let reserved = |(name, _): &(&str, &str)| {
            let name = name.to_ascii_lowercase();
            RESERVED_LABELS.iter().any(|prefix| name.starts_with(prefix))
        };
        let values: BTreeMap<&str, &str> = named.iter().copied().collect();
        let mistakes = [
            (pairs.contains(&None), "has an element without `=`; dockerd expects name=value and refuses to start"),
            (
                named.iter().any(reserved),
                "uses a name that dockerd keeps for itself (com.docker, io.docker, org.dockerproject); it refuses to start",
            ),
            (
                named.iter().any(|(name, value)| values.get(name) != Some(value)),
                "gives one name two values; dockerd refuses to start",
            ),
        ];
        for (_, what) in mistakes.into_iter().filter(|(made, _)| *made) {
            self.add(&["labels"], LintKind::BadValue, true, format!("`labels` {what}."));
        }
    }

    fn modes(&mut self) {
        for (key, modes) in [("default-ipc-mode", ["private", "shareable"]), ("default-cgroupns-mode", ["private", "host"])] {
            if self.text(key).is_some_and(|mode| !modes.contains(&mode)) {
                let what = format!("`{key}` is neither {}; dockerd refuses to start.", modes.join(" nor "));
                self.add(&[key], LintKind::BadValue, true, what);
            }
        }
    }

    fn numbers(&mut self) {
        let number = |key: &str| self.document.get(&[key]).and_then(Value::as_i64);
        let negative = ["max-concurrent-downloads", "max-concurrent-uploads", "max-download-attempts", "mtu"]
            .into_iter()
            .filter(|key| number(key).is_some_and(|number| number < 0) && (*key != "mtu" || self.since(STRICT_READER)));
        let zero_attempts = number("max-download-attempts") == Some(0) && self.before(STRICT_READER);
        for key in negative.collect::<Vec<_>>() {
            self.add(&[key], LintKind::BadValue, true, format!("`{key}` is negative; dockerd refuses to start."));
        }
        if zero_attempts {
            let what = "`max-download-attempts` is 0, which engines before 23.0 refuse to start with.";
            self.add(&["max-download-attempts"], LintKind::BadValue, true, what);
        }
    }

    fn seccomp_profile(&mut self) {
        match self.text("seccomp-profile") {
            Some("default") => {
                let what = "`seccomp-profile` names a file here, and \"default\" is none; dockerd refuses to start. Delete the key \
                            to get the built-in profile.";
                self.add(&["seccomp-profile"], LintKind::BadValue, true, what);
            }
            Some("builtin" | "unconfined") if self.before(STRICT_READER) => {
                let what = "`seccomp-profile` takes only a path before engine 23.0; dockerd looks for a file of that name and \
                            refuses to start.";
                self.add(&["seccomp-profile"], LintKind::BadValue, true, what);
            }
            _ => {}
        }
    }

    fn log_level(&mut self) {
        let level = self.text("log-level").map(str::to_ascii_lowercase).unwrap_or_default();
        if level == "warning" && self.since(engine(25)) {
            let what = "`log-level` \"warning\" is refused since engine 25.0; write \"warn\".";
            self.add(&["log-level"], LintKind::BadValue, true, what);
        } else if !level.is_empty() && level != "warning" && !LOG_LEVELS.contains(&level.as_str()) {
            let what = format!("`log-level` is none of {}; dockerd refuses to start.", LOG_LEVELS.join(", "));
            self.add(&["log-level"], LintKind::BadValue, true, what);
        }
    }

    /// Values that need another key, or its absence.
    fn combinations(&mut self) {
        if self.is_off("icc") && self.is_off("iptables") {
            let what = "`icc` and `iptables` are both off: dockerd can't forbid traffic without iptables and refuses to start.";
            self.add(&["icc"], LintKind::Contradiction, true, what);
        }
        if self.is_on("userland-proxy") && self.text("userland-proxy-path").is_none() && self.since(engine(25)) {
            let what = "`userland-proxy` is true without `userland-proxy-path`: since engine 25.0 every reload fails over it; delete \
                        the key, true is the default.";
            self.add(&["userland-proxy"], LintKind::BreaksReload, false, what);
        }
        if self.is_on("ip6tables") && !self.is_on("experimental") && self.before(engine(27)) {
            let what =
                "`ip6tables` needs `experimental` before engine 27.0; unless a flag sets that, dockerd refuses to start.";
            self.add(&["ip6tables"], LintKind::Contradiction, true, what);
        }
        if self.is_on("ipv6") && self.text("fixed-cidr-v6").is_none() && self.before(engine(28)) {
            let what = "`ipv6` needs `fixed-cidr-v6` before engine 28.0; unless a flag sets that, dockerd refuses to start.";
            self.add(&["ipv6"], LintKind::Contradiction, true, what);
        }
    }

    /// Keys that exclude each other.
    fn exclusions(&mut self) {
        for address in ["bip", "bip6"] {
            if self.text("bridge").is_some() && self.text(address).is_some() {
                let what = format!("`bridge` and `{address}` exclude each other; dockerd refuses to start.");
                self.add(&[address], LintKind::Contradiction, true, what);
            }
        }
        if self.text("graph").is_some() && self.text("data-root").is_some() && self.before(STRICT_READER) {
            let what = "`graph` and `data-root` exclude each other; dockerd refuses to start.";
            self.add(&["graph"], LintKind::Contradiction, true, what);
        }
        let addresses = self.document.get(&["host-gateway-ips"]).and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if addresses && self.text("host-gateway-ip").is_some() {
            let what = "`host-gateway-ip` and `host-gateway-ips` exclude each other; dockerd refuses to start.";
            self.add(&["host-gateway-ip"], LintKind::Contradiction, true, what);
        }
    }

    /// TLS that is weaker than it looks.
    fn tls(&mut self) {
        let verify = self.document.get(&["tlsverify"]);
        match verify {
            Some(Value::Bool(true)) if self.text("tlscacert").is_none() => {
                let what = "`tlsverify` without `tlscacert`: unless a flag names one, any client certificate that the system's own \
                            authorities signed is let in.";
                self.add(&["tlsverify"], LintKind::WeakTls, false, what);
            }
            Some(Value::Bool(false) | Value::Null) => {
                let what =
                    "`tlsverify` turns TLS on by being there, and false lets in clients without a certificate; set it to true.";
                self.add(&["tlsverify"], LintKind::WeakTls, false, what);
            }
            _ => {}
        }
        if verify.is_some() || self.is_on("tls") {
            return;
        }
        for key in ["tlscacert", "tlscert", "tlskey"] {
            if self.text(key).is_some() {
                let what = format!(
                    "`{key}` alone does not turn TLS on: unless a flag does, TCP is in clear; set `tlsverify` to true."
                );
                self.add(&[key], LintKind::WeakTls, false, what);
            }
        }
    }
}

/// A member by its name, which dockerd reads in any case.
fn find<'v>(object: &'v Map<String, Value>, wanted: &str) -> Option<&'v Value> {
    object.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}
