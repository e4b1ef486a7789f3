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

    let asked = AskedOfImages { history: true, secret_names: Vec::new() };
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
    let drift = |target: &str| -> Vec<String> {
        let findings = report["findings"].as_array().unwrap().iter();
        let of = findings.filter(|finding| finding["target"] == target && finding["status"] == "drift");
        of.map(|finding| format!("{}: {}", finding["control"].as_str().unwrap(), finding["observed"].as_str().unwrap()))
            .collect()
    };
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

/// The report of the real binary, as JSON.
fn check(lab: &Lab, daemon: &Dockerd, sets: &[String]) -> serde_json::Value {
    let mut command = Command::new(env!("CARGO_BIN_EXE_harden"));
    command.args(["check", "-b", "guide", "--only", "image-*", "--format", "json"]);
    command.arg("--docker-host").arg(daemon.endpoint().to_string()).current_dir(lab.dir());
    command.args(sets.iter().flat_map(|set| ["--set", set.as_str()]));
    let output = command.output().expect("harden");
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)))
}
