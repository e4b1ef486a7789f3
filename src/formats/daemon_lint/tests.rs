use super::*;

fn lints(text: &str, engine: &str) -> Vec<Lint> {
    lint(&Document::parse(text.as_bytes()).unwrap(), EngineVersion::parse(engine))
}

/// The lints as `line:column [fatal] what`.
fn shown(text: &str, engine: &str) -> Vec<String> {
    let show = |lint: &Lint| format!("{}:{} {}{}", lint.line, lint.column, if lint.fatal { "fatal " } else { "" }, lint.what);
    lints(text, engine).iter().map(show).collect()
}

/// Each file, the engine that reads it (empty: unknown), and all that is said of it.
fn check(table: &[(&str, &str, &[&str])]) {
    for (text, engine, expected) in table {
        assert_eq!(shown(text, engine), *expected, "{text} on {engine}");
    }
}

const GOOD: &str = r#"{"icc": false, "live-restore": true, "no-new-privileges": true, "log-driver": "json-file",
  "log-opts": {"max-size": "10m", "max-file": "3"}, "labels": ["a=b"], "mtu": 1450, "dns": ["1.1.1.1", "fe80::1"],
  "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": -1}}, "features": {"buildkit": true},
  "runtimes": {"x": {"path": "/x", "runtimeArgs": ["-v"]}}, "default-address-pools": [{"base": "10.0.0.0/8", "size": 24}],
  "builder": {"gc": {"enabled": true}}, "tlsverify": true, "tlscacert": "/ca", "tlscert": "/c", "tlskey": "/k"}"#;

#[test]
fn a_good_file_has_nothing() {
    for engine in ["", "20.10.24", "23.0.15", "24.0.9", "25.0.8", "26.1.5", "27.5.1", "28.5.2", "29.7.2"] {
        assert_eq!(shown(GOOD, engine), [""; 0], "{engine}");
    }
}

