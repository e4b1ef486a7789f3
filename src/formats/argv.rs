//! Command lines of dockerd: which daemon.json keys the flags set, to which values, and where.
//!
//! Read the way dockerd reads them: `--flag=value`, `--flag value`, `-H x`, `-Hx`, bundled letters; a boolean never takes the next
//! word. Texts that are shown have their secrets masked; the index of a word leads to its bytes.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::daemon_json::Document;
use super::daemon_keys::{Flag, JsonType, Key, Status, find_flag};
use super::mask::{MASK, is_secret_name, mask_address, mask_log_option, mask_text};

/// Objects of daemon.json that dockerd does not flatten when it looks for keys that flags give too.
const WHOLE_OBJECTS: [&str; 8] = [
    "log-opts",
    "runtimes",
    "default-ulimits",
    "features",
    "builder",
    "cluster-store-opts",
    "default-network-opts",
    "nri-opts",
];

/// What the flags of a command line say.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct DaemonFlags {
    /// The value of each daemon.json key that flags set, as the file would spell it; secrets stand as they are, so show them only
    /// through [`super::mask::mask_value`].
    pub values: BTreeMap<&'static str, Value>,
    /// The flags that set each of them, in order.
    pub origins: BTreeMap<&'static str, Vec<Origin>>,
    /// `--config-file`.
    pub config_file: Option<String>,
    /// `--validate`: it checks its configuration and ends.
    pub validate: bool,
    /// Words that look like flags, but of which dockerd as harden knows it has none.
    pub unknown: Vec<Origin>,
    /// Words that are no flags, and all behind `--`; dockerd refuses them.
    pub words: Vec<Origin>,
    /// Flags with a value that cannot be read, or without one; they set nothing, and dockerd refuses them.
    pub invalid: Vec<Origin>,
    /// Names that this command line puts on dockerd's list of settings, spelled as it looks for them in the file.
    set: Vec<&'static str>,
}

/// A word of the command line, with the next one where that is its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// As it was written, secrets masked.
    pub text: String,
    /// Index of the first word.
    pub index: usize,
}

impl DaemonFlags {
    /// The value that flags give a key of daemon.json.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The flags that set a key.
    pub fn origin(&self, key: &str) -> &[Origin] {
        self.origins.get(key).map_or(&[], Vec::as_slice)
    }
}

/// Reads the arguments of dockerd, with or without the program itself in front.
pub fn parse(args: &[String]) -> DaemonFlags {
    let mut flags = DaemonFlags::default();
    for piece in pieces(args) {
        let origin = Origin { text: piece.masked().join(" "), index: piece.index };
        for what in piece.whats {
            let origin = origin.clone();
            match what {
                What::Flag { key, flag, value } => match value.text() {
                    Some(text) => flags.take(key, flag, text, origin),
                    None => flags.invalid.push(origin),
                },
                What::Unknown => flags.unknown.push(origin),
                // The program itself.
                What::Word if piece.index == 0 => {}
                What::Word => flags.words.push(origin),
                What::End => {}
            }
        }
    }
    flags
}

/// Keys that are given both by flags and in the file, in the order of the file; dockerd refuses to start over them, even if equal.
pub fn conflicts(flags: &DaemonFlags, document: &Document) -> Vec<String> {
    let mut found = Vec::new();
    for key in document.keys_in_order() {
        let Some(value) = document.get(&[key]) else { continue };
        match value.as_object().filter(|_| !WHOLE_OBJECTS.contains(&key)) {
            Some(members) => {
                found.extend(members.keys().filter(|member| flags.sets(member)).map(|member| format!("{key}.{member}")))
            }
            None if flags.sets(key) => found.push(key.to_owned()),
            None => {}
        }
    }
    found
}

/// The command line for the eyes of others: secrets masked, words quoted for a shell where they need it.
pub fn display(args: &[String]) -> String {
    masked(args).iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ")
}

/// The words of a command line, secrets masked.
pub fn masked(args: &[String]) -> Vec<String> {
    pieces(args).iter().flat_map(Piece::masked).collect()
}

impl DaemonFlags {
    fn take(&mut self, key: &'static Key, flag: &'static Flag, text: &str, origin: Origin) {
        match flag.name {
            "config-file" => self.config_file = Some(text.to_owned()),
            "validate" => self.validate = parse_bool(text).unwrap_or(false),
            _ => {}
        }
        // Flags whose name is the key's are looked up under it; the proxy flags are members of their key and keep their own name.
        let name = if key.json_type == JsonType::Object { flag.name } else { key.name };
        if key.status != Status::Effective {
            return self.set.push(name);
        }
        let Some(value) = value_of(key, flag, text, self.values.get(key.name)) else {
            return self.invalid.push(origin);
        };
        self.set.push(name);
        self.values.insert(key.name, value);
        self.origins.entry(key.name).or_default().push(origin);
    }

