//! What the commands of RUN do: refresh and upgrade, fetch unverified, set setuid bits, use sudo, install an SSH server.

use glob::Pattern;

use super::packages::{Act, Call, Manager, call};
use super::steps::Run;
use super::{Build, Found};
use crate::baseline::control::ImageWant;
use crate::formats::dockerfile::{Instruction, Keyword};
use crate::formats::shell::{Command, Program, SHELLS};

/// The calls of package managers in a RUN.
pub(super) fn calls(run: &Run) -> impl Iterator<Item = Call<'_>> {
    run.commands().flat_map(Command::programs).filter_map(|program| call(&program))
}

/// What could not be read is not known to hold.
pub(super) fn unread<'b>(found: &mut Found, runs: impl Iterator<Item = &'b Run>) {
    found.unknown.extend(runs.filter_map(|run| run.opaque.clone()));
}

/// What a list of RUNs is called where nothing is wrong with them.
pub(super) fn counted(runs: usize) -> String {
    match runs {
        1 => "1 RUN".into(),
        runs => format!("{runs} RUN"),
    }
}

/// image-no-lone-update.
pub(super) fn lone_update(build: &Build) -> Found {
    if build.runs.is_empty() {
        return Found::nothing("it has no RUN");
    }
    let mut found = Found::holding(counted(build.runs.len()));
    for run in &build.runs {
        let calls: Vec<Call> = calls(run).collect();
        for call in &calls {
            let installs = calls.iter().any(|other| other.manager == call.manager && other.act == Act::Install);
            // In a cache mount the index is in no layer.
            let kept_out = call.manager == Manager::Apt && run.keeps_out("/var/lib/apt");
            match call.act {
                Act::Refresh if !installs && !kept_out => {
                    let fix = format!("write it in one RUN: {} {} && {} … PACKAGE", call.name, call.verb, install(call));
                    let observed = format!("{} {} without an install in the same RUN", call.name, call.verb);
                    found.drift(call.at, observed, "in one RUN with the install", fix);
                }
                Act::Upgrade => found.drift(
                    call.at,
                    format!("{} {}, of everything", call.name, call.verb),
                    "a newer base image",
                    "leave it out, and build on a newer base image; a single package may be installed by name",
                ),
                _ => {}
            }
        }
    }
    unread(&mut found, build.runs.iter());
    found
}

fn install(call: &Call) -> String {
    let verb = match call.manager {
        Manager::Apt => "install -y --no-install-recommends",
        Manager::Apk => "add --no-cache",
        Manager::Pacman => "-S --noconfirm",
        _ => "install -y",
    };
    format!("{} {verb}", call.name)
}

/// image-verified-packages.
pub(super) fn verified(build: &Build) -> Found {
    if build.runs.is_empty() {
        return Found::nothing("it has no RUN");
    }
    let mut found = Found::holding(counted(build.runs.len()));
    for run in &build.runs {
        for command in run.commands() {
            for program in command.programs() {
                if let Some((at, option)) = switched_off(&program) {
                    let fix = format!("leave {option} out, and give the image the certificate or key that it lacks");
                    found.drift(at, format!("{} {option}", program.name), "verified", fix);
                }
            }
            if let Some((at, text)) = unsigned_source(command) {
                let fix = "leave it out, and name the key of the repository: signed-by=, gpgkey=";
                found.drift(at, text, "a signed source of packages", fix);
            }
        }
        piped(run, &mut found);
        unchecked(run, &mut found);
    }
    switched_off_by_variable(build, &mut found);
    unread(&mut found, build.runs.iter());
    found
}