#[test]
fn names_that_are_no_keys() {
    check(&[
        ("{\n \"ic\": true}", "", &["2:2 fatal `ic` is no key of daemon.json, and dockerd refuses to start."]),
        (r#"{"ICC": 1}"#, "", &["1:2 fatal `ICC` is no key of daemon.json, and dockerd refuses to start; the key is `icc`."]),
        (
            r#"{"live_restore": true}"#,
            "29.7.2",
            &["1:2 fatal `live_restore` is no key of daemon.json, and dockerd refuses to start; the key is `live-restore`."],
        ),
        (r#"{"default-init": true}"#, "", &["1:2 fatal `default-init` stops dockerd: no engine takes it as a key."]),
        (r#"{"default-init": {}}"#, "", &["1:2 fatal `default-init` stops dockerd: no engine takes it as a key."]),
        (
            r#"{"containerd-plugin-namespace": "x"}"#,
            "28.5.2",
            &["1:2 fatal `containerd-plugin-namespace` stops dockerd: no engine takes it as a key."],
        ),
        (r#"{"_comment": "x"}"#, "", &["1:2 fatal `_comment` is no key of daemon.json, and dockerd refuses to start."]),
        ("{\"a\\u001b[2J\": 1}", "", &["1:2 fatal `a\\u{1b}[2J` is no key of daemon.json, and dockerd refuses to start."]),
    ]);
}

#[test]
fn trap_06_null_turns_booleans_off() {
    check(&[
        (
            r#"{"iptables": null}"#,
            "",
            &[
                "1:2 `iptables` is null, and dockerd takes that as false, although the default is true; delete the key to get the \
               default.",
            ],
        ),
        (
            r#"{"ip6tables": null}"#,
            "26.1.5",
            &["1:2 `ip6tables` is null, and dockerd takes that as false; delete the key to get the default."],
        ),
        (
            r#"{"labels": null}"#,
            "",
            &["1:2 `labels` is null, and dockerd counts it as set, but without a value; delete the key to get the default."],
        ),
        (
            r#"{"default-shm-size": null}"#,
            "",
            &["1:2 fatal `default-shm-size` is null, and dockerd refuses to start; delete the key to get the default."],
        ),
        (
            r#"{"proxies": null}"#,
            "24.0.9",
            &["1:2 fatal `proxies` is null, and dockerd refuses to start; delete the key to get the default."],
        ),
        (
            r#"{"features": {"buildkit": null}}"#,
            "",
            &["1:15 `features.buildkit` is null, which dockerd takes for an empty value; delete it to get the default."],
        ),
        (
            r#"{"icc": null, "iptables": null}"#,
            "",
            &[
                "1:2 `icc` is null, and dockerd takes that as false, although the default is true; delete the key to get the default.",
                "1:2 fatal `icc` and `iptables` are both off: dockerd can't forbid traffic without iptables and refuses to start.",
                "1:15 `iptables` is null, and dockerd takes that as false, although the default is true; delete the key to get the \
                 default.",
            ],
        ),
    ]);
}

#[test]
fn trap_07_what_validation_misses_is_found() {
    let icc =
        "1:2 fatal `icc` and `iptables` are both off: dockerd can't forbid traffic without iptables and refuses to start.";
    check(&[
        (r#"{"icc": false, "iptables": false}"#, "", &[icc]),
        (r#"{"icc": false}"#, "", &[]),
        (
            r#"{"bridge": "br0", "bip": "10.0.0.1/24"}"#,
            "",
            &["1:19 fatal `bridge` and `bip` exclude each other; dockerd refuses to start."],
        ),
        (r#"{"bridge": "", "bip": "10.0.0.1/24"}"#, "", &[]),
    ]);
}

#[test]
fn trap_09_ulimits_that_stop_every_container() {
    let limit = |limit: &str| format!(r#"{{"default-ulimits": {{"nofile": {limit}}}}}"#);
    for (text, expected) in [
        (r#"{"Soft": 1, "Hard": 2}"#, "has no \"Name\": dockerd starts, and then every container start fails."),
        (r#"{"Name": "", "Hard": 2}"#, "has no \"Name\": dockerd starts, and then every container start fails."),
        (
            r#"{"Name": "nofile", "Soft": 3, "Hard": 2}"#,
            "has a Soft above its Hard limit: dockerd starts, and then every container start fails.",
        ),
        (
            r#"{"name": "nofile", "soft": -1, "hard": 2}"#,
            "has a Soft above its Hard limit: dockerd starts, and then every container start fails.",
        ),
        (r#"{"Name": "nproc", "Hard": 2}"#, "has another \"Name\" than its key; only the \"Name\" counts."),
    ] {
        assert_eq!(shown(&limit(text), ""), [format!("1:22 `default-ulimits.nofile` {expected}")], "{text}");
    }
    let number = "1:22 fatal `default-ulimits.nofile` is a number; dockerd expects an object and refuses to start.";
    assert_eq!(shown(&limit("1"), ""), [number]);
    let soft =
        "1:22 fatal `Soft` in `default-ulimits.nofile` is of a wrong type; dockerd expects an integer and refuses to start.";
    assert_eq!(shown(&limit(r#"{"Name": "nofile", "Soft": "1"}"#), ""), [soft]);
}

#[test]
fn trap_10_tls_that_is_weaker_than_it_looks() {
    let off = |key: &str| {
        format!("`{key}` alone does not turn TLS on: unless a flag does, TCP is in clear; set `tlsverify` to true.")
    };
    let (cert, key) = (format!("1:2 {}", off("tlscert")), format!("1:19 {}", off("tlskey")));
    let open = "`tlsverify` turns TLS on by being there, and false lets in clients without a certificate; set it to true.";
    let any = "`tlsverify` without `tlscacert`: unless a flag names one, any client certificate that the system's own authorities \
               signed is let in.";
    check(&[
        (r#"{"tlscert": "/c", "tlskey": "/k"}"#, "", &[&cert, &key]),
        (r#"{"tlscert": "/c", "tls": true}"#, "", &[]),
        (r#"{"tlsverify": false, "tlscert": "/c"}"#, "", &[&format!("1:2 {open}")]),
        (r#"{"tlsverify": true}"#, "", &[&format!("1:2 {any}")]),
    ]);
}

#[test]
fn trap_11_seccomp_profiles_by_engine() {
    let default = "1:2 fatal `seccomp-profile` names a file here, and \"default\" is none; dockerd refuses to start. Delete the key \
                   to get the built-in profile.";
    let old = "1:2 fatal `seccomp-profile` takes only a path before engine 23.0; dockerd looks for a file of that name and refuses \
               to start.";
    check(&[
        (r#"{"seccomp-profile": "default"}"#, "29.7.2", &[default]),
        (r#"{"seccomp-profile": "builtin"}"#, "20.10.24", &[old]),
        (r#"{"seccomp-profile": "unconfined"}"#, "20.10.24", &[old]),
        (r#"{"seccomp-profile": "builtin"}"#, "23.0.0", &[]),
        (r#"{"seccomp-profile": "builtin"}"#, "", &[]),
        (r#"{"seccomp-profile": "/etc/docker/seccomp.json"}"#, "20.10.24", &[]),
    ]);
}

#[test]
fn trap_12_flag_names_are_ignored() {
    let ignored = |flag: &str, key: &str| {
        format!("1:2 `{flag}` is the name of a flag: dockerd accepts it here and ignores it; the key is `{key}`.")
    };
    for (flag, key) in [
        ("label", "labels"),
        ("host", "hosts"),
        ("insecure-registry", "insecure-registries"),
        ("default-ulimit", "default-ulimits"),
        ("log-opt", "log-opts"),
        ("http-proxy", "proxies.http-proxy"),
        ("add-runtime", "runtimes"),
    ] {
        assert_eq!(shown(&format!("{{\"{flag}\": 1}}"), "29.7.2"), [ignored(flag, key)]);
    }
    check(&[
        (r#"{"restart": 1}"#, "", &["1:2 `restart` is the name of a flag: dockerd accepts it here and ignores it."]),
        // Before the flag exists, its name is no better than any other; letters of short flags never are.
        (
            r#"{"http-proxy": 1}"#,
            "20.10.24",
            &["1:2 fatal `http-proxy` is no key of daemon.json, and dockerd refuses to start."],
        ),
        (r#"{"feature": 1}"#, "26.1.5", &["1:2 fatal `feature` is no key of daemon.json, and dockerd refuses to start."]),
        (r#"{"H": 1}"#, "", &["1:2 fatal `H` is no key of daemon.json, and dockerd refuses to start."]),
    ]);
}

#[test]
fn trap_13_wrapped_booleans_take_effect() {
    let effect = |outer: &str, inner: &str, column: usize| {
        format!(
            "1:{column} `{inner}` inside `{outer}` takes effect: dockerd does not know `{outer}` and reads its members as keys of the \
             top level; move it there."
        )
    };
    check(&[
        (r#"{"security": {"icc": true}}"#, "", &[&effect("security", "icc", 15)]),
        (r#"{"label": {"icc": "no"}}"#, "", &[&effect("label", "icc", 12)]),
        (r#"{"x": {"labels": ["a=b"]}}"#, "", &["1:8 `labels` inside `x` does nothing: dockerd does not know `x`."]),
        (r#"{"_comment": {}}"#, "", &["1:2 `_comment` is no key of daemon.json; the empty object does nothing."]),
        (
            r#"{"x": {"nope": true}}"#,
            "",
            &[
                "1:8 fatal `nope` inside `x` stops dockerd: it does not know `x`, reads its members as keys of the top level, and `nope` \
               is none.",
            ],
        ),
        (
            r#"{"ICC": {"debug": true}}"#,
            "",
            &["1:2 fatal `ICC` is an object; dockerd expects true or false and refuses to start.", &effect("ICC", "debug", 10)],
        ),
    ]);
}

#[test]
fn trap_15_keys_of_other_engines() {
    check(&[
        (
            r#"{"firewall-backend": "nftables"}"#,
            "28.5.2",
            &[
                "1:2 fatal `firewall-backend` came with engine 29.0; engine 28.5.2 does not know it, and dockerd refuses to start.",
            ],
        ),
        (r#"{"firewall-backend": "nftables"}"#, "", &[]),
        (r#"{"graph": "/x"}"#, "23.0.0", &["1:2 fatal `graph` was dropped in engine 23.0, and dockerd refuses to start."]),
        (r#"{"graph": ""}"#, "23.0.0", &["1:2 `graph` was dropped in engine 23.0."]),
        (r#"{"graph": ""}"#, "24.0.0", &["1:2 fatal `graph` was dropped in engine 23.0, and dockerd refuses to start."]),
        (
            r#"{"oom-score-adjust": -500}"#,
            "25.0.8",
            &["1:2 fatal `oom-score-adjust` was dropped in engine 25.0, and dockerd refuses to start."],
        ),
        (
            r#"{"api-cors-header": "*"}"#,
            "28.5.2",
            &["1:2 fatal `api-cors-header` was dropped in engine 28.0, and dockerd refuses to start."],
        ),
        (r#"{"deprecated-key-path": 1}"#, "24.0.0", &["1:2 `deprecated-key-path` does nothing since engine 24.0."]),
        (
            r#"{"log-level": "warning"}"#,
            "25.0.8",
            &["1:2 fatal `log-level` \"warning\" is refused since engine 25.0; write \"warn\"."],
        ),
        (r#"{"log-level": "Warning"}"#, "24.0.9", &[]),
        (
            r#"{"log-level": "verbose"}"#,
            "",
            &["1:2 fatal `log-level` is none of panic, fatal, error, warn, info, debug, trace; dockerd refuses to start."],
        ),
        (
            r#"{"ip6tables": true}"#,
            "26.1.5",
            &[
                "1:2 fatal `ip6tables` needs `experimental` before engine 27.0; unless a flag sets that, dockerd refuses to start.",
            ],
        ),
        (r#"{"ip6tables": true, "experimental": true}"#, "26.1.5", &[]),
        (
            r#"{"ipv6": true}"#,
            "27.5.1",
            &["1:2 fatal `ipv6` needs `fixed-cidr-v6` before engine 28.0; unless a flag sets that, dockerd refuses to start."],
        ),
        (r#"{"ip6tables": true, "ipv6": true}"#, "28.5.2", &[]),
        // An object of a younger engine is an unknown object: members decide.
        (r#"{"proxies": {}}"#, "20.10.24", &["1:2 `proxies` came with engine 23.0; engine 20.10.24 does not know it."]),
        (
            r#"{"default-network-opts": {"bridge": {}}}"#,
            "20.10.24",
            &[
                "1:2 `default-network-opts` came with engine 24.0; engine 20.10.24 does not know it.",
                "1:27 `bridge` inside `default-network-opts` does nothing: dockerd does not know `default-network-opts`.",
            ],
        ),
    ]);
}

#[test]
fn trap_16_an_explicit_userland_proxy_breaks_reloads() {
    let breaks = "1:2 `userland-proxy` is true without `userland-proxy-path`: since engine 25.0 every reload fails over it; delete the \
                  key, true is the default.";
    check(&[
        (r#"{"userland-proxy": true}"#, "25.0.8", &[breaks]),
        (r#"{"userland-proxy": true}"#, "24.0.9", &[]),
        (r#"{"userland-proxy": true, "userland-proxy-path": "/usr/bin/docker-proxy"}"#, "29.7.2", &[]),
        (r#"{"userland-proxy": false}"#, "29.7.2", &[]),
    ]);
}

#[test]
fn trap_18_forms_that_old_engines_refuse() {
    let bom = "1:1 fatal The file begins with a byte order mark, which engines before 23.0 refuse.";
    let empty = "1:1 fatal The file is empty, which engines before 23.0 refuse; write {} into it.";
    check(&[
        ("\u{feff}{}", "20.10.24", &[bom]),
        ("\u{feff}{}", "23.0.0", &[]),
        (" \n", "20.10.24", &[empty]),
        ("", "29.7.2", &[]),
        ("", "", &["1:1 The file is empty, which engines before 23.0 refuse; write {} into it."]),
    ]);
    assert_eq!(lint(&Document::empty(), EngineVersion::parse("20.10.24")), []);
}

#[test]
fn types_that_dockerd_does_not_read() {
    let wrong =
        |path: &str, is: &str, wanted: &str| format!("fatal `{path}` is {is}; dockerd expects {wanted} and refuses to start.");
    for (text, column, expected) in [
        (r#"{"icc": "false"}"#, 2, wrong("icc", "a text", "true or false")),
        (r#"{"mtu": "1500"}"#, 2, wrong("mtu", "a text", "an integer without fraction or exponent")),
        (r#"{"mtu": 10.0}"#, 2, wrong("mtu", "a number with fraction or exponent", "an integer without fraction or exponent")),
        (r#"{"mtu": 1e1}"#, 2, wrong("mtu", "a number with fraction or exponent", "an integer without fraction or exponent")),
        (r#"{"log-driver": 1}"#, 2, wrong("log-driver", "a number", "a text in double quotes")),
        (r#"{"hosts": "fd://"}"#, 2, wrong("hosts", "a text", "a list of texts")),
        (r#"{"labels": ["a=b", 1]}"#, 2, wrong("labels", "a list", "a list of texts")),
        (r#"{"log-opts": []}"#, 2, wrong("log-opts", "a list", "an object")),
        (r#"{"log-opts": {"max-file": 3}}"#, 15, wrong("log-opts.max-file", "a number", "a text in double quotes")),
        (r#"{"features": {"x": "true"}}"#, 15, wrong("features.x", "a text", "true or false")),
        (
            r#"{"default-network-opts": {"bridge": {"a": 1}}}"#,
            27,
            wrong("default-network-opts.bridge", "an object", "an object of texts"),
        ),
        (r#"{"proxies": {"http-proxy": 1}}"#, 14, wrong("proxies.http-proxy", "a number", "a text in double quotes")),
        (r#"{"default-address-pools": [1]}"#, 2, wrong("default-address-pools", "a list", "a list of objects")),
        (r#"{"runtimes": {"x": "/x"}}"#, 15, wrong("runtimes.x", "a text", "an object")),
    ] {
        assert_eq!(shown(text, "29.7.2"), [format!("1:{column} {expected}")], "{text}");
    }
}

#[test]
fn values_that_dockerd_does_not_take() {
    check(&[
        (r#"{"ip": "localhost"}"#, "", &["1:2 fatal `ip` holds what is no IP address; dockerd refuses to start."]),
        (r#"{"dns": ["1.1.1.1", null]}"#, "", &["1:2 fatal `dns` holds what is no IP address; dockerd refuses to start."]),
        (r#"{"ip": "", "dns": [" 1.1.1.1 "]}"#, "", &[]),
        (r#"{"ip": " 1.1.1.1"}"#, "", &["1:2 fatal `ip` holds what is no IP address; dockerd refuses to start."]),
        (r#"{"labels": ["a=1", "a=2"]}"#, "", &["1:2 fatal `labels` gives one name two values; dockerd refuses to start."]),
        (r#"{"labels": ["a=1", "a=1", "=1"], "default-ipc-mode": "private"}"#, "", &[]),
        (
            r#"{"default-ipc-mode": "host"}"#,
            "",
            &["1:2 fatal `default-ipc-mode` is neither private nor shareable; dockerd refuses to start."],
        ),
        (
            r#"{"labels": ["a"]}"#,
            "",
            &["1:2 fatal `labels` has an element without `=`; dockerd expects name=value and refuses to start."],
        ),
        (
            r#"{"labels": ["IO.docker.x=1"]}"#,
            "",
            &[
                "1:2 fatal `labels` uses a name that dockerd keeps for itself (com.docker, io.docker, org.dockerproject); it refuses to \
             start.",
            ],
        ),
        (
            r#"{"max-concurrent-downloads": -1}"#,
            "",
            &["1:2 fatal `max-concurrent-downloads` is negative; dockerd refuses to start."],
        ),
        (
            r#"{"max-download-attempts": 0}"#,
            "20.10.24",
            &["1:2 fatal `max-download-attempts` is 0, which engines before 23.0 refuse to start with."],
        ),
        (r#"{"max-download-attempts": 0, "mtu": -1}"#, "", &[]),
        (
            r#"{"runtimes": {"x": {"path": 1}}}"#,
            "",
            &["1:15 fatal `path` in `runtimes.x` is of a wrong type; dockerd expects a text and refuses to start."],
        ),
        (
            r#"{"default-address-pools": [{"base": "10.0.0.0/8", "size": "24"}]}"#,
            "",
            &[
                "1:2 fatal `size` in `default-address-pools` is of a wrong type; dockerd expects an integer and refuses to start.",
            ],
        ),
        (
            r#"{"graph": "/x", "data-root": "/y"}"#,
            "20.10.24",
            &["1:2 fatal `graph` and `data-root` exclude each other; dockerd refuses to start."],
        ),
        (
            r#"{"host-gateway-ip": "1.2.3.4", "host-gateway-ips": ["1.2.3.4"]}"#,
            "28.5.2",
            &["1:2 fatal `host-gateway-ip` and `host-gateway-ips` exclude each other; dockerd refuses to start."],
        ),
    ]);
}

#[test]
fn sentences_show_no_values() {
    let secret = r#"{"icc": "hunter2", "log-opts": {"x": ["hunter2"]}, "log-level": "hunter2", "dns": ["hunter2"],
        "labels": ["hunter2"], "nonsense": "hunter2", "seccomp-profile": 1, "default-ulimits": {"a": {"Name": "hunter2"}}}"#;
    let found = shown(secret, "29.7.2");
    assert_eq!(found.len(), 8, "{found:#?}");
    assert!(found.iter().all(|lint| !lint.contains("hunter2")), "{found:#?}");
}

#[test]
fn kinds_and_keys_are_told_apart() {
    let found = lints(r#"{"label": 1, "x": {"icc": true}, "icc": "no"}"#, "");
    let kinds: Vec<_> = found.iter().map(|lint| (lint.key.as_str(), lint.kind, lint.fatal)).collect();
    let expected =
        [("label", LintKind::FlagName, false), ("x.icc", LintKind::Wrapped, false), ("icc", LintKind::WrongType, true)];
    assert_eq!(kinds, expected);
}