    /// Whether dockerd finds this name of the file among the flags that are set. Runtimes are merged instead.
    fn sets(&self, name: &str) -> bool {
        // One flag fills either of the two keys for the host's address.
        let name = if name == "host-gateway-ips" { "host-gateway-ip" } else { name };
        name != "runtimes" && self.set.contains(&name)
    }
}

/// The value that a key has after a flag gave it one more text; `None` when dockerd refuses the text.
fn value_of(key: &Key, flag: &Flag, text: &str, before: Option<&Value>) -> Option<Value> {
    match key.json_type {
        JsonType::Bool => parse_bool(text).map(Value::Bool),
        JsonType::Int => parse_int(text).map(Value::from),
        JsonType::Text => Some(Value::from(text)),
        JsonType::Texts => Some(with_element(before, Value::from(text))),
        JsonType::TextsByName => {
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            Some(with_member(before, name, Value::from(value)))
        }
        JsonType::BoolsByName => {
            let (name, value) = text.split_once('=').unwrap_or((text, "true"));
            Some(with_member(before, name, Value::Bool(parse_bool(value)?)))
        }
        JsonType::TextsByNameByName => {
            let (driver, option) = text.split_once('=')?;
            let (name, value) = option.split_once('=')?;
            let options = with_member(before.and_then(|all| all.get(driver)), name, Value::from(value));
            Some(with_member(before, driver, options))
        }
        JsonType::Ulimits => {
            let (name, limits) = text.split_once('=')?;
            let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
            let (soft, hard): (i64, i64) = (soft.parse().ok()?, hard.parse().ok()?);
            if hard != -1 && soft > hard {
                return None;
            }
            let limit = Map::from_iter([("Name", Value::from(name)), ("Soft", soft.into()), ("Hard", hard.into())].map(owned));
            Some(with_member(before, name, Value::Object(limit)))
        }
        JsonType::ObjectsByName => {
            let (name, path) = text.split_once('=')?;
            let runtime = Map::from_iter([owned(("path", Value::from(path.trim())))]);
            Some(with_member(before, &name.trim().to_lowercase(), Value::Object(runtime)))
        }
        JsonType::Objects => Some(with_element(before, Value::Object(members_of(&text.to_lowercase())?))),
        JsonType::Object if flag.name == key.name => Some(Value::Object(members_of(text)?)),
        JsonType::Object => Some(with_member(before, flag.name, Value::from(text))),
    }
}

/// `a=b,c=1,d=true` as members: the few flags that take a whole object are written so.
fn members_of(text: &str) -> Option<Map<String, Value>> {
    let member = |field: &str| {
        let (name, value) = field.split_once('=')?;
        let typed = match name {
            "size" => Value::from(value.parse::<i64>().ok()?),
            "enable" => Value::Bool(parse_bool(value)?),
            _ => Value::from(value),
        };
        Some((name.to_owned(), typed))
    };
    text.split(',').map(member).collect()
}

fn owned((name, value): (&str, Value)) -> (String, Value) {
    (name.to_owned(), value)
}

fn with_element(list: Option<&Value>, element: Value) -> Value {
    let mut elements = list.and_then(Value::as_array).cloned().unwrap_or_default();
    elements.push(element);
    Value::Array(elements)
}

fn with_member(object: Option<&Value>, name: &str, value: Value) -> Value {
    let mut members = object.and_then(Value::as_object).cloned().unwrap_or_default();
    members.insert(name.to_owned(), value);
    Value::Object(members)
}

/// A boolean as Go's strconv.ParseBool reads it.
pub(crate) fn parse_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// An integer as Go's strconv.ParseInt reads it with base 0: a prefix tells the base.
fn parse_int(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (&text[..1], digits),
        None => ("", text),
    };
    let lower = digits.to_ascii_lowercase().replace('_', "");
    let (base, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    i64::from_str_radix(&format!("{sign}{digits}"), base).ok()
}

/// A word of the command line, with what it is.
pub(super) struct Piece<'a> {
    /// Its index.
    pub index: usize,
    word: &'a str,
    /// The next word, where it is this one's value.
    pub next: Option<&'a str>,
    /// One, or one for each letter behind a single dash.
    pub whats: Vec<What>,
}

