//! Every rule on Dockerfiles: compliant, broken with exactly what is said, not applicable; and the traps of other linters.

use super::*;
use crate::baseline::{Baseline, load};
use crate::fact::{BuildFacts, ContextFact, DockerfileFact, Fact, Facts, IgnoreFact};

fn baseline(sets: &[&str]) -> Baseline {
    let sets: Vec<String> = sets.iter().map(|set| set.to_string()).collect();
    let mut baseline = load("guide", &sets).unwrap();
    baseline.controls.retain(|control| control.id.starts_with("image-"));
    baseline
}

fn facts(text: &str, context: Fact<ContextFact>) -> Facts {
    let file = DockerfileFact { path: "Dockerfile".into(), text: text.into(), context };
    Facts { build: Some(BuildFacts { files: vec![file] }), ..Facts::default() }
}

/// What one control says of a file, one finding a line.
fn says_with(control: &str, sets: &[&str], text: &str, context: Fact<ContextFact>) -> String {
    let baseline = baseline(sets);
    let facts = facts(text, context);
    let context = Context::new(&facts, "docker");
    let control = baseline.controls.iter().find(|other| other.id == format!("image-{control}")).unwrap();
    let verdicts = crate::kinds::judge(control, &context);
    let line = |verdict: &Verdict| {
        let place = verdict.target.strip_prefix("Dockerfile").unwrap_or(&verdict.target).trim_start_matches(':');
        match &verdict.outcome {
            Outcome::Compliant { note } => {
                format!("ok {}{}", verdict.observed, note.as_ref().map(|note| format!(" [{note}]")).unwrap_or_default())
            }
            Outcome::Manual(_) => format!("{place} {} -> {}", verdict.observed, verdict.desired),
            Outcome::NotApplicable(reason) => format!("n/a {reason}"),
            Outcome::Unknown(reason) => format!("{place} unknown: {reason}"),
            Outcome::Fixable(_) => "fixable".into(),
        }
    };
    verdicts.iter().map(line).collect::<Vec<_>>().join("\n")
}

fn says(control: &str, text: &str) -> String {
    says_with(control, &[], text, Fact::Absent)
}

fn fix(control: &str, text: &str) -> String {
    let baseline = baseline(&[]);
    let facts = facts(text, Fact::Absent);
    let context = Context::new(&facts, "docker");
    let control = baseline.controls.iter().find(|other| other.id == format!("image-{control}")).unwrap();
    match &crate::kinds::judge(control, &context)[0].outcome {
        Outcome::Manual(fix) => fix.clone(),
        other => format!("{other:?}"),
    }
}

fn table(control: &str, cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(says(control, text), *expected, "{control}: {text:?}");
    }
}

#[test]
fn user() {
    table(
        "user-nonroot",
        &[
            ("FROM a:1\nUSER 10001:10001", "ok USER 10001:10001 in line 2"),
            ("FROM a:1\nUSER root\nUSER app", "ok USER app in line 3"),
            ("FROM a:1\nUSER app\nUSER root", "3:1 USER root -> a user other than root, best by number"),
            ("FROM a:1\nUSER 0:10001", "2:1 USER 0:10001 -> a user other than root, best by number"),
            ("FROM a:1\nUSER 000", "2:1 USER 000 -> a user other than root, best by number"),
            (
                "FROM a:1",
                "1:1 without a USER: it is that of a:1, which is root unless it says otherwise -> a user other than root, best by number",
            ),
            ("FROM scratch", "1:1 without a USER, so it is root -> a user other than root, best by number"),
            // Another stage's user is not that of the image; the one of the stage it is built on is.
            (
                "FROM a:1 AS x\nUSER app\nFROM b:1",
                "3:1 without a USER: it is that of b:1, which is root unless it says otherwise -> a user other than root, best by number",
            ),
            ("FROM a:1 AS x\nUSER app\nFROM b:1\nFROM x", "ok USER app in line 2"),
            ("FROM a:1 AS x\nUSER root\nFROM b:1\nUSER app", "ok USER app in line 4"),
            ("FROM a:1\nARG U=app\nENV V=${U}\nUSER $V", "ok USER $V in line 4"),
            ("ARG U=root\nFROM a:1\nARG U\nUSER $U", "4:1 USER root -> a user other than root, best by number"),
            ("FROM a:1\nARG U\nUSER $U", "3:1 unknown: it depends on the build argument U, which has no default"),
            ("FROM a:1\nONBUILD USER root\nUSER app", "ok USER app in line 3"),
            (
                "FROM gcr.io/distroless/static:nonroot",
                "ok FROM gcr.io/distroless/static:nonroot [the user is that of the base image, whose tag says nonroot]",
            ),
            ("ARG B\nFROM $B", "2:1 unknown: it depends on the build argument B, which has no default"),
            ("# nothing", "n/a it has no FROM, so no image comes of it"),
        ],
    );
    assert_eq!(
        says_with("user-nonroot", &["image.user_exceptions=[\"docker.io/library/redis\"]"], "FROM redis:7", Fact::Absent),
        "ok FROM redis:7 [its entry point gives up root itself, as image.user_exceptions says of docker.io/library/redis]"
    );
    assert_eq!(
        fix("user-nonroot", "FROM a"),
        "end with USER 10001:10001; if it needs a name, RUN useradd --uid 10001 app before"
    );
}

