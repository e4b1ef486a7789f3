//! Properties of the machine; one finding a check, or one a thing that the property lists.

use serde::{Deserialize, Serialize};

use super::Given;
use crate::expect::Expect;
use crate::formats::release::Release;

/// Properties of the machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostWant {
    /// What is looked at, each with what it must be.
    pub check: Vec<HostCheck>,
}

/// One property and what it must be. All that are given must hold.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCheck {
    /// Which property.
    pub property: HostProperty,
    /// Of what; [`HostProperty`] says what that is for each.
    #[serde(default)]
    pub of: Option<String>,
    /// What the value must be.
    #[serde(default)]
    pub expect: Option<Expect>,
    /// Patterns of the elements that a list may have; none else.
    #[serde(default)]
    pub allow: Option<Given<Vec<String>>>,
    /// A number that it must not be below.
    #[serde(default)]
    pub at_least: Option<Given<i64>>,
    /// A number that it must not be above.
    #[serde(default)]
    pub at_most: Option<Given<i64>>,
    /// Names, each of which must have the property.
    #[serde(default)]
    pub each: Option<Given<Vec<String>>>,
    /// Whether a certificate and a key of this host's own must be there, too.
    #[serde(default)]
    pub client_auth: Option<Given<bool>>,
    /// A release that it must not be below, beside what harden's own table says.
    #[serde(default)]
    pub lowest: Option<Given<Lowest>>,
    /// What holds where nothing is set.
    #[serde(default)]
    pub default: Option<String>,
    /// What is wanted, in words, where the above does not say it well.
    #[serde(default)]
    pub desired: Option<String>,
    /// What to do about it by hand.
    #[serde(default)]
    pub manual: Option<String>,
}

/// A property of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostProperty {
    /// Whether `of` (`@data-root` or `@audit-log`) lies on a file system of its own.
    OwnFilesystem,
    /// Whether the release of `of` (`docker`, `containerd` or `runc`) is one that is given fixes.
    Release,
    /// Whether the running kernel is the newest of those installed.
    RunningKernel,
    /// Whether AppArmor or SELinux is on, and dockerd uses it.
    Mac,
    /// What listens on this host, as `22/tcp`: not for itself only, and not in a container.
    Listeners,
    /// How many rules of DOCKER-USER keep packets from going on; `of`: `external` where something else filters.
    DockerUserRules,
    /// Whether the kernel forwards IPv4, which bridges need.
    IpForward,
    /// Whether what no rule decides is dropped where packets are forwarded.
    ForwardPolicy,
    /// After how many idle seconds a shell ends, where no user can change that.
    ShellTimeout,
    /// Every value that sshd's keyword `of` can take; the first that does not hold is shown.
    Sshd,
    /// From where one may log in over SSH; `anywhere` where nothing limits that.
    SshSources,
    /// Who may log in with a password, root aside.
    Logins,
    /// Accounts with the number 0.
    RootAccounts,
    /// The runtime that containers get; `of` is the one that is required.
    DefaultRuntime,
    /// auditd.conf's setting `of`, in lower case.
    Auditd,
    /// Who is in the group that owns the API socket, root aside; `of` is the group where there is no socket.
    ApiGroup,
    /// The addresses beyond this host that the API listens on, as `tcp://10.0.0.1:2376`.
    RemoteListeners,
    /// What protects the way to the endpoint of each docker context of this host's users, in words.
    DockerContexts,
    /// Whether certificates lie where dockerd looks for them, of each registry in `each`.
    RegistryCertificates,
}

/// The lowest release that is good enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Lowest(pub String);

impl TryFrom<String> for Lowest {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match Release::parse(&text) {
            Some(_) => Ok(Self(text)),
            None => Err(format!("`{text}` is no release, like 28.5.2")),
        }
    }
}
