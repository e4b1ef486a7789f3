//! The command line: clap types, nothing else.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::baseline::control::Risk;

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
    /// The Engine API's socket, unix:///PATH.
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DOCKER_HOST",
        hide_env_values = true,
        help_heading = "Where to look"
    )]
    pub docker_host: Option<String>,
    /// The engine's version, where it can't be asked (image trees, `generate`).
    #[arg(long, global = true, value_name = "VERSION", help_heading = "Where to look")]
    pub docker_version: Option<String>,
    /// Where transactions and originals are kept; with --root, within the tree.
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/harden", help_heading = "Where to look")]
    pub state_dir: PathBuf,
    /// Output format.
    #[arg(long, global = true, value_enum, default_value_t = Format::Text, help_heading = "Output")]
    pub format: Format,
    /// Write the output to a file.
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
    Recover,
    /// Write an artifact for an image build.
    Generate {
        /// Which one.
        #[arg(value_enum)]
        artifact: Artifact,
        /// Fold it into this existing file.
        #[arg(long, value_name = "FILE")]
        merge: Option<PathBuf>,
    },
    /// The built-in and user baselines.
    Baseline {
        /// What to do with them.
        #[command(subcommand)]
        command: BaselineCommand,
    },
    /// What a control is, why, how it is observed, what its fix does and breaks.
    Explain {
        /// Its id; `harden baseline show` lists them.
        #[arg(value_name = "CONTROL")]
        control: String,
    },
    /// Write a completion script for a shell.
    Completions {
        /// Which shell.
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// What to do with baselines.
#[derive(Debug, Subcommand)]
pub enum BaselineCommand {
    /// The built-in baselines.
    List,
    /// One baseline and its controls.
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