pub(super) enum What {
    Flag {
        key: &'static Key,
        flag: &'static Flag,
        value: Given,
    },
    Unknown,
    Word,
    /// `--`: no flags from here on.
    End,
}

/// How a flag comes by its value.
pub(super) enum Given {
    /// A boolean that is just named.
    Implied,
    /// In the same word.
    Attached(String),
    /// The next word.
    Next(String),
    /// The command line ends where the value should be.
    Missing,
}

impl Given {
    /// The value; none where it is missing.
    pub fn text(&self) -> Option<&str> {
        match self {
            Given::Implied => Some("true"),
            Given::Attached(text) | Given::Next(text) => Some(text),
            Given::Missing => None,
        }
    }

    fn without_value(key: &Key, next: Option<&str>) -> Self {
        match next {
            _ if key.json_type == JsonType::Bool => Given::Implied,
            Some(next) => Given::Next(next.to_owned()),
            None => Given::Missing,
        }
    }
}

/// The flags and other words of a command line, each with the word that is its value.
pub(super) fn pieces(args: &[String]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut index = 0;
    let mut ended = false;
    while let Some(word) = args.get(index) {
        let next = args.get(index + 1).map(String::as_str);
        let whats = match word.strip_prefix("--") {
            _ if ended || word == "-" || !word.starts_with('-') => vec![What::Word],
            Some("") => vec![What::End],
            Some(long) => vec![long_flag(long, next)],
            None => short_flags(&word[1..], next),
        };
        ended |= matches!(whats.as_slice(), [What::End]);
        let takes_next = match whats.last() {
            Some(What::Flag { value: Given::Next(_), .. }) => true,
            // Nothing is known of this flag; what follows its telling name is not shown.
            Some(What::Unknown) => is_secret_name(word) && !word.contains('='),
            _ => false,
        };
        let next = next.filter(|_| takes_next);
        pieces.push(Piece { index, word, next, whats });
        index += if next.is_some() { 2 } else { 1 };
    }
    pieces
}

/// `name=value`, `name value` or, of a boolean, `name`.
fn long_flag(text: &str, next: Option<&str>) -> What {
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (text, None),
    };
    let Some((key, flag)) = find_flag(name).filter(|(_, flag)| flag.name == name) else {
        return What::Unknown;
    };
    let value = value.map_or_else(|| Given::without_value(key, next), |value| Given::Attached(value.to_owned()));
    What::Flag { key, flag, value }
}

/// The letters behind one dash: booleans may be bundled; the first that takes a value takes the rest, or the next word.
fn short_flags(text: &str, next: Option<&str>) -> Vec<What> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        rest = &rest[letter.len_utf8()..];
        let Some((key, flag)) = find_flag(letter.encode_utf8(&mut [0; 4])).filter(|(_, flag)| flag.short == Some(letter))
        else {
            found.push(What::Unknown);
            break;
        };
        let value = match rest.strip_prefix('=') {
            Some(value) => Given::Attached(value.to_owned()),
            None if key.json_type == JsonType::Bool || rest.is_empty() => Given::without_value(key, next),
            None => Given::Attached(rest.to_owned()),
        };
        let done = !matches!(value, Given::Implied);
        found.push(What::Flag { key, flag, value });
        if done {
            break;
        }
    }
    found
}

impl Piece<'_> {
    /// The words of this piece, secrets masked.
    fn masked(&self) -> Vec<String> {
        match (self.whats.last(), self.next) {
            (Some(What::Flag { key, flag, value: Given::Attached(value) }), _) => {
                let name = self.word.strip_suffix(value.as_str()).unwrap_or(self.word);
                vec![format!("{name}{}", mask_flag_value(key, flag, value))]
            }
            (Some(What::Flag { key, flag, value: Given::Next(value) }), _) => {
                vec![self.word.to_owned(), mask_flag_value(key, flag, value)]
            }
            (_, Some(_)) => vec![self.word.to_owned(), MASK.to_owned()],
            (_, None) => vec![mask_text(self.word)],
        }
    }
}

fn mask_flag_value(key: &Key, flag: &Flag, value: &str) -> String {
    match key.name {
        "log-opts" => match value.split_once('=') {
            Some((option, value)) => format!("{option}={}", mask_log_option(option, value)),
            None => value.to_owned(),
        },
        "proxies" | "insecure-registries" => mask_address(value),
        _ if is_secret_name(flag.name) => MASK.to_owned(),
        _ => mask_text(value),
    }
}

