//! The command line: clap types, nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::baseline::control::Risk;
use crate::host::HEALTH_TIMEOUT;

/// Where transactions are kept unless told otherwise.
pub const STATE_DIR: &str = "/var/lib/harden";

/// Judges a Docker host by a baseline, shows the difference, and brings the host there.
///
/// Without a command: choose a baseline, look at the findings and diffs, choose what to fix, confirm, apply, verify.
#[derive(Debug, Parser)]
#[command(name = "harden", version, max_term_width = 100)]
#[command(
    after_help = "Exit status: 0 no drift, or all that was planned is in place · 2 drift found · 1 failed, nothing changed or put back \
                        · 3 failed, and putting back failed too · 64 wrong usage"
)]
pub struct Cli {
    /// What to do; interactive without one.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// Show everything that would happen, and change nothing.
    #[arg(long, global = true)]
    pub dry_run: bool,
    /// Options that mean the same everywhere.
    #[command(flatten)]
    pub common: Common,
}

/// Options that mean the same everywhere.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Baseline: a built-in name, or a file.
    #[arg(short, long, global = true, value_name = "NAME|FILE", help_heading = "What to judge by")]
    pub baseline: Option<String>,
    /// Set a variable of the baseline (repeatable).
    #[arg(long, global = true, value_name = "NAME=VALUE", help_heading = "What to judge by")]
    pub set: Vec<String>,
    /// Only controls that match (repeatable).
    #[arg(long, global = true, value_name = "GLOB", help_heading = "What to judge by")]
    pub only: Vec<String>,
    /// Leave out controls that match (repeatable).
    #[arg(long, global = true, value_name = "GLOB", help_heading = "What to judge by")]
    pub skip: Vec<String>,
    /// Plan no change above this risk; what is above is reported.
    #[arg(long, global = true, value_enum, default_value_t = MaxRisk::Restart, value_name = "RISK", help_heading = "What to judge by")]
    pub max_risk: MaxRisk,
    /// An image tree instead of this host: nothing outside it is read or written, no daemon is asked.
    #[arg(long, global = true, value_name = "DIR", help_heading = "Where to look")]
    pub root: Option<PathBuf>,
    /// Where the Engine API listens: unix:///PATH or tcp://HOST:PORT. Of an engine of another machine only containers, images and the
    /// swarm are judged, and nothing is changed there.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DOCKER_HOST",
        hide_env_values = true,
        help_heading = "Where to look"
    )]
    pub docker_host: Option<String>,
    /// Certificates for tcp://: ca.pem, by which the engine is verified, and cert.pem with key.pem where it asks for one. With
    /// DOCKER_TLS_VERIFY set it is ~/.docker. Without TLS only the loopback device is asked.
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "DOCKER_CERT_PATH",
        hide_env_values = true,
        help_heading = "Where to look"
    )]
    pub docker_cert_path: Option<PathBuf>,
    /// The engine's version, where it can't be asked (image trees, `generate`).
    #[arg(long, global = true, value_name = "VERSION", help_heading = "Where to look")]
    pub docker_version: Option<String>,
    /// Where transactions and originals are kept; with --root, within the tree.
    #[arg(long, global = true, value_name = "DIR", default_value = STATE_DIR, help_heading = "Where to look")]
    pub state_dir: PathBuf,
    /// Output format; sarif, junit and html of check, plan, apply and --dry-run.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    pub format: Format,
    /// Write the output to a file, whole or not at all; of `plan` the plan itself.
    #[arg(short, long, global = true, value_name = "FILE", help_heading = "Output")]
    pub output: Option<PathBuf>,
    /// Colour.
    #[arg(long, global = true, value_enum, default_value_t = Color::Auto, value_name = "WHEN", help_heading = "Output")]
    pub color: Color,
    /// Only the summary.
    #[arg(short, long, global = true, conflicts_with = "verbose", help_heading = "Output")]
    pub quiet: bool,
    /// Also what is compliant or not applicable, one by one.
    #[arg(short, long, global = true, help_heading = "Output")]
    pub verbose: bool,
}

/// How what is written is put in force.
#[derive(Debug, Clone, Args)]
pub struct PutInForce {
    /// Only write: no reload, no restart, no audit rule into the kernel. What is left to be done is listed with the commands to type;
    /// a later `apply` does it.
    #[arg(long, help_heading = "Putting it in force")]
    pub no_activate: bool,
    /// How it is waited.
    #[command(flatten)]
    pub patience: Patience,
}

