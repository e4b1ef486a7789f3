//! Images that an engine holds, judged from facts.

use std::sync::LazyLock;

use harden::assess::{self, Assessment, Limits};
use harden::baseline::Baseline;
use harden::baseline::control::{Risk, Want};
use harden::fact::{
    Content, Fact, Facts, FileFact, FileKind, ImageFacts, ImageFiles, ImageStep, ImageUse, ImageUser, ScanFacts, ScanOf,
    SetuidFile,
};
use harden::finding::Status;

use crate::live::{api, green};
use crate::table::{Absent, BASELINE, Expected, automatic, check_absent, compare, manual, unknown};

/// One way in which a control does not hold on the host.
pub struct Case {
    pub control: &'static str,
    how: &'static str,
    change: fn(&mut Facts),
    findings: &'static [Expected],
}

/// What only Dockerfiles show.
pub const OF_DOCKERFILES: [&str; 6] = [
    "image-build-secret-mounts",
    "image-dockerignore",
    "image-multistage",
    "image-run-merged",
    "image-build-cache",
    "image-dockerfile-lint",
];

static POLICY: LazyLock<Baseline> = LazyLock::new(|| {
    let sets = [
        "allowed_registries=[\"reg.example\"]",
        "private_registries=[\"reg.example\"]",
        "scan_reports=[\"/var/scans/*.json\"]",
        "signature_policy=[\"cosign\"]",
        "signature_reports=[\"/var/scans/*.json\"]",
        "image.setuid_allow=[\"/usr/bin/passwd\"]",
        "image.allowed_users=[\"app\"]",
        "require_digest=true",
        "max_unused_images=1",
    ];
    harden::baseline::load(BASELINE, &sets.map(String::from)).unwrap_or_else(|error| panic!("{error}"))
});

const WEB: &str = "image:reg.example/web:1.2";
const SCANS: &str = "/var/scans/*.json";
const KEY: &str = "/root/cosign.key";

fn id(digit: &str) -> String {
    format!("sha256:{}", digit.repeat(64))
}

fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

fn step(keyword: &str, rest: &str) -> ImageStep {
    ImageStep { instructions: vec![(keyword.into(), rest.into())], tokens: Vec::new() }
}

/// An image that is as wanted, in use.
fn web() -> ImageFacts {
    let labels = ["source", "revision", "vendor", "licenses"];
    ImageFacts {
        id: id("a"),
        names: vec!["reg.example/web:1.2".into()],
        digests: vec![format!("reg.example/web@{}", id("b"))],
        created: Some(now() - 86_400 * 10),
        size: 50 << 20,
        user: "10001:10001".into(),
        healthcheck: true,
        env: [("PATH".into(), "masked".into()), ("PASSWORD_FILE".into(), "masked".into())].into(),
        labels: labels.map(|name| (format!("org.opencontainers.image.{name}"), "masked".into())).into(),
        exposed: vec!["8080/tcp".into()],
        entrypoint: vec!["/app".into()],
        layers: vec![id("1"), id("2"), id("3")],
        used_by: vec![ImageUse { container: "web-1".into(), image: format!("reg.example/web@{}", id("b")) }],
        history: Fact::Known(vec![
            step("ADD", "file:0d3bc1 in /"),
            step("CMD", "[\"bash\"]"),
            step("RUN", "apt-get update && apt-get install -y --no-install-recommends tini && update-ca-certificates"),
            step("COPY", "/app /app"),
        ]),
        driver: "overlay2".into(),
        files: Fact::Known(ImageFiles {
            setuid: vec![setuid("/usr/bin/passwd", 0o4755)],
            doubt: None,
            users: Fact::Known(vec![
                user("root", 0, "/bin/bash"),
                user("sync", 4, "/bin/sync"),
                user("app", 10_001, "/bin/sh"),
                user("nobody", 65_534, "/usr/sbin/nologin"),
            ]),
        }),
        ..ImageFacts::default()
    }
}

fn setuid(path: &str, mode: u32) -> SetuidFile {
    SetuidFile { path: path.into(), mode }
}

fn user(name: &str, uid: u32, shell: &str) -> ImageUser {
    ImageUser { name: name.into(), uid, shell: shell.into() }
}

fn scan(scanner: &str, of: ScanOf, images: Vec<String>) -> ScanFacts {
    ScanFacts { scanner: scanner.into(), of, images, at: now() - 86_400 * 2, ..ScanFacts::default() }
}