/// A word as a POSIX shell needs it; the mask is left bare, since the line is for reading.
fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=/.,:@%+*".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    fn values(line: &str) -> Value {
        let flags = parse(&words(line));
        assert_eq!((flags.invalid, flags.unknown), (vec![], vec![]), "{line}");
        serde_json::to_value(flags.values).unwrap()
    }

    #[test]
    fn flags_become_keys() {
        let table = [
            ("--icc", json!({"icc": true})),
            ("--icc=false", json!({"icc": false})),
            (
                "--icc=0 --ipv6=T --iptables=F --live-restore=TRUE",
                json!({"icc": false, "ipv6": true, "iptables": false, "live-restore": true}),
            ),
            ("--icc=false --icc", json!({"icc": true})),
            ("-D", json!({"debug": true})),
            ("-D=false", json!({"debug": false})),
            ("-DH fd://", json!({"debug": true, "hosts": ["fd://"]})),
            (
                "-H fd:// --host=tcp://:2376 -Hunix:///x -H=npipe://",
                json!({"hosts": ["fd://", "tcp://:2376", "unix:///x", "npipe://"]}),
            ),
            (
                "-ldebug -s overlay2 -G docker -b br0 -p /p -g/var",
                json!({"log-level": "debug", "storage-driver": "overlay2",
                "group": "docker", "bridge": "br0", "pidfile": "/p", "graph": "/var"}),
            ),
            ("--log-opt a=b --log-opt=c=d=e --log-opt f", json!({"log-opts": {"a": "b", "c": "d=e", "f": ""}})),
            ("--label a=b --label c=d,e=f", json!({"labels": ["a=b", "c=d,e=f"]})),
            ("--insecure-registry 10.0.0.0/8", json!({"insecure-registries": ["10.0.0.0/8"]})),
            ("--mtu 1450 --mtu=0x10", json!({"mtu": 16})),
            (
                "--mtu 010 --shutdown-timeout -1 --max-concurrent-downloads 1_0",
                json!({"mtu": 8, "shutdown-timeout": -1, "max-concurrent-downloads": 10}),
            ),
            (
                "--default-ulimit nofile=1:2 --default-ulimit nproc=-1",
                json!({"default-ulimits": {
                "nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}, "nproc": {"Name": "nproc", "Soft": -1, "Hard": -1}}}),
            ),
            ("--add-runtime Kata=/k", json!({"runtimes": {"kata": {"path": "/k"}}})),
            ("--feature cdi=false --feature buildkit", json!({"features": {"cdi": false, "buildkit": true}})),
            (
                "--default-network-opt bridge=a.b=1 --default-network-opt=bridge=c=d",
                json!({"default-network-opts": {"bridge": {"a.b": "1", "c": "d"}}}),
            ),
            (
                "--default-address-pool base=10.0.0.0/8,size=24",
                json!({"default-address-pools": [{"base": "10.0.0.0/8", "size": 24}]}),
            ),
            ("--http-proxy http://p --no-proxy a,b", json!({"proxies": {"http-proxy": "http://p", "no-proxy": "a,b"}})),
            ("--nri-opts enable=true,socket-path=/s", json!({"nri-opts": {"enable": true, "socket-path": "/s"}})),
            ("--containerd=/run/c.sock --tlsverify", json!({"containerd": "/run/c.sock", "tlsverify": true})),
            ("/usr/bin/dockerd --icc", json!({"icc": true})),
        ];
        for (line, expected) in table {
            assert_eq!(values(line), expected, "{line}");
        }
    }

    #[test]
    fn words_that_are_no_flags_are_kept_apart() {
        let flags =
            parse(&words("dockerd --icc false -x --foo=1 --mtu ten --default-ulimit nofile=2:1 -Dy - -- --ipv6 --log-driver"));
        let texts =
            |origins: &[Origin]| origins.iter().map(|origin| format!("{} {}", origin.index, origin.text)).collect::<Vec<_>>();
        assert_eq!(texts(&flags.words), ["2 false", "10 -", "12 --ipv6", "13 --log-driver"]);
        assert_eq!(texts(&flags.unknown), ["3 -x", "4 --foo=1", "9 -Dy"]);
        assert_eq!(texts(&flags.invalid), ["5 --mtu ten", "7 --default-ulimit nofile=2:1"]);
        assert_eq!(flags.get("icc"), Some(&json!(true)), "a boolean does not eat the next word");
        assert_eq!(flags.get("ipv6"), None);
        assert_eq!(texts(&parse(&words("--log-driver")).invalid), ["0 --log-driver"]);
        assert_eq!(texts(&parse(&words("--icc=maybe -D=")).invalid), ["0 --icc=maybe", "1 -D="]);
    }

    #[test]
    fn trap_20_the_file_and_where_it_comes_from() {
        let flags = parse(&words("--config-file /snap/d.json --validate --label a=b -D --label=c=d"));
        assert_eq!(flags.config_file.as_deref(), Some("/snap/d.json"));
        assert!(flags.validate);
        let origin = |text: &str, index| Origin { text: text.into(), index };
        assert_eq!(flags.origin("labels"), [origin("--label a=b", 3), origin("--label=c=d", 6)]);
        assert_eq!(flags.origin("icc"), []);
        assert!(!parse(&words("--validate=false")).validate);
    }

    #[test]
    fn trap_01_plugins_given_by_flag_are_seen() {
        let flags = parse(&words("dockerd --authorization-plugin=opa"));
        assert_eq!(flags.get("authorization-plugins"), Some(&json!(["opa"])));
        assert_eq!(flags.origin("authorization-plugins")[0].text, "--authorization-plugin=opa");
    }

    #[test]
    fn trap_03_keys_that_flags_give_too_conflict() {
        let table: &[(&str, &str, &[&str])] = &[
            ("--label x=y", r#"{"labels": ["a=b"]}"#, &["labels"]),
            ("--label x=y", r#"{"label": 1}"#, &[]),
            ("-H fd:// -D", r#"{"hosts": [], "icc": true, "debug": null}"#, &["hosts", "debug"]),
            ("--log-opt a=b", r#"{"log-opts": {"c": "d"}}"#, &["log-opts"]),
            ("--icc --label a=b", r#"{"x": {"icc": true, "labels": 1, "mtu": 1}}"#, &["x.icc", "x.labels"]),
            ("--http-proxy=p", r#"{"proxies": {"http-proxy": "p"}}"#, &["proxies.http-proxy"]),
            ("--http-proxy=p", r#"{"proxies": {"no-proxy": "p"}}"#, &[]),
            ("--add-runtime a=/a", r#"{"runtimes": {"b": {"path": "/b"}}}"#, &[]),
            ("--config-file /x --restart", r#"{"config-file": 1, "restart": 1}"#, &["config-file", "restart"]),
            ("--host-gateway-ip 1.1.1.1", r#"{"host-gateway-ips": []}"#, &["host-gateway-ips"]),
            ("--data-root /x", r#"{"graph": "/x"}"#, &[]),
            ("--bridge x", r#"{"default-network-opts": {"bridge": {}}}"#, &[]),
        ];
        for (line, file, expected) in table {
            let document = Document::parse(file.as_bytes()).unwrap();
            assert_eq!(conflicts(&parse(&words(line)), &document), *expected, "{line} {file}");
        }
    }

    #[test]
    fn secrets_are_not_shown() {
        let table = [
            ("dockerd -DH fd:// --icc=false -D", "dockerd -DH fd:// --icc=false -D"),
            ("--log-opt splunk-token=hunter2 --log-opt=x=hunter2", "--log-opt splunk-token=*** --log-opt=x=***"),
            ("--log-opt max-size=10m", "--log-opt max-size=10m"),
            ("--http-proxy u:hunter2@p --https-proxy=http://u:hunter2@p", "--http-proxy ***@p --https-proxy=http://***@p"),
            ("-Htcp://u:hunter2@h --label token=hunter2", "-Htcp://***@h --label token=***"),
            ("--auth-token hunter2 --my-secret=hunter2", "--auth-token *** --my-secret=***"),
            ("$DOCKER_OPTS it's", r"'$DOCKER_OPTS' 'it'\''s'"),
        ];
        for (line, expected) in table {
            assert_eq!(display(&words(line)), expected);
            assert!(!format!("{:?}", parse(&words(line)).origins).contains("hunter2"), "{line}");
        }
        assert_eq!(display(&["--label".into(), "a=b c".into(), String::new()]), "--label 'a=b c' ''");
    }

    proptest! {
        #[test]
        fn any_words_are_read(line in prop::collection::vec("-{0,3}[DHlgé=a-c:]{0,6}(icc|label|mtu|log-opt)?(=[0-9x_a-f:,=-]{0,6})?", 0..6)) {
            let flags = parse(&line);
            prop_assert!(flags.origins.values().flatten().all(|origin| origin.index < line.len()));
            display(&line);
        }
    }
}