#[test]
fn bases() {
    let digest = format!("sha256:{}", "0a".repeat(32));
    table(
        "specific-tag",
        &[
            ("FROM debian:12", "ok debian:12"),
            ("FROM debian", "1:6 FROM debian, without a tag: that is latest -> a name with the version as its tag"),
            ("FROM debian:latest", "1:6 FROM debian:latest -> a name with the version as its tag"),
            // The port of a registry is no tag.
            (
                "FROM localhost:5000/app",
                "1:6 FROM localhost:5000/app, without a tag: that is latest -> a name with the version as its tag",
            ),
            // Stages and scratch have none; --platform is no name.
            ("FROM --platform=$BUILDPLATFORM a:1 AS Build\nFROM build\nFROM scratch", "ok a:1"),
            ("FROM scratch", "n/a it takes nothing from another image"),
            ("ARG V\nFROM a:$V", "2:6 unknown: it depends on the build argument V, which has no default"),
            (
                "FROM scratch\nCOPY --from=busybox /bin/sh /",
                "2:6 COPY --from busybox, without a tag: that is latest -> a name with the version as its tag",
            ),
            ("FROM scratch\nCOPY --from=0 / /", "n/a it takes nothing from another image"),
            (
                "FROM a:1\nRUN --mount=type=bind,from=b,target=/b x",
                "2:5 RUN --mount=from b, without a tag: that is latest -> a name with the version as its tag",
            ),
        ],
    );
    assert_eq!(says("specific-tag", &format!("FROM debian@{digest}")), format!("ok debian@{digest}"));
    assert_eq!(says("digest-pinned", &format!("FROM debian:12@{digest}")), format!("ok debian:12@{digest}"));
    table(
        "digest-pinned",
        &[
            ("FROM debian:12", "1:6 FROM debian:12, without a digest -> a name with @sha256: and 64 digits"),
            // As in the guide's example, which is cut short.
            (
                "FROM debian@sha256:a25306f38",
                "1:6 FROM debian@sha256:a25306f38, whose digest is none -> a name with @sha256: and 64 digits",
            ),
            ("FROM scratch", "n/a it takes nothing from another image"),
        ],
    );
    assert_eq!(
        fix("digest-pinned", "FROM debian:12"),
        "docker buildx imagetools inspect debian:12 shows the digest; write debian:12@sha256:…"
    );
    let policy = [
        "allowed_registries=[\"docker.io/library/*\", \"registry.example:5000\"]",
        "private_registries=[\"registry.example:5000\"]",
    ];
    for (control, text, expected) in [
        ("trusted-base", "FROM debian:12\nFROM registry.example:5000/a/b", "ok debian:12, registry.example:5000/a/b"),
        ("trusted-base", "FROM bitnami/redis:7", "1:6 FROM docker.io/bitnami/redis -> an image of allowed_registries"),
        ("trusted-base", "FROM scratch", "n/a it takes nothing from another image"),
        ("mirrored-privately", "FROM registry.example:5000/debian:12", "ok registry.example:5000/debian:12"),
        ("mirrored-privately", "FROM debian:12", "1:6 FROM docker.io/library/debian -> an image of private_registries"),
        ("mirrored-privately", "FROM scratch", "n/a it takes nothing from another image"),
    ] {
        assert_eq!(says_with(control, &policy, text, Fact::Absent), expected, "{control} {text}");
    }
    assert_eq!(
        says("trusted-base", "FROM debian:12"),
        "1:6 unknown: it is built on debian:12, and no policy says which images are good: set the variable allowed_registries"
    );
}