/// The option of a program that switches off its verification, and where it stands.
fn switched_off<'c>(program: &Program<'c>) -> Option<(usize, &'c str)> {
    let is = |names: &'static [&'static str]| move |text: &str| names.contains(&text);
    let insecure_apt = |text: &str| {
        let text = text.to_ascii_lowercase();
        let keys = [
            "allowunauthenticated",
            "allowinsecurerepositories",
            "allowdowngradetoinsecurerepositories",
            "verify-peer",
            "verify-host",
        ];
        let off = |key: &str, value: &str| if key.starts_with("verify") { is_false(value) } else { is_true(value) };
        keys.iter().any(|key| text.split_once('=').is_some_and(|(name, value)| name.ends_with(key) && off(key, value)))
    };
    let find =
        |bad: &dyn Fn(&str) -> bool| program.args.iter().find(|arg| bad(&arg.text)).map(|arg| (arg.at, arg.text.as_str()));
    match program.name {
        "apt-get" | "apt" | "aptitude" => find(&|text| {
            is(&["--allow-unauthenticated", "--force-yes", "--allow-insecure-repositories"])(text)
                || insecure_apt(text.strip_prefix("-o").unwrap_or(text))
        }),
        "yum" | "dnf" | "dnf5" | "microdnf" | "tdnf" => {
            find(&|text| {
                is(&["--nogpgcheck", "--no-gpgchecks"])(text)
                    || text.strip_prefix("--setopt=").unwrap_or(text).split_once('=').is_some_and(|(name, value)| {
                        (name.ends_with("gpgcheck") || name.ends_with("sslverify")) && is_false(value)
                    })
            })
        }
        "zypper" => find(&is(&["--no-gpg-checks", "--no-gpgchecks"])),
        "rpm" => find(&is(&["--nosignature", "--nodigest"])),
        "apk" => find(&is(&["--allow-untrusted"])),
        "curl" => {
            let short = program.args.iter().find(|arg| has_short(&arg.text, 'k', "oHduAeFTXbcmxwKErzyYtPQCDU"));
            // What is joined to it may be a password.
            short.map(|arg| (arg.at, "-k")).or_else(|| find(&is(&["--insecure", "--proxy-insecure"])))
        }
        "wget" => find(&is(&["--no-check-certificate"])),
        "pip" | "pip3" => find(&|text| text == "--trusted-host" || text.starts_with("--trusted-host=")),
        name if name.starts_with("python") && program.has("pip") => find(&|text| text.starts_with("--trusted-host")),
        "npm" | "yarn" | "pnpm" => {
            let index = program.args.iter().position(|arg| ["strict-ssl", "--strict-ssl"].contains(&arg.text.as_str()));
            let off = index.filter(|index| program.args.get(index + 1).is_some_and(|arg| arg.text == "false"));
            off.and_then(|index| program.args.get(index))
                .map(|arg| (arg.at, arg.text.as_str()))
                .or_else(|| find(&is(&["--strict-ssl=false", "strict-ssl=false", "--no-strict-ssl"])))
        }
        "git" => {
            let off = |text: &str| {
                let text = text.to_ascii_lowercase();
                text.split_once('=').is_some_and(|(name, value)| name.ends_with("sslverify") && is_false(value))
            };
            let index = program.args.iter().position(|arg| arg.text.to_ascii_lowercase().ends_with("sslverify"));
            let index = index.filter(|index| program.args.get(index + 1).is_some_and(|arg| is_false(&arg.text)));
            index.and_then(|index| program.args.get(index)).map(|arg| (arg.at, arg.text.as_str())).or_else(|| find(&off))
        }
        _ => None,
    }
}

fn is_true(text: &str) -> bool {
    ["1", "true", "yes", "on"].contains(&text.trim_matches('"').to_ascii_lowercase().as_str())
}

fn is_false(text: &str) -> bool {
    ["0", "false", "no", "off"].contains(&text.trim_matches('"').to_ascii_lowercase().as_str())
}

/// Whether a cluster of short options holds this one: those after one that takes a value are its value.
fn has_short(text: &str, wanted: char, valued: &str) -> bool {
    let Some(letters) = text.strip_prefix('-').filter(|letters| !letters.starts_with('-')) else { return false };
    letters.chars().take_while(|letter| !valued.contains(*letter)).any(|letter| letter == wanted)
}

/// A source of packages that is written down as trusted without a signature.
fn unsigned_source(command: &Command) -> Option<(usize, &'static str)> {
    let program = command.program()?;
    if !["echo", "printf", "sed", "tee", "crudini"].contains(&program.name) {
        return None;
    }
    program.args.iter().find_map(|arg| {
        let text: String = arg.text.to_ascii_lowercase().chars().filter(|letter| *letter != ' ').collect();
        // `sed` names what it replaces before what it puts there.
        let last = if program.name == "sed" { text.rsplit('/').nth(1).unwrap_or(&text).to_owned() } else { text };
        match () {
            // Packages that the build itself made have no other source.
            () if last.contains("trusted=yes") && !last.contains("file:/") => {
                Some((arg.at, "a source of packages with trusted=yes"))
            }
            () if last.contains("gpgcheck=0") => Some((arg.at, "a source of packages with gpgcheck=0")),
            () => None,
        }
    })
}

