//! Images of a real dockerd: bad ones are found, their good twins are not.

mod lab;

use std::process::Command;

use harden::fact::{Fact, ImageFacts, ImageUse};
use harden::host::docker::AskedOfImages;
use lab::{Dockerd, Lab, NO_NETWORK};

/// The image of this name.
fn named<'i>(images: &'i [ImageFacts], name: &str) -> &'i ImageFacts {
    images.iter().find(|image| image.names == [name]).unwrap_or_else(|| panic!("{name} is not among {images:#?}"))
}

fn tar_of_busybox(lab: &Lab) -> String {
    lab.busybox("root/bin/busybox");
    std::os::unix::fs::symlink("busybox", lab.dir().join("root/bin/sh")).expect("a link");
    let archive = lab.dir().join("root.tar").display().to_string();
    let tar = Command::new("tar").args(["-cf", &archive, "-C"]).arg(lab.dir().join("root")).arg(".").status();
    assert!(tar.expect("tar").success(), "tar of the image");
    archive
}

/// Builds with the classic builder, without a network.
fn build(lab: &Lab, daemon: &Dockerd, tag: &str, dockerfile: &str) {
    let context = lab.dir().join(tag.replace(':', "-"));
    std::fs::create_dir_all(&context).expect("a context");
    std::fs::write(context.join("Dockerfile"), dockerfile).expect("a Dockerfile");
    std::fs::write(context.join("file"), "a file\n").expect("a file");
    daemon.docker(&["build", "--quiet", "--network=none", "--tag", tag, &context.display().to_string()]);
}

const GOOD: &str = "FROM base:1\nCOPY file /file\nENV PASSWORD_FILE=/run/secrets/p\nLABEL a=b\nEXPOSE 8080\nHEALTHCHECK CMD [\"/bin/busybox\", \"true\"]\nUSER 10001\n\
    CMD [\"/bin/busybox\", \"sleep\", \"100000\"]\n";
const BAD: &str = "FROM base:1\nADD file /file\nARG NPM_TOKEN=s3cr3t\nRUN echo $NPM_TOKEN > /dev/null\nENV DB_PASSWORD=hunter22\nEXPOSE 22\n\
    ENV CI=ghp_0123456789abcdefghijABCDEFGHIJ012345\nHEALTHCHECK NONE\nCMD [\"/usr/sbin/sshd\", \"-D\"]\n";

#[test]
fn bad_images_and_their_good_twins() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let archive = tar_of_busybox(&lab);
    daemon.docker(&["import", &archive, "base:1"]);
    build(&lab, &daemon, "good:1", GOOD);
    build(&lab, &daemon, "bad:1", BAD);
    daemon.docker(&["run", "--detach", "--network=none", "--name", "one", "good:1"]);

    let asked = AskedOfImages { history: true, ..AskedOfImages::default() };
    let Fact::Known(images) = daemon.engine().images(&asked) else { panic!("no images") };

    let written = serde_json::to_string(&images).unwrap();
    for secret in ["s3cr3t", "hunter22", "ghp_"] {
        assert!(!written.contains(secret), "{secret} is kept");
    }
    let good = named(&images, "good:1");
    assert_eq!(good.used_by, [ImageUse { container: "one".into(), image: "good:1".into() }]);
    assert_eq!((good.user.as_str(), good.healthcheck, good.exposed.as_slice()), ("10001", true, &["8080/tcp".to_owned()][..]));
    let bad = named(&images, "bad:1");
    assert!(bad.user.is_empty() && !bad.healthcheck && bad.used_by.is_empty());
    assert_eq!(bad.tokens, ["ENV CI with a token of GitHub"]);
    assert!(bad.layers.starts_with(&named(&images, "base:1").layers));

    let sets = ["image.required_labels=[\"a\"]"].map(String::from);
    let report = check(&lab, &daemon, &sets);
    let drift = |target: &str| drift(&report, target);
    assert_eq!(drift("image:good:1"), [""; 0]);
    assert_eq!(
        drift("image:bad:1"),
        [
            "image-user-nonroot: no user, so it is root",
            "image-healthcheck: no HEALTHCHECK",
            "image-copy-not-add: ADD of files to /file",
            "image-no-secrets: ARG NPM_TOKEN=***; ENV DB_PASSWORD=***; ENV CI with a token of GitHub",
            "image-labels: without a",
            "image-no-ssh-server: EXPOSE 22; CMD with sshd",
            "image-expose-unprivileged: EXPOSE 22/tcp",
        ]
    );
}

const TOOL: &str = "RUN mkdir -p /opt/tools && cp /bin/busybox /opt/tools/tool && chmod 4755 /opt/tools/tool\n";
const USERS: &str = "RUN mkdir -p /etc && printf 'root:x:0:0::/:/bin/sh\\nann:x:1000:1000::/:/bin/sh\\n' > /etc/passwd\n";