/// How long the daemon is waited for.
#[derive(Debug, Clone, Copy, Args)]
pub struct Patience {
    /// How long dockerd may take to answer after a restart, before everything is put back.
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = HEALTH_TIMEOUT.as_secs(),
        value_parser = clap::value_parser!(u64).range(1..=3600),
        help_heading = "Putting it in force"
    )]
    pub health_timeout: u64,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Assess only.
    Check {
        /// Judge a recorded host instead of this one.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["root", "save_facts"])]
        facts: Option<PathBuf>,
        /// Record what was seen (readable for its owner only: it holds configuration files as they are).
        #[arg(long, value_name = "FILE")]
        save_facts: Option<PathBuf>,
        /// Judge a Dockerfile (or the directory of one, or - for standard input) and its build context instead of this host, by
        /// image-build unless -b says otherwise (repeatable). Needs neither root nor a daemon.
        #[arg(long, value_name = "PATH", conflicts_with_all = ["root", "facts"])]
        dockerfile: Vec<PathBuf>,
        /// The directory that the Dockerfile is built from; without it, the one that it lies in.
        #[arg(long, value_name = "DIR", requires = "dockerfile")]
        context: Option<PathBuf>,
    },
    /// Assess, and print the plan with its diffs; -o saves it.
    Plan,
    /// Bring the host to the baseline, or apply a plan that was saved and reviewed.
    Apply {
        /// A plan saved by `harden plan -o PLAN`: exactly that is applied, or refused where the host has changed since.
        #[arg(value_name = "PLAN", conflicts_with_all = ["baseline", "set", "only", "skip"])]
        plan: Option<PathBuf>,
        /// Ask nothing.
        #[arg(short, long)]
        yes: bool,
        /// Go on with the rest when a change had to be withheld.
        #[arg(long)]
        keep_going: bool,
        /// How it is put in force.
        #[command(flatten)]
        in_force: PutInForce,
    },
    /// Undo a transaction, the newest by default.
    Rollback {
        /// Which one; `harden history` lists them.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Ask nothing.
        #[arg(short, long)]
        yes: bool,
        /// Also put back what someone changed since; what it is now is kept in the new transaction.
        #[arg(long)]
        force: bool,
        /// How it is put in force.
        #[command(flatten)]
        in_force: PutInForce,
    },
    /// What was done here, and how it ended.
    History {
        /// Show this one with its diffs.
        #[arg(value_name = "ID")]
        id: Option<String>,
        /// Take away old ones: all but the newest 20 and those of the last 90 days.
        #[arg(long)]
        prune: bool,
    },
    /// Put back what a run that was cut short had begun (every `apply` does it first).
    Recover {
        /// How it is waited.
        #[command(flatten)]
        patience: Patience,
    },
    /// Write an artifact for an image build.
    Generate {
        /// Which one.
        #[arg(value_enum)]
        artifact: Artifact,
        /// Fold it into this existing file; of docker-service.conf, the docker.service that it corrects.
        #[arg(long, value_name = "FILE")]
        merge: Option<PathBuf>,
    },
    /// The built-in and user baselines.
    Baseline {
        /// What to do with them.
        #[command(subcommand)]
        command: BaselineCommand,
    },
    /// What a control is, why, how it is observed, what its fix does and breaks; or what a variable is for.
    Explain {
        /// A control's id, which `harden baseline show` lists, or a variable's name.
        #[arg(value_name = "CONTROL|VARIABLE")]
        name: String,
    },
    /// Write a completion script for a shell.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Write a man page: `harden man | man -l -`.
    Man {
        /// Of this command instead of all, like `baseline set`.
        #[arg(value_name = "COMMAND")]
        of: Vec<String>,
    },
}

/// What to do with baselines.
#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// The built-in baselines.
    List,
    /// One baseline: its controls, variables and waivers; -v shows each control's parameters, variables and references.
    Show {
        /// Name or file.
        #[arg(value_name = "NAME|FILE")]
        name: String,
    },
    /// Every mistake of a baseline file.
    Validate {
        /// The file.
        #[arg(value_name = "FILE")]
        file: String,
    },
    /// What two baselines ask for differently: controls, parameters, variables, waivers. Exit status: 0 the same, 2 different.
    Diff {
        /// Name or file.
        #[arg(value_name = "A")]
        a: String,
        /// Name or file.
        #[arg(value_name = "B")]
        b: String,
    },
    /// Write a commented file to start one's own baseline from; never over an existing one.
    New {
        /// The file; the baseline is called like it.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The baseline that it extends.
        #[arg(long, value_name = "NAME|FILE", default_value = crate::baseline::DEFAULT)]
        from: String,
    },
    /// Change one thing in a baseline file, keeping its comments, order and formatting; shows what changed.
    Set {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to set.
        #[command(subcommand)]
        setting: Setting,
    },
    /// Take back what a baseline file says about one thing.
    Unset {
        /// The file.
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// What to take back.
        #[command(subcommand)]
        setting: Unsetting,
    },
}