#[test]
fn packages() {
    table(
        "minimal-base",
        &[
            ("FROM debian:12-slim\nRUN apt-get install -y --no-install-recommends nginx", "ok FROM debian:12-slim"),
            ("FROM debian:12", "1:1 FROM debian:12, a whole distribution -> a slim base"),
            ("FROM node:20", "1:1 FROM node:20, a whole distribution -> a slim base"),
            ("FROM node:20-alpine", "ok FROM node:20-alpine"),
            ("FROM debian:12 AS build\nRUN apt-get install gcc\nFROM scratch", "ok FROM scratch"),
            ("FROM a:1\nRUN apt-get install nginx", "2:5 apt-get install with recommended packages -> without them"),
            ("FROM a:1\nRUN apt-get -o APT::Install-Recommends=false install nginx", "ok FROM a:1"),
            ("FROM a:1\nRUN apk add curl=8.1-r0", "2:13 apk add curl -> no such package"),
            // What is taken away in the same RUN is in no layer.
            ("FROM a:1\nRUN apk add curl && x && apk del curl", "ok FROM a:1"),
            ("FROM a:1\nRUN apk add --virtual .build gcc make && x && apk del .build", "ok FROM a:1"),
            ("FROM a:1\nRUN apk add curl\nRUN apk del curl", "2:13 apk add curl -> no such package"),
            (
                "FROM a:1\nRUN saved=$(apt-mark showmanual) && apt-get install -y --no-install-recommends wget && apt-mark auto '.*' && apt-get purge -y --auto-remove",
                "ok FROM a:1",
            ),
            // A name in a text is no package.
            ("FROM a:1\nRUN echo apk add curl # apk add wget", "ok FROM a:1"),
        ],
    );
    table(
        "multistage",
        &[
            ("FROM golang:1.22 AS b\nRUN go build\nFROM scratch\nCOPY --from=b /a /a", "ok 2 stages"),
            ("FROM golang:1.22", "1:1 FROM golang:1.22, an image to build with -> a base that only runs"),
            ("FROM golang:1.22 AS b\nFROM b", "1:1 FROM golang:1.22, an image to build with -> a base that only runs"),
            ("FROM eclipse-temurin:21-jdk", "1:1 FROM eclipse-temurin:21-jdk, an image to build with -> a base that only runs"),
            ("FROM eclipse-temurin:21-jre", "ok 1 stage"),
            ("FROM a:1\nRUN apt-get install -y g++", "2:24 apt-get install g++ -> no build tools in the last stage"),
            ("FROM a:1\nRUN apt-get install -y gcc && make && apt-get purge -y gcc", "ok 1 stage"),
            ("ARG X", "n/a it has no FROM, so no image comes of it"),
        ],
    );
    table(
        "run-merged",
        &[
            ("FROM a:1\nRUN apt-get update && apt-get install -y x && rm -rf /var/lib/apt/lists/*", "ok 1 RUN"),
            (
                "FROM a:1\nRUN apt-get update && apt-get install -y x",
                "2:23 apt-get install that leaves the index of packages in the layer -> cleared in the same RUN",
            ),
            ("FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get update && apt-get install -y x", "ok 1 RUN"),
            ("FROM a:1\nRUN apk add --no-cache x", "ok 1 RUN"),
            (
                "FROM a:1\nRUN apk add x",
                "2:5 apk add that leaves the index of packages in the layer -> cleared in the same RUN",
            ),
            ("FROM a:1\nRUN dnf install -y x && dnf clean all", "ok 1 RUN"),
            ("FROM a:1\nENV PIP_NO_CACHE_DIR=1\nRUN pip install x", "ok 1 RUN"),
            (
                "FROM a:1\nRUN python3 -m pip install x",
                "2:5 pip install that leaves its cache in the layer -> cleared in the same RUN",
            ),
            ("FROM a:1\nRUN x | xargs -rt apk add --no-network --virtual .y", "ok 1 RUN"),
            // What a build stage leaves is not in the image.
            ("FROM a:1 AS b\nRUN apk add x\nFROM c:1\nRUN true", "ok 1 RUN"),
            (
                "FROM a:1\nRUN apk add --no-cache x\nRUN apk add --no-cache y\nRUN apk add --no-cache z",
                "2:1 3 RUN in a row that install packages -> one",
            ),
            ("FROM a:1\nRUN apk add --no-cache x\nENV A=1\nRUN apk add --no-cache y\nRUN apk add --no-cache z", "ok 3 RUN"),
            ("FROM a:1", "n/a the image has no RUN"),
        ],
    );
    table(
        "build-cache",
        &[
            ("FROM a:1\nRUN --mount=type=cache,target=/root/.cache/pip pip install x", "ok 1 RUN with a cache mount"),
            ("FROM a:1\nRUN npm ci", "2:5 npm ci without a cache mount -> with a cache mount"),
            (
                "FROM a:1\nRUN apt-get install x",
                "n/a no RUN fetches what a project needs with a package manager of its language",
            ),
        ],
    );
}

