//! What each rule wants, in words.

use crate::baseline::control::{ImageRule, ImageWant};
use crate::kinds::describe::Description;

/// The control in words, for `harden explain`.
pub fn describe(want: &ImageWant) -> Description {
    let (wanted, fix) = rule(want.rule);
    let observed = match want.rule {
        ImageRule::BuildSecretMounts
        | ImageRule::Dockerignore
        | ImageRule::Multistage
        | ImageRule::RunMerged
        | ImageRule::BuildCache
        | ImageRule::DockerfileLint => "the Dockerfile and its build context, with --dockerfile",
        ImageRule::CopyNotAdd
        | ImageRule::NoLoneUpdate
        | ImageRule::NoSecrets
        | ImageRule::VerifiedPackages
        | ImageRule::MinimalBase
        | ImageRule::NoSshServer => {
            "an image's configuration and history over the Engine API; the Dockerfile with --dockerfile"
        }
        ImageRule::VulnScanned | ImageRule::MalwareScanned | ImageRule::SignaturesVerified => {
            "what other programs report of the image that was built"
        }
        ImageRule::ContentTrust | ImageRule::SigningKeysProtected => "the client's settings and keys on this host",
        ImageRule::NoSetuid => {
            "the files in the layers of overlay2 on this host, as root; in a Dockerfile, the commands that set the bits"
        }
        ImageRule::NoExtraUsers => "/etc/passwd in the layers of overlay2 on this host, as root",
        ImageRule::Sprawl | ImageRule::RebuiltRecently => "the images and containers that the Engine API lists",
        ImageRule::UserNonroot
        | ImageRule::TrustedBase
        | ImageRule::MirroredPrivately
        | ImageRule::Healthcheck
        | ImageRule::DigestPinned
        | ImageRule::SpecificTag
        | ImageRule::Labels
        | ImageRule::NoSudo
        | ImageRule::ExposeUnprivileged => {
            "an image's names and configuration over the Engine API; the Dockerfile with --dockerfile"
        }
    };
    let fix = match want.rule {
        ImageRule::SigningKeysProtected => fix.to_owned(),
        _ => format!("by hand: {fix}"),
    };
    Description { wanted: wanted.into(), observed: observed.into(), fix }
}

/// What is wanted, and what to do where it is not so.
fn rule(rule: ImageRule) -> (&'static str, &'static str) {
    match rule {
        ImageRule::UserNonroot => (
            "the last USER of the final stage is there and is not root or 0",
            "add a user and USER 10001, and build the image anew",
        ),
        ImageRule::NoExtraUsers => (
            "no user with a number from 1000 up and a login shell, but those of image.allowed_users",
            "remove them where the image is built",
        ),
        ImageRule::TrustedBase => (
            "every image and every FROM matches a pattern of allowed_registries",
            "build on an image of these, or add the registry to the variable",
        ),
        ImageRule::MirroredPrivately => (
            "every image and every FROM names a registry of private_registries",
            "mirror the image and name the mirror in FROM",
        ),
        ImageRule::MinimalBase => (
            "a slim base in the final stage, no package of image.deny_packages, no recommended packages, no more than image.max_size",
            "choose a -slim, -alpine or distroless tag, and install in a build stage what only the build needs",
        ),
        ImageRule::VulnScanned => (
            "a report of scan_reports no older than scan_max_age days has no finding from scan_fail_severity up",
            "scan the image, e.g. with trivy image --format json, and name the report in scan_reports",
        ),
        ImageRule::RebuiltRecently => {
            ("no image in use is older than image.max_age_days", "docker build --pull, and start the containers anew")
        }
        ImageRule::MalwareScanned => (
            "a report of scan_reports no older than scan_max_age days names no malware",
            "scan the image and name the report in scan_reports",
        ),
        ImageRule::ContentTrust => (
            "DOCKER_CONTENT_TRUST=1 for every user, where the client is older than 29.0",
            "switching it on makes pulls fail today; verify signatures with cosign or notation instead",
        ),
        ImageRule::SignaturesVerified => (
            "signature_policy names what verifies signatures, and signature_reports its result for each image in use, no older than \
             signature_max_age days; harden reads those of cosign",
            "sign in the pipeline and verify at admission, e.g. cosign verify --output json IMAGE@DIGEST > FILE; notation writes no result \
             that could be read",
        ),
        ImageRule::SigningKeysProtected => (
            "private signing keys are readable by their owner alone",
            "clear the bits of group and others; keeping a copy offline is yours",
        ),
        ImageRule::Healthcheck => ("a HEALTHCHECK other than NONE", "add a HEALTHCHECK that asks the service itself"),
        ImageRule::NoLoneUpdate => (
            "no RUN refreshes a package index without installing, and none upgrades everything",
            "write update and install in one RUN, and take a newer base image instead of upgrading",
        ),
        ImageRule::NoSetuid => (
            "no file with the setuid or setgid bit but those of image.setuid_allow",
            "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +",
        ),
        ImageRule::CopyNotAdd => (
            "no ADD, but of a URL with --checksum or a git repository at a commit where image.allow_checked_add is true",
            "write COPY; unpack archives in a RUN with a bind mount",
        ),
        ImageRule::NoSecrets => (
            "no literal value under a name of image.secret_patterns, no token or private key, no file of credentials",
            "pass it to the one step that needs it with RUN --mount=type=secret, and change the secret that was shown",
        ),
        ImageRule::BuildSecretMounts => (
            "steps that use credentials have RUN --mount=type=secret or ssh",
            "give the step a mount, and docker build --secret or --ssh",
        ),
        ImageRule::Dockerignore => (
            ".dockerignore excludes what image.dockerignore_required lists where a whole directory is copied",
            "add the lines that the finding names",
        ),
        ImageRule::VerifiedPackages => (
            "no option that switches off verification, nothing piped into a shell, downloads followed by a check of their sum",
            "leave the option out, or compare with a checksum that is written down",
        ),
        ImageRule::DigestPinned => (
            "every FROM of an image has @sha256:…",
            "docker buildx imagetools inspect IMAGE shows the digest; let Renovate or Dependabot keep it up to date",
        ),
        ImageRule::SpecificTag => ("every FROM of an image has a tag other than latest, or a digest", "name the version"),
        ImageRule::Multistage => {
            ("no compiler or SDK in the final stage", "build in a stage of its own, and take the result with COPY --from")
        }
        ImageRule::RunMerged => (
            "no three package RUNs in a row, and each clears what its package manager keeps",
            "join them with && and end with rm -rf /var/lib/apt/lists/*, or use a cache mount",
        ),
        ImageRule::BuildCache => ("package managers run with --mount=type=cache", "mount their cache directories"),
        ImageRule::Labels => ("every label of image.required_labels", "add LABEL, or give them with docker build --label"),
        ImageRule::DockerfileLint => ("no mistake from lint_fail_level up", "correct the line"),
        ImageRule::NoSudo => {
            ("sudo is neither installed nor used; ENTRYPOINT is a list", "USER, or setpriv or gosu in the entry point")
        }
        ImageRule::NoSshServer => ("no SSH server is installed, started or exposed", "leave it out; docker exec opens a shell"),
        ImageRule::ExposeUnprivileged => (
            "every port of EXPOSE is 1024 or more, and of image.allowed_ports where that is set",
            "listen on a port from 1024 up, and publish it with -p 80:8080",
        ),
        ImageRule::Sprawl => {
            ("no dangling image, and no more than max_unused_images that no container uses", "docker image prune")
        }
    }
}