/// Each image on `tool:1` or `users:1`, and what is found in it: as its last layer leaves it, not as those below are.
const IN_LAYERS: [(&str, &str, &[&str]); 9] = [
    ("tool:1", "", &["image-no-setuid: /opt/tools/tool 4755"]),
    ("cleared:1", "FROM tool:1\nRUN chmod a-s /opt/tools/tool\n", &[]),
    ("deleted:1", "FROM tool:1\nRUN rm /opt/tools/tool\n", &[]),
    ("anew:1", "FROM tool:1\nRUN rm -r /opt/tools && mkdir /opt/tools && touch /opt/tools/x\n", &[]),
    ("moved:1", "FROM tool:1\nRUN mv /opt/tools /moved\n", &["image-no-setuid: /moved/tool 4755"]),
    (
        "group:1",
        "FROM tool:1\nRUN chmod 2755 /opt/tools/tool && touch /a && chmod u+s /a\n",
        &["image-no-setuid: /a 4644, /opt/tools/tool 2755"],
    ),
    ("users:1", "", &["image-no-extra-users: ann (1000, /bin/sh)"]),
    ("no-users:1", "FROM users:1\nRUN rm /etc/passwd\n", &[]),
    ("no-shell:1", "FROM users:1\nRUN sed -i 's,1000::/:/bin/sh,1000::/:/bin/false,' /etc/passwd\n", &[]),
];

#[test]
fn files_in_layers() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{}", &NO_NETWORK);
    let archive = tar_of_busybox(&lab);
    daemon.docker(&["import", &archive, "base:1"]);
    // The shell of busybox runs its own applets by name.
    build(&lab, &daemon, "shell:1", "FROM base:1\nRUN [\"/bin/busybox\", \"--install\", \"-s\", \"/bin\"]\n");
    build(&lab, &daemon, "tool:1", &format!("FROM shell:1\n{TOOL}"));
    build(&lab, &daemon, "users:1", &format!("FROM shell:1\n{USERS}"));
    for (name, dockerfile, _) in IN_LAYERS.iter().filter(|(_, dockerfile, _)| !dockerfile.is_empty()) {
        build(&lab, &daemon, name, dockerfile);
    }
    let report = check_only(&lab, &daemon, "image-no-*s*", &[]);
    let of_files = |finding: &String| finding.starts_with("image-no-setuid") || finding.starts_with("image-no-extra-users");
    let found = |name: &str| drift(&report, &format!("image:{name}")).into_iter().filter(of_files).collect::<Vec<_>>();
    for (name, _, expected) in IN_LAYERS {
        assert_eq!(found(name), expected, "{name}");
        // tar shows the same of what a container of it would see.
        let container = daemon.docker(&["create", name, "x"]);
        let at = lab.dir().join("export.tar").display().to_string();
        daemon.docker(&["export", "--output", &at, container.trim()]);
        let listed = Command::new("tar").args(["-tvf", &at]).output().expect("tar").stdout;
        let listed = String::from_utf8_lossy(&listed).lines().filter(|line| line[..10].contains(['s', 'S'])).count();
        let setuid =
            expected.iter().filter(|finding| finding.starts_with("image-no-setuid")).flat_map(|finding| finding.split(", "));
        assert_eq!(listed, setuid.count(), "{name}");
    }
    assert_eq!(found("shell:1"), [""; 0]);
    let allowed = check_only(&lab, &daemon, "image-no-setuid", &["image.setuid_allow=[\"/opt/**\"]".into()]);
    assert_eq!(drift(&allowed, "image:tool:1"), [""; 0]);
    assert_eq!(drift(&allowed, "image:group:1"), ["image-no-setuid: /a 4644"]);
}

/// Not how harden reads layers.
#[test]
fn another_storage_driver() {
    let lab = Lab::new();
    let daemon = Dockerd::start(&lab, "{\"storage-driver\": \"vfs\"}", &NO_NETWORK);
    let archive = tar_of_busybox(&lab);
    daemon.docker(&["import", &archive, "base:1"]);
    let report = check_only(&lab, &daemon, "image-no-setuid", &[]);
    let [finding] = report["findings"].as_array().unwrap().as_slice() else { panic!("{report}") };
    assert_eq!((&finding["status"], &finding["target"]), (&"unknown".into(), &"images".into()));
    let reason = finding["fix"]["reason"].as_str().unwrap();
    let (why, command) = reason.split_once("; without running the image: ").unwrap();
    assert_eq!(why, "harden does not read layers of the storage driver vfs");
    // The command that it gives works as it stands.
    let command = command.replace("IMAGE", "base:1").replace("docker ", &format!("docker --host {} ", daemon.endpoint()));
    let output = Command::new("sh").args(["-c", &command]).output().expect("sh");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(daemon.docker(&["ps", "--all", "--quiet"]), "");
}

/// What is wrong with a target, by a report.
fn drift(report: &serde_json::Value, target: &str) -> Vec<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let of = findings.filter(|finding| finding["target"] == target && finding["status"] == "drift");
    of.map(|finding| format!("{}: {}", finding["control"].as_str().unwrap(), finding["observed"].as_str().unwrap())).collect()
}

/// The report of the real binary, as JSON.
fn check(lab: &Lab, daemon: &Dockerd, sets: &[String]) -> serde_json::Value {
    check_only(lab, daemon, "image-*", sets)
}

fn check_only(lab: &Lab, daemon: &Dockerd, controls: &str, sets: &[String]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harden"));
    command.args(["check", "-b", "guide", "--only", controls, "--format", "json"]);
    command.arg("--docker-host").arg(daemon.endpoint().to_string()).current_dir(lab.dir());
    command.args(sets.iter().flat_map(|set| ["--set", set.as_str()]));
    let output = command.output().expect("harden");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}