/// What `harden baseline set` sets.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Setting {
    /// Switch a control on or off.
    Control {
        /// Its id.
        #[arg(value_name = "CONTROL")]
        id: String,
        /// On or off.
        #[arg(value_enum)]
        state: Switch,
    },
    /// Choose a parameter of a control.
    Param {
        /// The control's id.
        #[arg(value_name = "CONTROL")]
        control: String,
        /// mode_max, owner, group or perms.
        #[arg(value_name = "PARAM")]
        name: String,
        /// Its value.
        #[arg(value_name = "VALUE")]
        value: String,
    },
    /// Give a variable a value.
    Var {
        /// Its name, like log.max_size.
        #[arg(value_name = "NAME")]
        name: String,
        /// Its value; a text needs no quotes, a list is written like ["one", "two"].
        #[arg(value_name = "VALUE", allow_hyphen_values = true)]
        value: String,
    },
    /// Accept the drift of a control; instead of what an earlier waiver of the same control and target says.
    Waive {
        /// Its id, or a pattern with * and ?.
        #[arg(value_name = "CONTROL")]
        control: String,
        /// Only this target, or a pattern; all without it.
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
        /// Why.
        #[arg(long, value_name = "TEXT")]
        reason: String,
        /// Who decided.
        #[arg(long, value_name = "WHO")]
        by: String,
        /// The last day on which it holds, like 2027-06-30; without end without it.
        #[arg(long, value_name = "DATE")]
        until: Option<String>,
    },
}

/// What `harden baseline unset` takes back.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Unsetting {
    /// A control is in or out as the parent has it.
    Control {
        /// Its id.
        #[arg(value_name = "CONTROL")]
        id: String,
    },
    /// A parameter is as the parent has it; all of the control's without PARAM.
    Param {
        /// The control's id.
        #[arg(value_name = "CONTROL")]
        control: String,
        /// mode_max, owner, group or perms.
        #[arg(value_name = "PARAM")]
        name: Option<String>,
    },
    /// A variable is as the parent has it.
    Var {
        /// Its name.
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// The waivers of a control, as it is written in them.
    Waive {
        /// Its id or pattern.
        #[arg(value_name = "CONTROL")]
        control: String,
        /// Only those with this target.
        #[arg(long, value_name = "TARGET")]
        target: Option<String>,
    },
}

/// On or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    /// In the baseline.
    On,
    /// Not in it.
    Off,
}

/// Artifacts for image builds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Artifact {
    /// dockerd's configuration.
    #[value(name = "daemon.json")]
    DaemonJson,
    /// A file for /etc/audit/rules.d.
    #[value(name = "audit.rules")]
    AuditRules,
    /// A drop-in for docker.socket.
    #[value(name = "docker-socket.conf")]
    DockerSocketConf,
    /// A drop-in for docker.service: its ExecStart= with dockerd's flags corrected.
    #[value(name = "docker-service.conf")]
    DockerServiceConf,
    /// Kernel parameters for /etc/sysctl.d; belongs there as zz-harden.conf.
    #[value(name = "sysctl.conf")]
    SysctlConf,
}

/// Output formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people.
    Text,
    /// One JSON document.
    Json,
    /// SARIF 2.1.0, for code scanning; of what is compliant or not applicable only with -v.
    Sarif,
    /// JUnit XML, for pipelines: a suite an area, a test case a finding.
    Junit,
    /// One HTML file, for browsers and paper.
    Html,
}

/// When to colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The risk limit as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum MaxRisk {
    /// Interrupts nothing.
    Safe,
    /// May restart dockerd.
    Restart,
    /// May take something away from workloads or users.
    Disruptive,
}

impl From<MaxRisk> for Risk {
    fn from(risk: MaxRisk) -> Self {
        match risk {
            MaxRisk::Safe => Risk::Safe,
            MaxRisk::Restart => Risk::Restart,
            MaxRisk::Disruptive => Risk::Disruptive,
        }
    }
}

impl From<Risk> for MaxRisk {
    fn from(risk: Risk) -> Self {
        match risk {
            Risk::Safe => MaxRisk::Safe,
            Risk::Restart => MaxRisk::Restart,
            Risk::Disruptive => MaxRisk::Disruptive,
        }
    }
}
