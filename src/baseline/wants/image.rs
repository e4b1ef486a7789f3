//! Properties of images, and of the Dockerfile and build context that an image is made from.

use serde::{Deserialize, Serialize};

/// Properties of images; one finding an image, or one a line of the Dockerfile that is judged instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageWant {
    /// Which rule; what it can be judged from depends on whether an image or a Dockerfile is at hand.
    pub rule: ImageRule,
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