/// Programs that fetch something.
fn fetches(command: &Command) -> bool {
    command.programs().iter().any(|program| ["curl", "wget"].contains(&program.name))
}

/// Programs that run what they read: a shell, or an interpreter without a file of its own.
fn runs_input(command: &Command) -> bool {
    command.program().is_some_and(|program| {
        let interpreter = SHELLS.contains(&program.name) && program.name != "busybox"
            || ["perl", "ruby", "node", "php"].contains(&program.name)
            || program.name.starts_with("python");
        let script = program.args.iter().any(|arg| arg.text == "-c" || arg.text == "-e" || arg.text == "-m");
        let reads = match SHELLS.contains(&program.name) {
            // `bash -s -- arguments` reads its input, too.
            true => program.args.iter().any(|arg| arg.text == "-s") || program.operands().next().is_none(),
            false => program.operands().next().is_none(),
        };
        interpreter && reads && !script
    })
}

/// What is fetched goes straight into a shell.
fn piped(run: &Run, found: &mut Found) {
    let fix = "write it to a file, compare it with a checksum that is written down here, and run it then";
    for script in &run.scripts {
        for (index, command) in script.commands.iter().enumerate() {
            if !fetches(command) {
                continue;
            }
            let name = if command.programs().iter().any(|program| program.name == "curl") { "curl" } else { "wget" };
            // Pipelines are ordered: what reads comes later.
            let reader = script.commands[index + 1..]
                .iter()
                .take_while(|other| other.pipeline == command.pipeline || other.within.is_some())
                .find(|other| other.pipeline == command.pipeline && other.reads_pipe && runs_input(other));
            let outer = command.within.and_then(|within| script.commands.get(within)).filter(|outer| executes(outer));
            for into in reader.into_iter().chain(outer) {
                let into = into.program().map_or("", |program| program.name);
                found.drift(command.at, format!("{name} straight into {into}"), "compared with a checksum before it runs", fix);
            }
        }
    }
}

/// Whether a command runs what a script within it prints: `sh -c "$(…)"`, `bash <(…)`, `eval "$(…)"`.
fn executes(outer: &Command) -> bool {
    outer.program().is_some_and(|program| {
        let of_shell = SHELLS.contains(&program.name) || ["eval", "source", "."].contains(&program.name);
        let substituted = |text: &str| text.starts_with("$(") || text.starts_with('`') || text.starts_with("<(");
        of_shell && program.args.iter().any(|arg| substituted(&arg.text))
    })
}

/// Programs that compare what was fetched with something.
const CHECKERS: [&str; 13] = [
    "sha256sum",
    "sha512sum",
    "sha384sum",
    "sha1sum",
    "shasum",
    "md5sum",
    "b2sum",
    "gpg",
    "gpgv",
    "cosign",
    "minisign",
    "openssl",
    "rpmkeys",
];

/// What is fetched is unpacked, installed or made executable, and nothing compares it.
fn unchecked(run: &Run, found: &mut Found) {
    let programs: Vec<Program> = run.commands().flat_map(Command::programs).collect();
    if programs.iter().any(|program| CHECKERS.contains(&program.name) || program.has("--checksum")) {
        return;
    }
    let Some(command) = run.commands().find(|command| fetches(command)) else { return };
    let used = programs.iter().find_map(|program| match program.name {
        "tar" | "unzip" | "bsdtar" => Some("unpacked"),
        "dpkg" if program.has("-i") || program.has("--install") => Some("installed"),
        "rpm" if program.args.iter().any(|arg| arg.text.starts_with("-i") || arg.text.starts_with("-U")) => Some("installed"),
        "chmod" if program.args.iter().any(|arg| arg.text.contains("+x") || arg.text.ends_with("755")) => {
            Some("made executable")
        }
        _ => None,
    });
    if let Some(used) = used {
        let fix = "write its checksum down: echo \"SHA256  FILE\" | sha256sum -c - in the same RUN";
        found.drift(
            command.at,
            format!("a download that is {used} and compared with nothing"),
            "compared with a checksum",
            fix,
        );
    }
}

