//! Properties of images, and of the Dockerfile and build context that an image is made from.

use serde::{Deserialize, Serialize};

use crate::formats::size;

/// Properties of images; one finding an image, or one a line of the Dockerfile that is judged instead.
///
/// The fields besides `rule` hold what a policy gives, by variables; [`ImageRule::takes`] says which rule has which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageWant {
    /// Which rule; what it can be judged from depends on whether an image or a Dockerfile is at hand.
    pub rule: ImageRule,
    /// What the rule lets pass: patterns of image names, registries, users, paths, ports, or names of what is no secret.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// What the rule looks for: packages, names of secrets, lines of .dockerignore, labels, verifiers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub look_for: Vec<String>,
    /// Files with what other programs found.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reports: Vec<String>,
    /// The largest number that complies: days, or how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<Given<u64>>,
    /// The largest size that complies.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size_at_most: Option<Given<Size>>,
    /// The least severity of a scanner's finding that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scan_severity: Option<Given<ScanSeverity>>,
    /// The least level of a mistake in a Dockerfile that counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lint_level: Option<Given<LintLevel>>,
    /// Whether ADD of a URL with a checksum, or of a git repository at a commit, passes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked_add: Option<Given<bool>>,
    /// Whether containers and images in use, too, must be named with a digest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digests_in_use: Option<Given<bool>>,
}

/// A value that a variable gives: the reference `${name}` as the row has it, the value once the baseline is resolved.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Given<T> {
    /// The value.
    Value(T),
    /// The reference to a variable; what is still one in a resolved baseline is not set.
    Reference(Reference),
}

impl<T> Given<T> {
    /// The value, if the variable is set.
    pub fn value(&self) -> Option<&T> {
        match self {
            Given::Value(value) => Some(value),
            Given::Reference(_) => None,
        }
    }

    /// The name of the variable, if it is not set.
    pub fn unset(&self) -> Option<&str> {
        match self {
            Given::Value(_) => None,
            Given::Reference(Reference(text)) => text.strip_prefix("${")?.strip_suffix('}'),
        }
    }
}

/// The text `${name}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct Reference(String);

impl TryFrom<String> for Reference {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.starts_with("${") && text.ends_with('}') {
            true => Ok(Self(text)),
            false => Err(format!("`{text}` is neither a value nor a variable")),
        }
    }
}

/// A number of bytes, written as dockerd writes it: `10m`, `1g`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Size {
    /// As it was written.
    pub text: String,
    /// In bytes.
    pub bytes: u64,
}

impl TryFrom<String> for Size {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match size::parse(&text).and_then(|bytes| u64::try_from(bytes).ok()) {
            Some(bytes) => Ok(Self { text, bytes }),
            None => Err(format!("`{text}` is not a number of bytes like \"10m\"")),
        }
    }
}

impl From<Size> for String {
    fn from(size: Size) -> Self {
        size.text
    }
}

/// How bad a scanner calls what it found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScanSeverity {
    /// Hardly.
    Low,
    /// Somewhat.
    Medium,
    /// Badly.
    High,
    /// As bad as it gets.
    Critical,
}

/// How bad a mistake in a Dockerfile is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LintLevel {
    /// A matter of style, or out of date.
    Info,
    /// It builds, but not what it seems to.
    Warning,
    /// The builder refuses it.
    Error,
}

