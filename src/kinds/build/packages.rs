//! What package managers are told to do.

use crate::formats::shell::{Program, ShellWord};

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Manager {
    /// apt-get, apt, aptitude.
    Apt,
    /// apk.
    Apk,
    /// yum, dnf, microdnf, tdnf.
    Yum,
    /// zypper.
    Zypper,
    /// pacman.
    Pacman,
    /// pip.
    Pip,
    /// npm.
    Npm,
    /// yarn, pnpm.
    Yarn,
    /// go.
    Go,
    /// cargo.
    Cargo,
    /// mvn.
    Maven,
    /// gradle.
    Gradle,
    /// composer.
    Composer,
    /// bundle, gem.
    Gem,
}

/// What it is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// Install packages, or whatever a project needs.
    Install,
    /// Take packages away.
    Remove,
    /// Fetch the index of packages.
    Refresh,
    /// Bring everything that is installed up to date.
    Upgrade,
    /// Clear caches.
    Clean,
}

/// One call of a package manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call<'c> {
    /// Which.
    pub manager: Manager,
    /// Its program, as in `apt-get`.
    pub name: &'c str,
    /// The word that says what to do, as in `update`.
    pub verb: &'c str,
    /// What it is told to do.
    pub act: Act,
    /// The packages that are named, without versions.
    pub packages: Vec<(&'c str, usize)>,
    /// Where it stands in the file.
    pub at: usize,
    /// All its arguments.
    pub args: &'c [ShellWord],
}

impl Call<'_> {
    /// Whether one of the arguments is this option, with a value or without.
    pub fn option(&self, option: &str) -> bool {
        let valued = |text: &str| text.strip_prefix(option).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
        self.args.iter().any(|arg| valued(&arg.text))
    }
}

impl Manager {
    /// Whether it manages the packages of the system, and not those of one language.
    pub fn of_system(self) -> bool {
        matches!(self, Manager::Apt | Manager::Apk | Manager::Yum | Manager::Zypper | Manager::Pacman)
    }

    fn of(program: &str) -> Option<Manager> {
        Some(match program {
            "apt-get" | "apt" | "aptitude" => Manager::Apt,
            "apk" => Manager::Apk,
            "yum" | "dnf" | "dnf5" | "microdnf" | "tdnf" => Manager::Yum,
            "zypper" => Manager::Zypper,
            "pacman" => Manager::Pacman,
            "pip" | "pip2" | "pip3" => Manager::Pip,
            "npm" => Manager::Npm,
            "yarn" | "pnpm" => Manager::Yarn,
            "go" => Manager::Go,
            "cargo" => Manager::Cargo,
            "mvn" | "mvnw" => Manager::Maven,
            "gradle" | "gradlew" => Manager::Gradle,
            "composer" => Manager::Composer,
            "bundle" | "gem" => Manager::Gem,
            _ => return None,
        })
    }

    /// Options whose value is the next word.
    fn valued(self) -> &'static [&'static str] {
        match self {
            Manager::Apt => &["-o", "--option", "-t", "--target-release", "--default-release", "-c", "--config-file", "-a"],
            Manager::Apk => {
                &["-X", "--repository", "-p", "--root", "-t", "--virtual", "--keys-dir", "--repositories-file", "--arch"]
            }
            Manager::Yum => &[
                "-c",
                "--config",
                "--setopt",
                "--repo",
                "--enablerepo",
                "--disablerepo",
                "--releasever",
                "--installroot",
                "-x",
            ],
            Manager::Zypper => &["-R", "--root", "-r", "--repo", "--from", "-t", "--type"],
            Manager::Pip => &[
                "-r",
                "--requirement",
                "-c",
                "--constraint",
                "-i",
                "--index-url",
                "--extra-index-url",
                "-f",
                "--find-links",
                "-t",
                "--target",
                "--trusted-host",
                "--cache-dir",
                "--prefix",
                "-e",
            ],
            Manager::Npm | Manager::Yarn => &["--prefix", "-C", "--cwd", "--registry", "--cache"],
            _ => &[],
        }
    }
}

/// What a program does, if it is a package manager that is told to do something.
pub fn call<'c>(program: &Program<'c>) -> Option<Call<'c>> {
    let (name, args) = python_pip(program).unwrap_or((program.name, program.args));
    let manager = Manager::of(name)?;
    if manager == Manager::Pacman {
        return pacman(name, args, program.at);
    }
    let mut operands = operands(manager, args);
    if operands.is_empty() && manager == Manager::Yarn && name == "yarn" {
        return Some(Call { manager, name, verb: "install", act: Act::Install, packages: Vec::new(), at: program.at, args });
    }
    let (verb, _) = (!operands.is_empty()).then(|| operands.remove(0))?;
    let act = act(manager, verb, !operands.is_empty())?;
    let packages = operands.into_iter().map(|(package, at)| (bare(manager, package), at)).collect();
    Some(Call { manager, name, verb, act, packages, at: program.at, args })
}