#[test]
fn updates() {
    table(
        "no-lone-update",
        &[
            ("FROM a:1\nRUN apt-get update && apt-get install -y x", "ok 1 RUN"),
            (
                "FROM a:1\nRUN apt-get update",
                "2:5 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            (
                "FROM a:1\nRUN set -ex; \\\n  apt-get -qq update \\\n # comment\n  && rm -rf /x",
                "3:3 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            (
                "FROM a:1\nRUN sh -c 'apt-get update'",
                "2:11 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            (
                "FROM a:1\nRUN [\"apt-get\", \"update\"]",
                "2:6 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            ("FROM a:1\nRUN <<EOF\nset -e\napt-get update\napt-get install -y x\nEOF", "ok 1 RUN"),
            (
                "FROM a:1\nRUN <<EOF\nsudo apt-get update\nEOF",
                "3:6 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            (
                "FROM a:1\nRUN apt-get update && apt-get dist-upgrade -y",
                "2:5 apt-get update without an install in the same RUN -> in one RUN with the install\n2:23 apt-get dist-upgrade, of everything -> a newer base image",
            ),
            ("FROM a:1\nRUN yum update -y", "2:5 yum update, of everything -> a newer base image"),
            ("FROM a:1\nRUN yum update -y openssl", "ok 1 RUN"),
            ("FROM a:1\nRUN apk update && apk add x && apk upgrade", "2:32 apk upgrade, of everything -> a newer base image"),
            ("FROM a:1\nRUN pacman -Sy", "2:5 pacman -Sy without an install in the same RUN -> in one RUN with the install"),
            ("FROM a:1\nRUN pacman -Syu --noconfirm x", "2:5 pacman -Syu, of everything -> a newer base image"),
            (
                "FROM a:1\nONBUILD RUN apt-get update",
                "2:13 apt-get update without an install in the same RUN -> in one RUN with the install",
            ),
            ("FROM a:1\nRUN --mount=type=cache,target=/var/lib/apt apt-get update", "ok 1 RUN"),
            ("FROM a:1\nRUN apt-get 'update", "2:13 unknown: the command has a quote that does not end"),
            (
                "FROM a:1\nSHELL [\"powershell\", \"-Command\"]\nRUN apt-get update",
                "3:1 unknown: harden does not read the language of powershell, the SHELL of this stage",
            ),
            (
                "FROM a:1\nRUN <<EOF\n#!/usr/bin/env python3\nx = 'apt-get update'\nEOF",
                "3:1 unknown: harden does not read the language of python3, which this here-document is for",
            ),
            ("FROM a:1\nRUN cat <<EOF > /x\napt-get update\nEOF", "ok 1 RUN"),
            ("FROM a:1", "n/a it has no RUN"),
        ],
    );
}

/// docker-bench-security greps for "update" and takes these for refreshes of a package index.
#[test]
fn what_docker_bench_takes_for_an_update() {
    for run in [
        "update-ca-certificates",
        "composer update",
        "git submodule update --init",
        "npm update",
        "echo 'apt-get update'",
        "update-alternatives --install /a b /c 1",
        "pip install --upgrade pip",
        "apt-get install -y --only-upgrade openssl",
        "# apt-get update",
        "cp update upgrade /x",
    ] {
        assert_eq!(says("no-lone-update", &format!("FROM a:1\nRUN {run}")), "ok 1 RUN", "{run}");
    }
}

#[test]
fn verification() {
    let says = |run: &str| says("verified-packages", &format!("FROM a:1\nRUN {run}"));
    for (run, expected) in [
        ("apt-get install -y --allow-unauthenticated x", "2:24 apt-get --allow-unauthenticated -> verified"),
        (
            "apt-get -o Acquire::AllowInsecureRepositories=true update",
            "2:16 apt-get Acquire::AllowInsecureRepositories=true -> verified",
        ),
        ("apt-get -o Acquire::https::Verify-Peer=false update", "2:16 apt-get Acquire::https::Verify-Peer=false -> verified"),
        ("yum install -y --nogpgcheck x", "2:20 yum --nogpgcheck -> verified"),
        ("dnf --setopt=gpgcheck=0 install x", "2:9 dnf --setopt=gpgcheck=0 -> verified"),
        ("apk add --allow-untrusted x.apk", "2:13 apk --allow-untrusted -> verified"),
        ("curl -fksSLO https://x/y", "2:10 curl -k -> verified"),
        ("curl -ok https://x/y", "ok 1 RUN"),
        ("wget --no-check-certificate https://x/y", "2:10 wget --no-check-certificate -> verified"),
        ("pip install --trusted-host x y", "2:17 pip --trusted-host -> verified"),
        ("npm config set strict-ssl false", "2:20 npm strict-ssl -> verified"),
        ("npm config set strict-ssl true", "ok 1 RUN"),
        ("git -c http.sslVerify=false clone x", "2:12 git http.sslVerify=false -> verified"),
        ("git config --global http.sslVerify false", "2:25 git http.sslVerify -> verified"),
        (
            "echo 'deb [trusted=yes] http://x y z' > /etc/apt/sources.list",
            "2:10 a source of packages with trusted=yes -> a signed source of packages",
        ),
        ("echo \"deb [ trusted=yes ] file://$dir ./\" > /etc/apt/sources.list.d/own.list", "ok 1 RUN"),
        ("sed -i 's/gpgcheck=0/gpgcheck=1/' /etc/yum.conf", "ok 1 RUN"),
        (
            "sed -i 's/gpgcheck=1/gpgcheck=0/' /etc/yum.conf",
            "2:12 a source of packages with gpgcheck=0 -> a signed source of packages",
        ),
        ("curl -fsSL https://x/y | sh", "2:5 curl straight into sh -> compared with a checksum before it runs"),
        ("curl -fsSL https://x/y | sudo -E bash -", "2:5 curl straight into bash -> compared with a checksum before it runs"),
        ("curl -fsSL https://x/y | bash -s -- --yes", "2:5 curl straight into bash -> compared with a checksum before it runs"),
        (
            "wget -qO- https://x/y | tee /z | python3",
            "2:5 wget straight into python3 -> compared with a checksum before it runs",
        ),
        ("sh -c \"$(curl -fsSL https://x/y)\"", "2:14 curl straight into sh -> compared with a checksum before it runs"),
        ("bash <(curl -s https://x/y)", "2:12 curl straight into bash -> compared with a checksum before it runs"),
        // What reads the pipe runs nothing of it.
        ("curl -s https://x/y | sh /z.sh", "ok 1 RUN"),
        ("curl -s https://x/k | gpg --dearmor -o /k", "ok 1 RUN"),
        ("curl -s https://x/y | python3 -m json.tool", "ok 1 RUN"),
        ("curl -s https://x/y > /z; sh /a", "ok 1 RUN"),
        ("echo x | sh", "ok 1 RUN"),
        ("echo 'curl x | sh'", "ok 1 RUN"),
        (
            "curl -fsSLO https://x/y.tgz && tar xf y.tgz",
            "2:5 a download that is unpacked and compared with nothing -> compared with a checksum",
        ),
        (
            "curl -fsSLo /b https://x/b && chmod +x /b",
            "2:5 a download that is made executable and compared with nothing -> compared with a checksum",
        ),
        ("curl -fsSLO https://x/y.tgz && echo \"$S  y.tgz\" | sha256sum -c - && tar xf y.tgz", "ok 1 RUN"),
        ("curl -f https://x/health", "ok 1 RUN"),
    ] {
        assert_eq!(says(run), expected, "{run}");
    }
    table(
        "verified-packages",
        &[
            ("FROM a:1\nENV NODE_TLS_REJECT_UNAUTHORIZED=0\nRUN x", "2:5 ENV NODE_TLS_REJECT_UNAUTHORIZED=0 -> verified"),
            ("FROM a:1", "n/a it has no RUN"),
        ],
    );
}

#[test]
fn setuid_bits() {
    let hidden = "n/a judged on built images: which files of its base have the bit, a Dockerfile does not say";
    table(
        "no-setuid",
        &[
            ("FROM a:1\nRUN chmod 4755 /x", "2:5 chmod 4755 /x -> no setuid bit"),
            ("FROM a:1\nRUN chmod u+s /x /y", "2:5 chmod u+s /x -> no setuid bit\n2:5 (2) chmod u+s /y -> no setuid bit"),
            ("FROM a:1\nRUN install -m 4755 x /y", "2:5 install 4755 /y -> no setuid bit"),
            ("FROM a:1\nCOPY --chmod=4755 x /y", "2:1 COPY --chmod=4755 -> no setuid bit"),
            // 755, 1777 and a directory's setgid bit are none of this.
            ("FROM a:1\nRUN chmod 755 /x && chmod 1777 /t && chmod 2775 /d && chmod a-s /x && chmod +x /s", hidden),
            ("FROM a:1 AS b\nRUN chmod u+s /x\nFROM c:1", hidden),
            (
                "FROM a:1\nRUN chmod u+s /x\nRUN find / -xdev -perm /6000 -type f -exec chmod a-s {} +",
                "ok the bits are cleared in line 3",
            ),
            (
                "FROM a:1\nRUN find / -xdev -perm /6000 -exec chmod a-s {} + ; chmod u+s /x",
                "2:53 chmod u+s /x -> no setuid bit",
            ),
        ],
    );
    assert_eq!(says_with("no-setuid", &["image.setuid_allow=[\"/x\"]"], "FROM a:1\nRUN chmod u+s /x", Fact::Absent), hidden);
}

#[test]
fn add() {
    table(
        "copy-not-add",
        &[
            ("FROM a:1\nCOPY a /b", "ok no ADD"),
            ("FROM a:1\nADD a /b", "2:1 ADD of files -> COPY"),
            ("FROM a:1\nADD x.tar.gz /b", "2:1 ADD of an archive, which it unpacks -> COPY"),
            ("FROM a:1\nADD https://x/y /b", "2:1 ADD of a URL, without a checksum -> COPY"),
            ("FROM a:1\nADD --checksum=sha256:00 https://x/y /b", "ok ADD only of what it verifies"),
            ("FROM a:1\nADD https://x/y.git#main /b", "2:1 ADD of a git repository, not at a commit -> COPY"),
            (
                "FROM a:1\nADD https://x/y.git#0123456789012345678901234567890123456789:sub /b",
                "ok ADD only of what it verifies",
            ),
            ("FROM a:1\nADD <<EOF /b\nx\nEOF", "2:1 ADD of a here-document -> COPY"),
            ("FROM a:1\nONBUILD ADD a /b", "2:1 ADD of files -> COPY"),
        ],
    );
    assert_eq!(fix("copy-not-add", "FROM a:1\nADD a b /c/"), "write COPY a b /c/");
    let strict = ["image.allow_checked_add=false"];
    assert_eq!(
        says_with("copy-not-add", &strict, "FROM a:1\nADD --checksum=sha256:00 https://x/y /b", Fact::Absent),
        "2:1 ADD of a URL, without a checksum -> COPY"
    );
}

#[test]
fn configuration() {
    table(
        "healthcheck",
        &[
            ("FROM a:1\nHEALTHCHECK CMD [\"/x\"]", "ok HEALTHCHECK in line 2"),
            ("FROM a:1", "1:1 without a HEALTHCHECK -> a HEALTHCHECK"),
            ("FROM a:1\nHEALTHCHECK none", "2:1 HEALTHCHECK NONE -> a HEALTHCHECK"),
            ("FROM a:1 AS x\nHEALTHCHECK CMD x\nFROM b:1", "3:1 without a HEALTHCHECK -> a HEALTHCHECK"),
            ("FROM a:1 AS x\nHEALTHCHECK CMD x\nFROM x", "ok HEALTHCHECK in line 2"),
        ],
    );
    let prefix = "org.opencontainers.image";
    assert_eq!(
        says(
            "labels",
            &format!("FROM a:1\nLABEL {prefix}.source=a {prefix}.revision=$R \\\n {prefix}.authors=b \"{prefix}.licenses\"=c")
        ),
        "ok 4 labels"
    );
    assert_eq!(
        says("labels", &format!("FROM a:1\nLABEL {prefix}.source=a {prefix}.revision=\"\"")),
        "1:1 without org.opencontainers.image.revision, org.opencontainers.image.vendor or org.opencontainers.image.authors, \
         org.opencontainers.image.licenses -> labeled with these"
    );
    table(
        "expose-unprivileged",
        &[
            ("FROM a:1\nEXPOSE 8080 5353/udp", "ok EXPOSE 8080 5353/udp"),
            ("FROM a:1\nEXPOSE 8080 80", "2:13 EXPOSE 80 -> a port from 1024 up"),
            ("FROM a:1\nEXPOSE 1000-2000", "2:8 EXPOSE 1000-2000 -> a port from 1024 up"),
            ("FROM a:1\nARG P=443\nEXPOSE $P", "3:8 EXPOSE 443 -> a port from 1024 up"),
            ("FROM a:1\nARG P\nEXPOSE $P", "3:8 unknown: it depends on the build argument P, which has no default"),
            ("FROM a:1\nEXPOSE http", "2:8 unknown: `http` is no port"),
            ("FROM a:1", "n/a it has no EXPOSE"),
        ],
    );
    let ports = ["image.allowed_ports=[\"80\", \"8000-8010\"]"];
    assert_eq!(
        says_with("expose-unprivileged", &ports, "FROM a:1\nEXPOSE 80 8001 9000 80/udp", Fact::Absent),
        "2:16 EXPOSE 9000 -> one of 80, 8000-8010\n2:21 EXPOSE 80/udp -> one of 80, 8000-8010"
    );
    table(
        "no-sudo",
        &[
            ("FROM a:1\nENTRYPOINT [\"x\"]\nCMD y", "ok neither sudo nor an ENTRYPOINT in shell form"),
            ("FROM a:1\nRUN sudo x", "2:5 RUN with sudo -> without sudo"),
            ("FROM a:1\nRUN apk add --no-cache sudo bash", "2:24 apk add sudo -> without sudo"),
            ("FROM a:1\nENTRYPOINT [\"sudo\", \"x\"]", "2:1 ENTRYPOINT with sudo -> without sudo"),
            ("FROM a:1\nENTRYPOINT x", "2:1 ENTRYPOINT in shell form -> a list"),
            (
                "FROM a:1\nENTRYPOINT [\"x\"]\nRUN echo sudo pseudo && gosu app x",
                "ok neither sudo nor an ENTRYPOINT in shell form",
            ),
        ],
    );
    table(
        "no-ssh-server",
        &[
            ("FROM a:1\nRUN apt-get install -y openssh-client", "ok no SSH server"),
            ("FROM a:1\nRUN apt-get install -y openssh-server", "2:24 apt-get install openssh-server -> no SSH server"),
            ("FROM a:1\nRUN apk add openssh", "2:13 apk add openssh -> no SSH server"),
            ("FROM a:1\nEXPOSE 22/tcp", "2:8 EXPOSE 22 -> no SSH server"),
            ("FROM a:1\nCMD [\"/usr/sbin/sshd\", \"-D\"]", "2:1 CMD with sshd -> no SSH server"),
            ("FROM a:1 AS b\nRUN apk add openssh\nFROM c:1", "ok no SSH server"),
        ],
    );
}

#[test]
fn secrets() {
    let desired = "-> no secret in the file";
    for (line, expected) in [
        ("ENV DB_PASSWORD=hunter2", "2:5 ENV DB_PASSWORD=***"),
        ("ENV A=1 api-key=hunter2", "2:9 ENV api-key=***"),
        ("ARG NPM_TOKEN=hunter2", "2:5 ARG NPM_TOKEN=***"),
        ("LABEL secret=hunter2", "2:7 LABEL secret=***"),
        ("ENV SECRET ${X:-hunter2}", "2:5 ENV SECRET=***"),
        ("RUN PASSWORD=hunter2 x", "2:5 RUN PASSWORD=***"),
        ("RUN export TOKEN=hunter2", "2:12 RUN export TOKEN=***"),
        ("RUN echo \"API_KEY=hunter2\" >> /etc/environment", "2:10 RUN echo API_KEY=***"),
        ("RUN x --password=hunter2", "2:7 RUN x --password=***"),
        ("RUN x --api-key hunter2", "2:7 RUN x --api-key ***"),
        ("RUN git clone https://bot:hunter2@x/y", "2:15 RUN git https://bot:***@…"),
        ("RUN curl -u bot:hunter2 https://x", "2:10 RUN curl -u ***"),
        ("RUN curl -H 'Authorization: Bearer hunter2' x", "2:13 RUN curl with an Authorization header"),
        ("RUN sshpass -p hunter2 ssh x", "2:13 RUN sshpass -p ***"),
        ("RUN x AKIAIOSFODNN7EXAMPLE", "2:7 RUN with an access key of AWS"),
        ("COPY <<EOF /k\n-----BEGIN RSA PRIVATE KEY-----\nEOF", "3:1 COPY with a private key"),
    ] {
        assert_eq!(says("no-secrets", &format!("FROM a:1\n{line}")), format!("{expected} {desired}"), "{line}");
    }
    for (line, at) in [
        ("COPY .npmrc /x", "2:6"),
        ("COPY a certs/server.key /x/", "2:8"),
        ("ADD --chown=a id_rsa /x", "2:15"),
        ("COPY .docker/config.json /x", "2:6"),
    ] {
        let name = line.split_whitespace().rev().nth(1).unwrap();
        let keyword = &line[..line.find(' ').unwrap()];
        let expected = format!("{at} {keyword} {name} -> no file of credentials in the image");
        assert_eq!(says("no-secrets", &format!("FROM a:1\n{line}")), expected, "{line}");
    }
}

/// What linters that go by names alone take for secrets.
#[test]
fn what_is_no_secret() {
    for line in [
        "ENV PASSWORD_FILE=/run/secrets/x TOKEN_PATH=/y",
        "ARG NPM_TOKEN",
        "ENV TOKEN=$TOKEN SECRET=\"${SECRET}\"",
        "ENV PASSWORD=",
        "ENV MYSQL_ALLOW_EMPTY_PASSWORD=yes MYSQL_RANDOM_ROOT_PASSWORD=true",
        "ENV TOKEN_TTL=3600",
        "RUN --mount=type=secret,id=t x --token \"$(cat /run/secrets/t)\"",
        "RUN x --password-stdin < y",
        "RUN git clone https://github.com/x/y",
        "RUN curl -u \"$U:$P\" https://x",
        "COPY ca.pem cert.pem fullchain.pem id_rsa.pub .env.example /x/",
        "RUN echo tokenizer --secretary x",
        "ENV TOKENIZERS_PARALLELISM=false",
    ] {
        assert_eq!(
            says("no-secrets", &format!("FROM a:1\n{line}")),
            "ok no secret that harden knows by name or form",
            "{line}"
        );
    }
    let policy = ["image.secret_ignore=[\"DEMO_*\"]", "image.secret_patterns=[\"*PIN*\", \"*TOKEN*\"]"];
    assert_eq!(
        says_with("no-secrets", &policy, "FROM a:1\nENV DEMO_TOKEN=a PASSWORD=b PIN=c1", Fact::Absent),
        "2:29 ENV PIN=*** -> no secret in the file"
    );
}

/// Whatever a finding says, the secret itself is not in it.
#[test]
fn values_are_never_shown() {
    let text = "FROM a:1\nENV TOKEN=hunter2 B=https://u:hunter2@x\nRUN curl -H \"Authorization: hunter2\" https://u:hunter2@x | sh -s --password hunter2\n\
                RUN git clone ssh://git:hunter2@host/x\nhunter2 x\nPASSWORD=hunter2\nADD https://u:hunter2@x/y /z\nEXPOSE $TOKEN\nUSER $TOKEN\nRUN curl -kuu:hunter2 https://x\n";
    let baseline = baseline(&["lint_fail_level=info"]);
    let facts = facts(text, Fact::Absent);
    let context = Context::new(&facts, "docker");
    for control in &baseline.controls {
        for verdict in crate::kinds::judge(control, &context) {
            assert!(!format!("{verdict:?}").contains("hunter2"), "{}: {verdict:?}", control.id);
        }
    }
}

#[test]
fn credentials_of_steps() {
    table(
        "build-secret-mounts",
        &[
            ("FROM a:1\nRUN --mount=type=ssh git clone git@x:y/z", "ok credentials come by secret and ssh mounts"),
            ("FROM a:1\nRUN git clone git@x:y/z", "2:15 git over ssh from x, without an ssh mount -> RUN --mount=type=ssh"),
            (
                "FROM a:1\nARG NPM_TOKEN\nRUN npm ci --//x/:_authToken=$NPM_TOKEN",
                "3:12 a RUN that uses $NPM_TOKEN, which the history or the image keeps -> RUN --mount=type=secret",
            ),
            ("FROM a:1\nARG T_TOKEN\nRUN --mount=type=secret,id=T x $T_TOKEN", "ok credentials come by secret and ssh mounts"),
            // A variable of an earlier stage is not there.
            ("FROM a:1 AS x\nARG A_TOKEN\nFROM b:1\nRUN x $A_TOKEN", "n/a no RUN is seen to use credentials"),
            ("FROM a:1\nRUN git clone https://x/y", "n/a no RUN is seen to use credentials"),
        ],
    );
}

#[test]
fn contexts() {
    let of = |ignore: Option<&str>, unwanted: &[&str]| {
        let ignore = ignore.map(|text| IgnoreFact { path: ".dockerignore".into(), text: text.into() });
        let unwanted = unwanted.iter().map(|path| path.to_string()).collect();
        Fact::Known(ContextFact {
            path: ".".into(),
            ignore: ignore.map_or(Fact::Absent, Fact::Known),
            unwanted: Fact::Known(unwanted),
        })
    };
    let all = "**/.git\n**/.env\n**/.npmrc\n**/.aws\n**/*.key\n**/*.pem";
    let top = ".git\n.env\n.npmrc\n.aws\n*.key\n*.pem";
    for (text, context, expected) in [
        ("COPY . .", of(Some(all), &["a/x.key", ".git"]), "ok .dockerignore excludes .git, .env, .npmrc, .aws, *.key, *.pem"),
        ("COPY . .", of(None, &[]), "2:1 the whole context, without a .dockerignore -> without secrets and the repository"),
        ("COPY . .", of(Some(".git\n.env\n.npmrc\n.aws"), &[]), "2:1 the whole context, with *.key, *.pem -> without these"),
        // Without `**/` a pattern holds at the top alone.
        ("COPY . .", of(Some(top), &["a/x.key"]), "2:1 the whole context, with a/x.key in it -> without these"),
        ("COPY . .", of(Some("*\n!src"), &["x.key"]), "ok .dockerignore excludes .git, .env, .npmrc, .aws, *.key, *.pem"),
        ("COPY . .", of(Some("*\n!src"), &["src/x.key"]), "2:1 the whole context, with src/x.key in it -> without these"),
        ("ADD ./ /x", of(None, &[]), "2:1 the whole context, without a .dockerignore -> without secrets and the repository"),
        ("COPY src /x", of(None, &[]), "n/a no COPY or ADD takes the whole context"),
        ("COPY --from=0 . .", of(None, &[]), "n/a no COPY or ADD takes the whole context"),
        ("COPY . .", Fact::Unknown("no context".into()), "2:1 unknown: no context"),
    ] {
        assert_eq!(says_with("dockerignore", &[], &format!("FROM a:1\n{text}"), context), expected, "{text}");
    }
}

#[test]
fn mistakes() {
    table(
        "dockerfile-lint",
        &[
            ("FROM a:1\nRUN x", "ok 2 instructions"),
            ("", "1:1 a file without FROM (error) -> a Dockerfile"),
            ("RUN x\nFROM a", "1:1 RUN before the first FROM (error) -> after it"),
            ("FROM a\nRUM x", "2:1 the unknown instruction RUM (error) -> what the builder takes"),
            ("FROM a b", "1:1 FROM with words it does not take (error) -> FROM IMAGE [AS NAME]"),
            ("FROM a$X:", "1:1 FROM what is no name of an image (error) -> an image or a stage"),
            ("FROM a AS x\nFROM b AS X", "2:1 a second stage x (warning) -> a name of its own"),
            (
                "FROM a AS x\nCOPY --from=y / /\nFROM b AS y",
                "2:1 COPY --from=y, which is not an earlier stage (error) -> an earlier stage",
            ),
            (
                "FROM a AS x\nCOPY --from=1 / /\nFROM b",
                "2:1 COPY --from=1, which is not an earlier stage (error) -> an earlier stage",
            ),
            ("FROM a\nCMD x\nCMD y", "2:1 CMD that the one in line 3 overrides (warning) -> one in a stage"),
            ("FROM a AS x\nCMD x\nFROM x\nCMD y", "ok 4 instructions"),
            ("FROM a\nWORKDIR x", "2:1 WORKDIR x, relative to one that may change (warning) -> an absolute path"),
            ("FROM a\nCMD ['x']", "2:1 CMD that looks like a list and is none (warning) -> a list"),
            ("FROM a\nRUN [ -f /x ] && y", "ok 2 instructions"),
            ("FROM a\nSHELL bash", "2:1 SHELL in shell form (error) -> a list"),
            ("FROM a\nCOPY a b /c", "2:1 COPY of several files to /c (error) -> a directory that ends in /"),
            ("FROM a\nCOPY a", "2:1 COPY without a destination (error) -> sources and a destination"),
            ("FROM a\nCOPY <<EOF /x\ny\nEOF", "ok 2 instructions"),
            ("FROM a\nRUN cd /x", "2:1 RUN cd, which the next RUN knows nothing of (warning) -> what lasts"),
            ("FROM a\nMAINTAINER x", "ok 2 instructions"),
            ("# harden: ignore=image-labels\nFROM a", "1:1 a waiver without reason= (warning) -> a waiver that counts"),
            (
                "# harden: ignore=image-lables reason=x\nFROM a",
                "1:1 a waiver of `image-lables`, which is no control (warning) -> a waiver that counts",
            ),
        ],
    );
    let info = ["lint_fail_level=info"];
    assert_eq!(
        says_with("dockerfile-lint", &info, "FROM a\nMAINTAINER x\nENV A b", Fact::Absent),
        "2:1 MAINTAINER, which is deprecated (info) -> a LABEL\n3:1 ENV without =, which is deprecated (info) -> NAME=VALUE"
    );
    let error = ["lint_fail_level=error"];
    assert_eq!(says_with("dockerfile-lint", &error, "FROM a\nRUN cd /x", Fact::Absent), "ok 2 instructions");
}

#[test]
fn built_images_only() {
    for control in ["no-extra-users", "rebuilt-recently", "content-trust", "signing-keys-protected", "sprawl"] {
        assert_eq!(says(control, "FROM a:1"), "n/a judged on built images");
    }
    for control in ["vuln-scanned", "malware-scanned", "signatures-verified"] {
        assert!(says(control, "FROM a:1").starts_with("n/a judged on built images: s"));
    }
}

#[test]
fn waivers_of_the_file() {
    let text = "# harden: ignore=image-user-nonroot,image-no-* reason=drops root itself\n\n# more\nFROM a:1\nRUN x \\\n # harden: ignore=image-no-sudo reason=\"r\"\n && sudo y \\\n && z\n";
    let facts = facts(text, Fact::Absent);
    let build = Build::of(&facts.build.as_ref().unwrap().files[0]);
    let said: Vec<String> = waivers(&build)
        .iter()
        .map(|waiver| format!("{} {} {} {}", waiver.control, waiver.target, waiver.reason, waiver.by))
        .collect();
    assert_eq!(
        said,
        [
            "image-user-nonroot Dockerfile:4:* drops root itself Dockerfile:1",
            "image-no-* Dockerfile:4:* drops root itself Dockerfile:1",
            "image-no-sudo Dockerfile:7:* r Dockerfile:6",
        ]
    );
}

/// A large file is judged by every rule in a time that grows with it.
#[test]
fn large_files() {
    let baseline = baseline(&["allowed_registries=[\"x/*\"]"]);
    let line = "RUN apt-get update && curl -k https://u:p@x | sh\nENV TOKEN=x\nCOPY --from=a a.key /x\nEXPOSE $TOKEN 22\n";
    let judge = |lines: usize| {
        let facts = facts(&format!("FROM a AS a\nFROM a\n{}", line.repeat(lines)), Fact::Absent);
        let begun = std::time::Instant::now();
        let context = Context::new(&facts, "docker");
        let count: usize = baseline.controls.iter().map(|control| crate::kinds::judge(control, &context).len()).sum();
        (count, begun.elapsed().as_secs_f64())
    };
    let (few, short) = judge(500);
    let (many, long) = judge(5000);
    assert!(many > 9 * few, "{few} {many}");
    assert!(long < 30.0 * short.max(0.05), "{short} s, then {long} s");
}

proptest::proptest! {
    /// No text makes a rule panic, and every place is one.
    #[test]
    fn any_text(text in "(FROM a|RUN |COPY --from=|ENV |USER |EXPOSE |CMD |apt-get |chmod |curl |\\| sh|<<E|\n|\\\\\n|[$'\"{}\\[\\]=:@/ #-]|[a-z0-9é]{1,4}){0,40}") {
        let baseline = baseline(&["allowed_registries=[\"x/*\"]", "lint_fail_level=info"]);
        let facts = facts(&text, Fact::Absent);
        let context = Context::new(&facts, "docker");
        for control in &baseline.controls {
            proptest::prop_assert!(!crate::kinds::judge(control, &context).is_empty());
        }
        waivers(&context.builds[0]);
    }
}