/// What an image, or the Dockerfile of one, has to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ImageRule {
    /// Image runs as a non-root user.
    UserNonroot,
    /// Unneeded login users removed from images.
    NoExtraUsers,
    /// Images come from allowed registries and repositories.
    TrustedBase,
    /// Base images are mirrored to a registry you own.
    MirroredPrivately,
    /// Minimal base image and no unneeded packages.
    MinimalBase,
    /// Images have a recent clean vulnerability scan.
    VulnScanned,
    /// Images are rebuilt regularly.
    RebuiltRecently,
    /// Images are checked for malware before use.
    MalwareScanned,
    /// Docker Content Trust switched on (historic).
    ContentTrust,
    /// Images are verified by signature at admission.
    SignaturesVerified,
    /// Signing keys are private and backed up offline.
    SigningKeysProtected,
    /// Image defines a health check.
    Healthcheck,
    /// No package-index update or upgrade on its own.
    NoLoneUpdate,
    /// No unexpected setuid/setgid files.
    NoSetuid,
    /// COPY instead of ADD.
    CopyNotAdd,
    /// No secrets in instructions, history or layers.
    NoSecrets,
    /// Build secrets use BuildKit mounts.
    BuildSecretMounts,
    /// .dockerignore excludes sensitive files.
    Dockerignore,
    /// Package signatures are checked.
    VerifiedPackages,
    /// Base images pinned by digest.
    DigestPinned,
    /// No implicit or latest tag.
    SpecificTag,
    /// Build tools stay out of the final stage.
    Multistage,
    /// RUN layers are combined and caches cleaned.
    RunMerged,
    /// Package caches use cache mounts.
    BuildCache,
    /// Image carries provenance labels.
    Labels,
    /// Dockerfile passes static analysis.
    DockerfileLint,
    /// No sudo; step down with gosu/setpriv.
    NoSudo,
    /// No SSH server in images.
    NoSshServer,
    /// EXPOSE lists only needed, unprivileged ports.
    ExposeUnprivileged,
    /// Unused images are cleaned up.
    Sprawl,
}

/// What a rule takes from the policy, beside its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Policy {
    /// [`ImageWant::allow`].
    Allow,
    /// [`ImageWant::look_for`].
    LookFor,
    /// [`ImageWant::reports`].
    Reports,
    /// [`ImageWant::at_most`].
    AtMost,
    /// [`ImageWant::size_at_most`].
    SizeAtMost,
    /// [`ImageWant::scan_severity`].
    ScanSeverity,
    /// [`ImageWant::lint_level`].
    LintLevel,
    /// [`ImageWant::checked_add`].
    CheckedAdd,
    /// [`ImageWant::digests_in_use`].
    DigestsInUse,
}

impl ImageRule {
    /// What the rule takes from the policy.
    pub fn takes(self) -> &'static [Policy] {
        match self {
            ImageRule::UserNonroot
            | ImageRule::NoExtraUsers
            | ImageRule::TrustedBase
            | ImageRule::MirroredPrivately
            | ImageRule::NoSetuid
            | ImageRule::ExposeUnprivileged => &[Policy::Allow],
            ImageRule::NoSecrets => &[Policy::Allow, Policy::LookFor],
            ImageRule::Dockerignore | ImageRule::Labels => &[Policy::LookFor],
            ImageRule::SignaturesVerified => &[Policy::LookFor, Policy::Reports, Policy::AtMost],
            ImageRule::MinimalBase => &[Policy::LookFor, Policy::SizeAtMost],
            ImageRule::VulnScanned => &[Policy::Reports, Policy::AtMost, Policy::ScanSeverity],
            ImageRule::MalwareScanned => &[Policy::Reports, Policy::AtMost],
            ImageRule::RebuiltRecently | ImageRule::Sprawl => &[Policy::AtMost],
            ImageRule::CopyNotAdd => &[Policy::CheckedAdd],
            ImageRule::DigestPinned => &[Policy::DigestsInUse],
            ImageRule::DockerfileLint => &[Policy::LintLevel],
            ImageRule::ContentTrust
            | ImageRule::SigningKeysProtected
            | ImageRule::Healthcheck
            | ImageRule::NoLoneUpdate
            | ImageRule::BuildSecretMounts
            | ImageRule::VerifiedPackages
            | ImageRule::SpecificTag
            | ImageRule::Multistage
            | ImageRule::RunMerged
            | ImageRule::BuildCache
            | ImageRule::NoSudo
            | ImageRule::NoSshServer => &[],
        }
    }
}

impl ImageWant {
    /// What the row gives.
    pub fn given(&self) -> Vec<Policy> {
        let given = [
            (!self.allow.is_empty(), Policy::Allow),
            (!self.look_for.is_empty(), Policy::LookFor),
            (!self.reports.is_empty(), Policy::Reports),
            (self.at_most.is_some(), Policy::AtMost),
            (self.size_at_most.is_some(), Policy::SizeAtMost),
            (self.scan_severity.is_some(), Policy::ScanSeverity),
            (self.lint_level.is_some(), Policy::LintLevel),
            (self.checked_add.is_some(), Policy::CheckedAdd),
            (self.digests_in_use.is_some(), Policy::DigestsInUse),
        ];
        given.into_iter().filter(|(given, _)| *given).map(|(_, policy)| policy).collect()
    }
}