/// `python3 -m pip …`
fn python_pip<'c>(program: &Program<'c>) -> Option<(&'c str, &'c [ShellWord])> {
    let python = program.name.starts_with("python");
    let index = program.args.iter().position(|arg| arg.text == "-m").filter(|_| python)?;
    let module = program.args.get(index + 1).filter(|module| module.text == "pip")?;
    Some((module.text.as_str(), program.args.get(index + 2..)?))
}

fn operands(manager: Manager, args: &[ShellWord]) -> Vec<(&str, usize)> {
    let mut operands = Vec::new();
    let mut skip = false;
    for arg in args {
        match skip {
            true => skip = false,
            false if arg.text.starts_with('-') => skip = manager.valued().contains(&arg.text.as_str()),
            false => operands.push((arg.text.as_str(), arg.at)),
        }
    }
    operands
}

fn act(manager: Manager, verb: &str, named: bool) -> Option<Act> {
    use Act::{Clean, Install, Refresh, Remove, Upgrade};
    use Manager as M;
    Some(match (manager, verb) {
        (M::Apt, "install" | "build-dep" | "satisfy") => Install,
        (M::Apt, "remove" | "purge" | "autoremove" | "autopurge") => Remove,
        (M::Apt, "update") => Refresh,
        (M::Apt, "upgrade" | "dist-upgrade" | "full-upgrade" | "safe-upgrade") => Upgrade,
        (M::Apt, "clean" | "autoclean" | "distclean") => Clean,
        (M::Apk, "add") => Install,
        (M::Apk, "del") => Remove,
        (M::Apk, "update") => Refresh,
        (M::Apk, "upgrade") if !named => Upgrade,
        (M::Apk, "upgrade") => Install,
        (M::Yum, "install" | "localinstall" | "groupinstall" | "reinstall" | "module" | "builddep") => Install,
        (M::Yum, "remove" | "erase" | "autoremove") => Remove,
        (M::Yum, "makecache" | "check-update") => Refresh,
        // With names it is an update of these alone.
        (M::Yum, "update" | "upgrade" | "distro-sync" | "system-upgrade") if !named => Upgrade,
        (M::Yum, "update" | "upgrade") => Install,
        (M::Yum, "clean") => Clean,
        (M::Zypper, "install" | "in") => Install,
        (M::Zypper, "remove" | "rm") => Remove,
        (M::Zypper, "refresh" | "ref") => Refresh,
        (M::Zypper, "update" | "up") if !named => Upgrade,
        (M::Zypper, "dist-upgrade" | "dup" | "patch") => Upgrade,
        (M::Zypper, "update" | "up") => Install,
        (M::Zypper, "clean" | "cc") => Clean,
        (M::Pip, "install" | "download" | "wheel") => Install,
        (M::Pip, "uninstall") => Remove,
        (M::Pip, "cache") => Clean,
        (M::Npm, "install" | "i" | "ci" | "add" | "clean-install") => Install,
        (M::Npm, "uninstall" | "remove" | "rm" | "prune") => Remove,
        (M::Npm, "cache") => Clean,
        (M::Yarn, "install" | "add" | "i") => Install,
        (M::Yarn, "remove") => Remove,
        (M::Yarn, "cache" | "store") => Clean,
        (M::Go, "build" | "install" | "get") => Install,
        (M::Go, "mod") => Install,
        (M::Go, "clean") => Clean,
        (M::Cargo, "build" | "install" | "fetch" | "b") => Install,
        (M::Maven, "package" | "install" | "verify" | "compile" | "deploy") => Install,
        (M::Gradle, "build" | "assemble" | "bootJar" | "shadowJar") => Install,
        (M::Composer, "install" | "require" | "update") => Install,
        (M::Composer, "clear-cache" | "clearcache") => Clean,
        (M::Gem, "install") => Install,
        _ => return None,
    })
}

/// pacman's letters: `-S` installs, `y` fetches the index, `u` upgrades.
fn pacman<'c>(name: &'c str, args: &'c [ShellWord], at: usize) -> Option<Call<'c>> {
    let letters = args.iter().find(|arg| arg.text.starts_with('-') && !arg.text.starts_with("--"))?.text.as_str();
    let packages: Vec<(&str, usize)> =
        args.iter().filter(|arg| !arg.text.starts_with('-')).map(|arg| (bare(Manager::Pacman, &arg.text), arg.at)).collect();
    let act = match letters.get(1..2)? {
        "S" if letters.contains('u') => Act::Upgrade,
        "S" if letters.contains("cc") || letters == "-Sc" => Act::Clean,
        "S" if packages.is_empty() && letters.contains('y') => Act::Refresh,
        "S" | "U" => Act::Install,
        "R" => Act::Remove,
        _ => return None,
    };
    Some(Call { manager: Manager::Pacman, name, verb: letters, act, packages, at, args })
}

/// A package without its version, architecture or release.
fn bare(manager: Manager, package: &str) -> &str {
    match manager {
        Manager::Apt => package.split(['=', ':', '/']).next().unwrap_or(package),
        Manager::Apk => package.split(['=', '<', '>', '~', '@']).next().unwrap_or(package),
        _ => package.split(['=', '<', '>']).next().unwrap_or(package),
    }
}