/// Variables that switch off verification for every program that reads them.
fn switched_off_by_variable(build: &Build, found: &mut Found) {
    let bad = |name: &str, value: &str| match name {
        "NODE_TLS_REJECT_UNAUTHORIZED" | "PYTHONHTTPSVERIFY" => value == "0",
        "GIT_SSL_NO_VERIFY" => !is_false(value) && !value.is_empty(),
        "PIP_TRUSTED_HOST" => !value.is_empty(),
        "NPM_CONFIG_STRICT_SSL" | "npm_config_strict_ssl" => is_false(value),
        _ => false,
    };
    for instruction in &build.file.instructions {
        if !matches!(instruction.keyword, Keyword::Env | Keyword::Arg) {
            continue;
        }
        for pair in instruction.pairs(build.file.escape) {
            if pair.value.as_deref().is_some_and(|value| bad(&pair.name, value)) {
                let observed = format!("{} {}={}", instruction.keyword.name(), pair.name, pair.value.unwrap_or_default());
                let fix = "leave it out, and give the image the certificate that it lacks";
                found.drift(instruction.line.origin(pair.at), observed, "verified", fix);
            }
        }
    }
}

/// image-no-setuid.
pub(super) fn setuid(want: &ImageWant, build: &Build) -> Found {
    let mut found = Found::default();
    let mut cleared = None;
    let allowed =
        |path: &str| want.allow.iter().any(|pattern| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches(path)));
    for run in build.runs.iter().filter(|run| run.in_image) {
        for program in run.commands().flat_map(Command::programs) {
            if program.name == "find" && clears_everywhere(&program) {
                cleared = Some(program.at);
                found.drift.clear();
            }
            let (mode, paths) = match program.name {
                "chmod" => match program.operands().next() {
                    Some(mode) => (mode.text.as_str(), program.operands().skip(1).collect::<Vec<_>>()),
                    None => continue,
                },
                "install" => match option_value(&program, "-m", "--mode") {
                    Some(mode) => (mode, program.operands().last().into_iter().collect()),
                    None => continue,
                },
                _ => continue,
            };
            for path in paths.iter().filter(|path| sets_setuid(mode) && !allowed(&path.text)) {
                found.drift(program.at, format!("{} {mode} {}", program.name, path.text), "no setuid bit", SETUID_FIX);
            }
        }
    }
    for instruction in build.of_image().filter(|other| matches!(other.keyword, Keyword::Copy | Keyword::Add)) {
        let mode = instruction.flag("chmod").and_then(|flag| flag.value.as_deref()).unwrap_or_default();
        let words = instruction.words(build.file.escape);
        let to = words.last().map_or("", |word| word.text.as_str());
        if sets_setuid(mode) && !allowed(to) {
            found.drift(
                instruction.at(),
                format!("{} --chmod={mode}", instruction.keyword.name()),
                "no setuid bit",
                SETUID_FIX,
            );
        }
    }
    match cleared {
        _ if !found.drift.is_empty() => {}
        Some(at) => found.holds = format!("the bits are cleared in line {}", build.line(at)),
        None => {
            found.nothing =
                Some("judged on built images: which files of its base have the bit, a Dockerfile does not say".into())
        }
    }
    found
}

const SETUID_FIX: &str =
    "leave the bit out; to clear those of the base: RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} + before USER";

fn option_value<'c>(program: &Program<'c>, short: &str, long: &str) -> Option<&'c str> {
    let index = program.args.iter().position(|arg| arg.text.starts_with(short) || arg.text.starts_with(long))?;
    let arg = program.args.get(index)?.text.as_str();
    let joined = arg.strip_prefix(long).map(|rest| rest.trim_start_matches('=')).or_else(|| arg.strip_prefix(short));
    match joined {
        Some(value) if !value.is_empty() => Some(value),
        _ => program.args.get(index + 1).map(|arg| arg.text.as_str()),
    }
}

/// `find / … -perm /6000 … chmod a-s`, of all of the tree.
fn clears_everywhere(program: &Program) -> bool {
    let perm = program
        .args
        .windows(2)
        .any(|pair| pair[0].text == "-perm" && ["/6000", "/u=s,g=s", "/ug+s", "/ug=s"].contains(&pair[1].text.as_str()));
    let chmod =
        program.has("chmod") && program.args.iter().any(|arg| ["a-s", "ug-s", "u-s,g-s", "-s"].contains(&arg.text.as_str()));
    program.args.first().is_some_and(|arg| arg.text == "/") && perm && chmod
}