/// A host with one image that is used and one that is not, both as wanted.
fn host() -> Facts {
    let mut facts = green();
    facts.images = Fact::Known(vec![web()]);
    facts.daemon.version = Fact::Known("28.5.2".into());
    let paths = ["/var/scans/clam.json", "/var/scans/trivy.json", "/var/scans/verified.json"].map(String::from);
    facts.globs.insert(SCANS.into(), Fact::Known(paths.to_vec()));
    let trivy = scan("Trivy", ScanOf::Vulnerabilities, vec![id("a"), "reg.example/web:1.2".into()]);
    let trivy = ScanFacts { found: [("medium".into(), vec!["CVE-2026-0001".into()])].into(), ..trivy };
    let clam = scan("ClamAV", ScanOf::Malware, vec!["reg.example/web:1.2".into()]);
    let cosign = scan(
        "cosign",
        ScanOf::Signatures,
        vec![format!("reg.example/other@{}", id("e")), format!("reg.example/web@{}", id("b"))],
    );
    facts.scans = paths.into_iter().zip([clam, trivy, cosign].map(|scan| Fact::Known(vec![scan]))).collect();
    text(&mut facts, "/etc/environment", "DOCKER_CONTENT_TRUST=1\n");
    text(&mut facts, "/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
    facts.globs.insert(KEY.into(), Fact::Known(vec![KEY.into()]));
    facts.files.insert(KEY.into(), Fact::Known(file(KEY, 0o600)));
    facts
}

fn file(path: &str, mode: u32) -> FileFact {
    FileFact {
        real_path: path.into(),
        kind: FileKind::File,
        mode,
        uid: 0,
        gid: 0,
        nlink: 1,
        dev: 1,
        ino: 4242,
        mtime_ns: 0,
        ctime_ns: None,
        sealed: None,
        size: 0,
        acl: Vec::new(),
        content: None,
    }
}

fn text(facts: &mut Facts, path: &str, text: &str) {
    let content = Some(Content(text.as_bytes().to_vec()));
    facts.files.insert(path.into(), Fact::Known(FileFact { content, ..file(path, 0o644) }));
}

fn images(facts: &mut Facts) -> &mut Vec<ImageFacts> {
    match &mut facts.images {
        Fact::Known(images) => images,
        other => panic!("{other:?}"),
    }
}

fn image(facts: &mut Facts) -> &mut ImageFacts {
    &mut images(facts)[0]
}

fn steps(facts: &mut Facts) -> &mut Vec<ImageStep> {
    match &mut image(facts).history {
        Fact::Known(steps) => steps,
        other => panic!("{other:?}"),
    }
}

fn trivy(facts: &mut Facts) -> &mut ScanFacts {
    match facts.scans.get_mut("/var/scans/trivy.json") {
        Some(Fact::Known(scans)) => &mut scans[0],
        other => panic!("{other:?}"),
    }
}

fn verified(facts: &mut Facts) -> &mut ScanFacts {
    match facts.scans.get_mut("/var/scans/verified.json") {
        Some(Fact::Known(scans)) => &mut scans[0],
        other => panic!("{other:?}"),
    }
}

fn files(facts: &mut Facts) -> &mut ImageFiles {
    match &mut image(facts).files {
        Fact::Known(files) => files,
        other => panic!("{other:?}"),
    }
}

fn run(facts: &mut Facts, command: &str) {
    steps(facts).push(step("RUN", command));
}

const NONROOT: &str = "a user other than root, best by number";
const USER: &str = "end its Dockerfile with USER 10001:10001, and build the image anew";
const TAG: &str = "a name with the version as its tag";
const NO_FLAWS: &str = "a scan of the last 30 days without findings from high up";
const SCAN: &str = "scan it, e.g. with trivy image --format json -o REPORT NAME, and name the report in scan_reports";
const SETUID: &str = "no setuid or setgid file but those of image.setuid_allow";
const SETUID_FIX: &str = "RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} + before USER, or list those that it needs in \
                          image.setuid_allow; then build the image anew";
const USERS: &str = "no user from 1000 up with a login shell but those of image.allowed_users";
const USERS_FIX: &str = "RUN userdel NAME, or give the user /sbin/nologin as its shell, or add it to image.allowed_users; then build the image anew";
const VERIFIED: &str = "verified by cosign in the last 30 days";
const VERIFY: &str = "cosign verify --output json reg.example/web@sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb > FILE, \
                      and name FILE in signature_reports";
const SECRET: &str = "no secret in the image";

pub const CASES: &[Case] = &[
    Case {
        control: "image-user-nonroot",
        how: "no user: engines from 29 on leave the field out",
        change: |facts| image(facts).user.clear(),
        findings: &[manual(WEB, "no user, so it is root", NONROOT, USER)],
    },
    Case {
        control: "image-user-nonroot",
        how: "root by number, in a group of its own",
        change: |facts| image(facts).user = "0:1000".into(),
        findings: &[manual(WEB, "user 0:1000", NONROOT, USER)],
    },
    Case {
        control: "image-user-nonroot",
        how: "it vanished while it was looked at",
        change: |facts| image(facts).unread = Some("the engine does not have it any more".into()),
        findings: &[unknown(WEB, "the engine does not have it any more")],
    },
    Case {
        control: "image-no-extra-users",
        how: "users who can log in, one without a shell, which is /bin/sh",
        change: |facts| {
            files(facts).users =
                Fact::Known(vec![user("root", 0, "/bin/sh"), user("node", 1000, "/bin/bash"), user("x", 1001, "")]);
        },
        findings: &[manual(WEB, "node (1000, /bin/bash), x (1001, /bin/sh)", USERS, USERS_FIX)],
    },
    Case {
        control: "image-no-extra-users",
        how: "no users at all",
        change: |facts| files(facts).users = Fact::Absent,
        findings: &[],
    },
    Case {
        control: "image-no-extra-users",
        how: "a passwd that is not where it should be",
        change: |facts| {
            files(facts).users = Fact::Unknown("/etc/passwd is reached by a symbolic link, which harden does not follow".into())
        },
        findings: &[unknown(
            "images",
            "/etc/passwd is reached by a symbolic link, which harden does not follow; without running the image: c=$(docker create IMAGE x) && \
             docker export $c | tar -xO etc/passwd; docker rm $c",
        )],
    },
    Case {
        control: "image-trusted-base",
        how: "another registry",
        change: |facts| image(facts).names.push("docker.io/evil/web:1".into()),
        findings: &[manual(
            WEB,
            "docker.io/evil/web",
            "an image of allowed_registries",
            "take an image of reg.example, or add this one to the variable allowed_registries",
        )],
    },
    // `app:1` is not docker.io/library/app only because it has no registry in its name.
    Case {
        control: "image-trusted-base",
        how: "loaded from a file",
        change: |facts| {
            image(facts).names = vec!["app:1".into()];
            image(facts).digests.clear();
        },
        findings: &[manual(
            "image:app:1",
            "neither a digest nor a registry: it was made or loaded here",
            "an image of allowed_registries",
            "push it to a registry of reg.example, and pull it from there",
        )],
    },
    Case {
        control: "image-mirrored-privately",
        how: "straight from Docker Hub",
        change: |facts| {
            image(facts).names = vec!["nginx:1.29".into()];
            image(facts).digests = vec![format!("nginx@{}", id("b"))];
        },
        findings: &[manual(
            "image:nginx:1.29",
            "docker.io/library/nginx",
            "an image of private_registries",
            "push it to a registry of private_registries, and pull it from there",
        )],
    },
    Case {
        control: "image-minimal-base",
        how: "large, and with a compiler",
        change: |facts| {
            image(facts).size = 3 << 30;
            run(facts, "apk add --no-cache gcc");
        },
        findings: &[manual(
            WEB,
            "3072 MiB; apk add gcc",
            "at most 1g",
            "build on a -slim, -alpine or distroless image, and take only results from a build stage; install gcc in a build stage, or remove \
             it in the same RUN; image.deny_packages lists such packages; then build the image anew",
        )],
    },
    Case {
        control: "image-vuln-scanned",
        how: "serious findings",
        change: |facts| {
            trivy(facts).found.insert("critical".into(), vec!["CVE-2026-7".into()]);
            trivy(facts).found.insert("high".into(), ["CVE-1", "CVE-2", "CVE-3"].map(String::from).into());
        },
        findings: &[manual(
            WEB,
            "Trivy found 1 critical, 3 high: CVE-2026-7, CVE-1, CVE-2 and 1 more",
            NO_FLAWS,
            "build it anew on a newer base with newer packages, and scan it again",
        )],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a run that failed",
        change: |facts| trivy(facts).doubt = Some("the run of Trivy failed, as its report says".into()),
        findings: &[unknown(WEB, "the run of Trivy failed, as its report says")],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a run that failed, after it had found something",
        change: |facts| {
            trivy(facts).doubt = Some("the run of Trivy failed, as its report says".into());
            trivy(facts).found.insert("high".into(), vec!["CVE-1".into()]);
        },
        findings: &[manual(
            WEB,
            "Trivy found 1 high: CVE-1",
            NO_FLAWS,
            "build it anew on a newer base with newer packages, and scan it again",
        )],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a run that failed, long ago",
        change: |facts| {
            trivy(facts).doubt = Some("the run of Trivy failed, as its report says".into());
            trivy(facts).at -= 86_400 * 90;
        },
        findings: &[manual(WEB, "no report of this image", NO_FLAWS, SCAN)],
    },
    Case {
        control: "image-vuln-scanned",
        how: "an old report",
        change: |facts| trivy(facts).at -= 86_400 * 90,
        findings: &[manual(WEB, "scanned by Trivy 92 days ago", NO_FLAWS, SCAN)],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a report of the image that had this tag before",
        change: |facts| trivy(facts).images[0] = id("c"),
        findings: &[manual(WEB, "no report of this image", NO_FLAWS, SCAN)],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a report that is none",
        change: |facts| {
            let why = "/var/scans/trivy.json:2:7: key must be a string";
            facts.scans.insert("/var/scans/trivy.json".into(), Fact::Unknown(why.into()));
        },
        findings: &[unknown(WEB, "/var/scans/trivy.json:2:7: key must be a string")],
    },
    Case {
        control: "image-vuln-scanned",
        how: "a report from the future",
        change: |facts| trivy(facts).at += 86_400 * 9,
        findings: &[unknown(WEB, "the report of Trivy is dated in the future")],
    },
    Case {
        control: "image-malware-scanned",
        how: "a miner",
        change: |facts| match facts.scans.get_mut("/var/scans/clam.json") {
            Some(Fact::Known(scans)) => scans[0].found = [("high".into(), vec!["Unix.Miner".into()])].into(),
            other => panic!("{other:?}"),
        },
        findings: &[manual(
            WEB,
            "ClamAV found Unix.Miner",
            "a scan of the last 30 days that found no malware",
            "stop what runs from it, and delete it; find out who pushed it",
        )],
    },
    // A scan for flaws of packages is none for malware.
    Case {
        control: "image-malware-scanned",
        how: "only scanned for something else",
        change: |facts| drop(facts.scans.insert("/var/scans/clam.json".into(), Fact::Known(Vec::new()))),
        findings: &[manual(
            WEB,
            "no report of this image",
            "a scan of the last 30 days that found no malware",
            "scan its files, e.g. with ClamAV, and name a report in SARIF in scan_reports",
        )],
    },
    Case {
        control: "image-rebuilt-recently",
        how: "old",
        change: |facts| image(facts).created = Some(now() - 86_400 * 200),
        findings: &[manual(
            WEB,
            "200 days old",
            "at most 90 days old",
            "docker build --pull, or docker pull, and make web-1 anew",
        )],
    },
    Case {
        control: "image-rebuilt-recently",
        how: "built reproducibly, as if in 1970",
        change: |facts| image(facts).created = None,
        findings: &[unknown(WEB, "it does not say when it was made, as images that are built reproducibly do not")],
    },
    Case {
        control: "image-content-trust",
        how: "for login shells alone: services and sudo do not read those",
        change: |facts| {
            text(facts, "/etc/environment", "LANG=C\n");
            facts.globs.insert("/etc/profile.d/*.sh".into(), Fact::Known(vec!["/etc/profile.d/dct.sh".into()]));
            text(facts, "/etc/profile.d/dct.sh", "export DOCKER_CONTENT_TRUST=1\n");
        },
        findings: &[manual(
            "images",
            "DOCKER_CONTENT_TRUST=1 in /etc/profile.d/dct.sh",
            "DOCKER_CONTENT_TRUST=1 in /etc/environment",
            "switching it on makes pulls of official images fail today; verify signatures with cosign or notation instead, and waive this",
        )],
    },
    Case {
        control: "image-signatures-verified",
        how: "verified as another image was",
        change: |facts| verified(facts).images.truncate(1),
        findings: &[manual(WEB, "no result of cosign for this image", VERIFIED, VERIFY)],
    },
    Case {
        control: "image-signatures-verified",
        how: "long ago",
        change: |facts| verified(facts).at -= 86_400 * 90,
        findings: &[manual(WEB, "verified by cosign 92 days ago", VERIFIED, VERIFY)],
    },
    Case {
        control: "image-signatures-verified",
        how: "what cosign was to write is empty",
        change: |facts| {
            let why = "/var/scans/verified.json:1:1: it is empty: the program that was to write it has failed";
            facts.scans.insert("/var/scans/verified.json".into(), Fact::Unknown(why.into()));
        },
        findings: &[unknown(WEB, "/var/scans/verified.json:1:1: it is empty: the program that was to write it has failed")],
    },
    Case {
        control: "image-signatures-verified",
        how: "in the future",
        change: |facts| verified(facts).at += 86_400 * 9,
        findings: &[unknown(WEB, "the result of cosign is dated in the future")],
    },
    Case {
        control: "image-signatures-verified",
        how: "made here",
        change: |facts| image(facts).digests.clear(),
        findings: &[manual(
            WEB,
            "no digest of a registry, so no signature can be there",
            VERIFIED,
            "push it to a registry, sign it there, and pull it from there",
        )],
    },
    Case {
        control: "image-signing-keys-protected",
        how: "readable by everybody",
        change: |facts| drop(facts.files.insert(KEY.into(), Fact::Known(file(KEY, 0o644)))),
        findings: &[automatic(KEY, "mode 0644", "mode 0600 or stricter")],
    },
    Case {
        control: "image-signing-keys-protected",
        how: "somebody else's",
        change: |facts| drop(facts.files.insert(KEY.into(), Fact::Known(FileFact { uid: 1000, ..file(KEY, 0o600) }))),
        findings: &[manual(
            KEY,
            "mode 0600, owner 1000",
            "mode 0600 or stricter, owner root",
            "find out whose key it is: it lies in the home of root",
        )],
    },
    Case {
        control: "image-healthcheck",
        how: "none",
        change: |facts| image(facts).healthcheck = false,
        findings: &[manual(
            WEB,
            "no HEALTHCHECK",
            "a HEALTHCHECK other than NONE",
            "add one that asks the service itself, and build the image anew",
        )],
    },
    Case {
        control: "image-no-lone-update",
        how: "an update alone",
        change: |facts| run(facts, "apt-get update"),
        findings: &[manual(
            WEB,
            "apt-get update without an install in the same RUN",
            "in one RUN with the install",
            "write it in one RUN: apt-get update && apt-get install -y --no-install-recommends … PACKAGE; then build the image anew",
        )],
    },
    Case {
        control: "image-no-lone-update",
        how: "no history",
        change: |facts| image(facts).history = Fact::Unknown("/run/docker.sock: GET /images/x/history: 500".into()),
        findings: &[unknown(WEB, "/run/docker.sock: GET /images/x/history: 500")],
    },
    Case {
        control: "image-no-setuid",
        how: "files that nobody chose",
        change: |facts| {
            let names = ["chage", "chfn", "chsh", "gpasswd", "mount", "newgrp", "su"];
            files(facts).setuid.extend(names.map(|name| setuid(&format!("/usr/bin/{name}"), 0o4755)));
            files(facts).setuid.push(setuid("/usr/bin/wall", 0o2755));
        },
        findings: &[manual(
            WEB,
            "/usr/bin/chage 4755, /usr/bin/chfn 4755, /usr/bin/chsh 4755, /usr/bin/gpasswd 4755, /usr/bin/mount 4755 and 3 more",
            SETUID,
            SETUID_FIX,
        )],
    },
    // What the history says is not what came of it.
    Case {
        control: "image-no-setuid",
        how: "a bit that was set, and is not there",
        change: |facts| run(facts, "chmod u+s /usr/bin/tool"),
        findings: &[],
    },
    Case {
        control: "image-no-setuid",
        how: "a name longer than anybody reads",
        change: |facts| files(facts).setuid.push(setuid(&format!("/{}", "é".repeat(4000)), 0o4711)),
        findings: &[manual(
            WEB,
            "/ééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééééé… 4711",
            SETUID,
            SETUID_FIX,
        )],
    },
    Case {
        control: "image-no-setuid",
        how: "only a part of its files was seen, and something in that",
        change: |facts| {
            files(facts).setuid.push(setuid("/su", 0o4711));
            files(facts).doubt = Some("a layer has more than 5000000 files".into());
        },
        findings: &[manual(WEB, "/su 4711", SETUID, SETUID_FIX)],
    },
    Case {
        control: "image-no-setuid",
        how: "only a part of its files was seen",
        change: |facts| {
            let other = ImageFacts { names: vec!["reg.example/other:1".into()], ..web() };
            images(facts).push(other);
            files(facts).doubt = Some("a layer has more than 5000000 files".into());
        },
        findings: &[unknown(
            "images",
            "a layer has more than 5000000 files; without running the image: c=$(docker create IMAGE x) && docker export $c | tar -tv | grep \
             -E '^-(..s|.....s)'; docker rm $c",
        )],
    },
    Case {
        control: "image-no-setuid",
        how: "nobody looked, and a step sets the bit",
        change: |facts| {
            run(facts, "chmod u+s /usr/bin/tool");
            image(facts).files = Fact::Unknown("only root may look into the layers of images; run harden as root".into());
        },
        findings: &[manual(
            WEB,
            "chmod u+s /usr/bin/tool",
            "no setuid bit",
            "leave the bit out; to clear those of the base: RUN find / -xdev -perm /6000 -type f -exec chmod a-s {} + before USER; then build the image anew",
        )],
    },
    Case {
        control: "image-no-setuid",
        how: "nobody looked",
        change: |facts| {
            image(facts).files = Fact::Unknown("only root may look into the layers of images; run harden as root".into());
        },
        findings: &[unknown(
            "images",
            "only root may look into the layers of images; run harden as root; without running the image: c=$(docker create IMAGE x) && docker \
             export $c | tar -tv | grep -E '^-(..s|.....s)'; docker rm $c",
        )],
    },
    Case {
        control: "image-copy-not-add",
        how: "of files, above a base of several layers",
        change: |facts| steps(facts).push(step("ADD", "file:9c1e in /srv/app")),
        findings: &[manual(
            WEB,
            "ADD of files to /srv/app",
            "COPY",
            "write COPY in its Dockerfile; unpack archives in a RUN with a bind mount; then build the image anew",
        )],
    },
    Case {
        control: "image-copy-not-add",
        how: "of an address: the history does not keep the checksum",
        change: |facts| steps(facts).push(step("ADD", "https://host.example/a.tgz /srv/")),
        findings: &[unknown(
            WEB,
            "the history does not say whether ADD https://host.example/a.tgz /srv/ was compared with a checksum",
        )],
    },
    Case {
        control: "image-no-secrets",
        how: "a build argument, an environment variable, a token",
        change: |facts| {
            steps(facts).push(step("ARG", "NPM_TOKEN=masked"));
            image(facts).env.insert("DB_PASSWORD".into(), "masked".into());
            image(facts).tokens.push("LABEL ci with a token of GitHub".into());
        },
        findings: &[manual(
            WEB,
            "ARG NPM_TOKEN=***; ENV DB_PASSWORD=***; LABEL ci with a token of GitHub",
            SECRET,
            "give it to the step that needs it with RUN --mount=type=secret,id=NAME and docker build --secret, or at run time; and change the \
             secret; then build the image anew",
        )],
    },
    Case {
        control: "image-verified-packages",
        how: "signatures switched off",
        change: |facts| run(facts, "apt-get update && apt-get install -y --allow-unauthenticated tini"),
        findings: &[manual(
            WEB,
            "apt-get --allow-unauthenticated",
            "verified",
            "leave --allow-unauthenticated out, and give the image the certificate or key that it lacks; then build the image anew",
        )],
    },
    Case {
        control: "image-digest-pinned",
        how: "a container names a tag",
        change: |facts| {
            image(facts).digests = vec!["reg.example/web@sha256:bb".into()];
            image(facts).used_by[0].image = "reg.example/web:1.2".into();
        },
        findings: &[manual(
            WEB,
            "reg.example/web:1.2 without a digest, by web-1",
            "a name with @sha256: and 64 digits",
            "make these containers anew, and name reg.example/web@sha256:bb",
        )],
    },
    Case {
        control: "image-specific-tag",
        how: "a container names latest, another nothing",
        change: |facts| {
            let used = |container: &str, image: &str| ImageUse { container: container.into(), image: image.into() };
            image(facts).used_by = vec![used("web-1", "reg.example/web:latest"), used("web-2", "reg.example/web")];
        },
        findings: &[manual(
            WEB,
            "reg.example/web, reg.example/web:latest, by web-1, web-2",
            TAG,
            "make these containers anew from the version that was tested: NAME:VERSION",
        )],
    },
    Case {
        control: "image-labels",
        how: "one missing",
        change: |facts| drop(image(facts).labels.remove("org.opencontainers.image.source")),
        findings: &[manual(
            WEB,
            "without org.opencontainers.image.source",
            "labeled with these",
            "write LABEL org.opencontainers.image.source=\"…\", or give it with docker build --label; then build the image anew",
        )],
    },
    Case {
        control: "image-no-ssh-server",
        how: "exposed and started",
        change: |facts| {
            image(facts).exposed = vec!["22/tcp".into()];
            image(facts).cmd = vec!["/usr/sbin/sshd".into(), "-D".into()];
        },
        findings: &[manual(
            WEB,
            "EXPOSE 22; CMD with sshd",
            "no SSH server",
            "leave it out: docker exec -it CONTAINER sh opens a shell; then build the image anew",
        )],
    },
    Case {
        control: "image-no-sudo",
        how: "installed",
        change: |facts| run(facts, "apk add --no-cache sudo"),
        findings: &[manual(
            WEB,
            "apk add sudo",
            "without sudo",
            "USER root before the RUN that needs it, and USER again after; in an entry point exec setpriv or gosu; then build the image anew",
        )],
    },
    Case {
        control: "image-expose-unprivileged",
        how: "a low port",
        change: |facts| image(facts).exposed = vec!["80/tcp".into()],
        findings: &[manual(
            WEB,
            "EXPOSE 80/tcp",
            "a port from 1024 up",
            "let the service listen on a port from 1024 up, like 8080, and publish it with -p 80:8080; or add the port to image.allowed_ports; then build the image anew",
        )],
    },
    Case {
        control: "image-sprawl",
        how: "too many",
        change: |facts| {
            let unused = |digit: &str| ImageFacts { id: id(digit), ..ImageFacts::default() };
            images(facts).extend([unused("c"), ImageFacts { names: vec!["old:1".into()], ..unused("d") }]);
        },
        findings: &[manual(
            "images",
            "2 that no container uses, 1 dangling",
            "at most 1, and none dangling",
            "docker image prune deletes those that are dangling, docker image rm NAME others; the way back to them is gone then",
        )],
    },
    Case {
        control: "image-healthcheck",
        how: "dangling: called by its id",
        change: |facts| {
            image(facts).names.clear();
            image(facts).healthcheck = false;
        },
        findings: &[manual(
            "image:aaaaaaaaaaaa",
            "no HEALTHCHECK",
            "a HEALTHCHECK other than NONE",
            "add one that asks the service itself, and build the image anew",
        )],
    },
    Case {
        control: "image-labels",
        how: "an authorization plugin denies the API",
        change: |facts| facts.images = Fact::Unknown("/run/docker.sock: GET /images/json: 403 Forbidden".into()),
        findings: &[unknown("images", "/run/docker.sock: GET /images/json: 403 Forbidden")],
    },
];

const fn tree(control: &'static str) -> Absent {
    Absent { control, remove: |_| {}, target: "images", reason: "an image tree has no engine that holds images" }
}

pub const ABSENT: &[Absent] = &[
    tree("image-user-nonroot"),
    tree("image-no-extra-users"),
    tree("image-trusted-base"),
    tree("image-mirrored-privately"),
    tree("image-minimal-base"),
    tree("image-vuln-scanned"),
    tree("image-rebuilt-recently"),
    tree("image-malware-scanned"),
    tree("image-content-trust"),
    tree("image-signatures-verified"),
    Absent {
        control: "image-signing-keys-protected",
        remove: |_| {},
        target: "images",
        reason: "no user of this host has keys that sign images",
    },
    tree("image-healthcheck"),
    tree("image-no-lone-update"),
    tree("image-no-setuid"),
    tree("image-copy-not-add"),
    tree("image-no-secrets"),
    tree("image-build-secret-mounts"),
    tree("image-dockerignore"),
    tree("image-verified-packages"),
    tree("image-digest-pinned"),
    tree("image-specific-tag"),
    tree("image-multistage"),
    tree("image-run-merged"),
    tree("image-build-cache"),
    tree("image-labels"),
    tree("image-dockerfile-lint"),
    tree("image-no-sudo"),
    tree("image-no-ssh-server"),
    tree("image-expose-unprivileged"),
    tree("image-sprawl"),
];

fn judge(facts: &Facts, control: &str) -> Assessment {
    let mut baseline = POLICY.clone();
    baseline.controls.retain(|one| one.id == control);
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    assess::assess(&baseline, facts, &limits).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn broken_on_a_host() {
    let mut wrong = Vec::new();
    for case in CASES {
        let mut facts = host();
        if let Some(difference) = compare(case.control, &[], &[], &judge(&facts, case.control)) {
            wrong.push(format!("{} holds\n{difference}", case.control));
        }
        (case.change)(&mut facts);
        if let Some(difference) = compare(case.control, case.findings, &[], &judge(&facts, case.control)) {
            wrong.push(format!("{}: {}\n{difference}", case.control, case.how));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

fn reasons(facts: &Facts, control: &str) -> Vec<(Status, String)> {
    let told = |finding: harden::finding::Finding| (finding.status, finding.fix.reason.unwrap_or_default());
    judge(facts, control).findings.into_iter().map(told).collect()
}

#[test]
fn nothing_to_speak_of() {
    let ids = || POLICY.controls.iter().map(|control| control.id.as_str()).filter(|id| id.starts_with("image-"));
    let beside = ["image-content-trust", "image-signing-keys-protected"];
    let (mut empty, mut stopped) = (host(), host());
    empty.images = Fact::Known(Vec::new());
    stopped.daemon.api = Fact::Absent;
    for id in ids().filter(|id| !beside.contains(id)) {
        let expected = |status, reason: &str| match OF_DOCKERFILES.contains(&id) {
            true => vec![(Status::NotApplicable, "judged on Dockerfiles: harden check --dockerfile PATH".to_owned())],
            false => vec![(status, reason.to_owned())],
        };
        assert_eq!(reasons(&empty, id), expected(Status::NotApplicable, "the engine holds no image"), "{id}");
        // They lie on its disk all the same.
        assert_eq!(reasons(&stopped, id), expected(Status::Unknown, "no dockerd runs that could list its images"), "{id}");
    }
    let mut new = host();
    new.daemon.version = Fact::Known("29.1.0".into());
    let gone = vec![(Status::NotApplicable, "Docker took content trust out of its client in 29.0".to_owned())];
    assert_eq!(reasons(&new, "image-content-trust"), gone);
    new.globs.remove(KEY);
    let none = vec![(Status::NotApplicable, "no user of this host has keys that sign images".to_owned())];
    assert_eq!(reasons(&new, "image-signing-keys-protected"), none);
    image(&mut new).used_by.clear();
    let unused = vec![(Status::NotApplicable, "no container is made from an image".to_owned())];
    for id in ["image-rebuilt-recently", "image-specific-tag", "image-digest-pinned", "image-signatures-verified"] {
        assert_eq!(reasons(&new, id), unused, "{id}");
    }
}

/// What docker-bench-security warns of, or lets pass, wrongly.
#[test]
fn not_as_docker_bench_says() {
    let status = |change: fn(&mut Facts), control: &str| {
        let mut facts = host();
        change(&mut facts);
        judge(&facts, control).findings.remove(0).status
    };
    // Any `update` in the history is a lone one (4.7).
    assert_eq!(status(|facts| run(facts, "update-ca-certificates"), "image-no-lone-update"), Status::Compliant);
    assert_eq!(status(|facts| run(facts, "echo 'apt-get update'"), "image-no-lone-update"), Status::Compliant);
    // The ADD of a base below several layers counts (4.9).
    let labelled = |facts: &mut Facts| steps(facts).insert(0, step("LABEL", "maintainer=masked"));
    assert_eq!(status(labelled, "image-copy-not-add"), Status::Compliant);
    // So does one that another image of this engine brought.
    let on_a_base = |facts: &mut Facts| {
        steps(facts).insert(1, step("ADD", "file:77 in /opt"));
        let history = Fact::Known(steps(facts)[..2].to_vec());
        images(facts).push(ImageFacts { layers: vec![id("1"), id("2")], history, ..ImageFacts::default() });
    };
    assert_eq!(status(on_a_base, "image-copy-not-add"), Status::Compliant);
    // A health check of NONE is one (4.6), `0:0` is another user than root (4.1).
    assert_eq!(status(|facts| image(facts).user = "0:0".into(), "image-user-nonroot"), Status::Drift);
}

#[test]
fn what_the_policy_does_not_say() {
    let facts = host();
    let plain = harden::baseline::load(BASELINE, &[]).unwrap();
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess::assess(&plain, &facts, &limits).unwrap();
    for (control, expected) in [
        (
            "image-trusted-base",
            "no policy says which images are good: set the variable allowed_registries; the engine holds reg.example/web",
        ),
        ("image-vuln-scanned", SCAN),
        (
            "image-signatures-verified",
            "sign in the pipeline, verify at admission, e.g. with cosign or notation, and name that in signature_policy",
        ),
        (
            "image-digest-pinned",
            "judged on Dockerfiles: harden check --dockerfile PATH; require_digest = true asks it of containers, too",
        ),
    ] {
        let findings: Vec<_> = assessment.findings.iter().filter(|finding| finding.control == control).collect();
        let [finding] = findings.as_slice() else { panic!("{findings:?}") };
        assert_eq!((finding.target.as_str(), finding.fix.reason.as_deref()), ("images", Some(expected)), "{control}");
    }
}

/// Without a threshold every finding counts, whatever a scanner calls its severity; a run that failed takes nothing from one that didn't.
#[test]
fn scans_without_a_threshold() {
    for (severity, fails) in [("unknown", true), ("negligible", true), ("low", true), ("none of it", false)] {
        let mut facts = host();
        let mut failed = trivy(&mut facts).clone();
        failed.doubt = Some("the run of Trivy failed, as its report says".into());
        failed.at += 60;
        trivy(&mut facts).found = match fails {
            true => [(severity.to_owned(), vec!["CVE-1".to_owned()])].into(),
            false => [].into(),
        };
        failed.found.clear();
        match facts.scans.get_mut("/var/scans/trivy.json") {
            Some(Fact::Known(scans)) => scans.push(failed),
            other => panic!("{other:?}"),
        }
        let mut baseline = harden::baseline::load(BASELINE, &[r#"scan_reports=["/var/scans/*.json"]"#.into()]).unwrap();
        baseline.controls.retain(|one| one.id == "image-vuln-scanned");
        for control in &mut baseline.controls {
            let Want::Image(want) = &mut control.want else { panic!() };
            want.scan_severity = None;
        }
        let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
        let assessment = assess::assess(&baseline, &facts, &limits).unwrap();
        let [finding] = assessment.findings.as_slice() else { panic!("{:?}", assessment.findings) };
        let observed =
            if fails { format!("Trivy found 1 {severity}: CVE-1") } else { "Trivy found nothing of these 2 days ago".into() };
        assert_eq!(finding.observed, observed, "{finding:?}");
        assert_eq!(finding.status == Status::Compliant, !fails, "{finding:?}");
    }
}

/// What is told of signatures by policies that no result can meet.
#[test]
fn verifiers() {
    for (sets, expected) in [
        (
            vec!["signature_policy=[\"cosign\"]"],
            format!("harden verifies no signatures itself, and sees no result of cosign: {VERIFY}"),
        ),
        (
            vec!["signature_policy=[\"notation\"]", "signature_reports=[\"/var/scans/*.json\"]"],
            format!(
                "harden reads only results of cosign, not of notation: verify reg.example/web@{} with it, and waive this",
                id("b")
            ),
        ),
    ] {
        let sets: Vec<String> = sets.into_iter().map(String::from).collect();
        let mut baseline = harden::baseline::load(BASELINE, &sets).unwrap();
        baseline.controls.retain(|one| one.id == "image-signatures-verified");
        let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
        let assessment = assess::assess(&baseline, &host(), &limits).unwrap();
        let [finding] = assessment.findings.as_slice() else { panic!("{:?}", assessment.findings) };
        assert_eq!((finding.status, finding.fix.reason.as_deref()), (Status::Unknown, Some(expected.as_str())));
    }
}

#[test]
fn a_host_whose_daemon_is_denied() {
    let mut facts = host();
    api(&mut facts).debug = None;
    facts.daemon.api = Fact::Unknown("permission denied".into());
    assert_eq!(reasons(&facts, "image-labels"), [(Status::Unknown, "permission denied".to_owned())]);
}

#[test]
fn not_applicable() {
    check_absent(ABSENT);
}