/// Whether a mode sets the setuid bit; that of directories, setgid, is none of this.
fn sets_setuid(mode: &str) -> bool {
    if !mode.is_empty() && mode.bytes().all(|byte| byte.is_ascii_digit()) {
        return u32::from_str_radix(mode, 8).is_ok_and(|mode| mode & 0o4000 != 0);
    }
    mode.split(',').any(|clause| {
        let who: String = clause.chars().take_while(|letter| "ugoa".contains(*letter)).collect();
        let rest = &clause[who.len()..];
        (who.is_empty() || who.contains(['u', 'a'])) && rest.starts_with(['+', '=']) && rest.contains('s')
    })
}

/// image-no-sudo.
pub(super) fn sudo(build: &Build) -> Found {
    let mut found = Found::holding("neither sudo nor an ENTRYPOINT in shell form");
    let fix = "USER root before the RUN that needs it, and USER again after; in an entry point exec setpriv or gosu";
    for run in &build.runs {
        for program in run.commands().flat_map(Command::programs) {
            if program.name == "sudo" {
                found.drift(program.at, "RUN with sudo", "without sudo", fix);
            }
        }
        for call in calls(run).filter(|call| call.act == Act::Install && call.manager.of_system() && run.in_image) {
            for (_, at) in call.packages.iter().filter(|(package, _)| *package == "sudo") {
                found.drift(*at, format!("{} {} sudo", call.name, call.verb), "without sudo", fix);
            }
        }
    }
    for instruction in started(build) {
        if words_of(build, instruction).iter().any(|word| word == "sudo" || word.ends_with("/sudo")) {
            found.drift(instruction.at(), format!("{} with sudo", instruction.keyword.name()), "without sudo", fix);
        }
        if instruction.keyword == Keyword::Entrypoint && instruction.json.is_none() {
            let fix = "write it as a list: ENTRYPOINT [\"program\", \"argument\"]; the shell in between keeps signals from the program";
            found.drift(instruction.at(), "ENTRYPOINT in shell form", "a list", fix);
        }
    }
    unread(&mut found, build.runs.iter().filter(|run| run.in_image));
    found
}

/// The ENTRYPOINT and CMD that the image ends up with.
fn started<'b>(build: &'b Build) -> impl Iterator<Item = &'b Instruction> {
    let last = |keyword| build.of_image().filter(move |other| other.keyword == keyword).last();
    last(Keyword::Entrypoint).into_iter().chain(last(Keyword::Cmd))
}

fn words_of(build: &Build, instruction: &Instruction) -> Vec<String> {
    instruction.words(build.file.escape).into_iter().map(|word| word.text).collect()
}

/// image-no-ssh-server.
pub(super) fn ssh(build: &Build) -> Found {
    let mut found = Found::holding("no SSH server");
    let fix = "leave it out: docker exec -it CONTAINER sh opens a shell";
    for run in build.runs.iter().filter(|run| run.in_image) {
        for call in calls(run).filter(|call| call.act == Act::Install && call.manager.of_system()) {
            let server = |package: &str| match package {
                "openssh-server" | "openssh-sftp-server" | "dropbear" | "dropbear-bin" | "tinysshd" | "ssh" => true,
                // These hold client and server in one.
                "openssh" => matches!(call.manager, Manager::Apk | Manager::Pacman | Manager::Zypper),
                _ => false,
            };
            for (package, at) in call.packages.iter().filter(|(package, _)| server(package)) {
                found.drift(*at, format!("{} {} {package}", call.name, call.verb), "no SSH server", fix);
            }
        }
    }
    for instruction in build.of_image().filter(|other| other.keyword == Keyword::Expose) {
        for word in instruction.words(build.file.escape) {
            if ["22", "22/tcp"].contains(&word.text.as_str()) {
                found.drift(instruction.line.origin(word.at), "EXPOSE 22", "no SSH server", fix);
            }
        }
    }
    let starts = |word: &String| {
        word.split(|c: char| c.is_whitespace() || c == ';' || c == '&')
            .any(|part| matches!(part.rsplit('/').next(), Some("sshd" | "dropbear")))
    };
    for instruction in started(build) {
        if words_of(build, instruction).iter().any(starts) {
            found.drift(instruction.at(), format!("{} with sshd", instruction.keyword.name()), "no SSH server", fix);
        }
    }
    unread(&mut found, build.runs.iter().filter(|run| run.in_image));
    found
}
