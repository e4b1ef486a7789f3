//! Images, and the containers that are made from them: `/images/json`, `/images/ID/json`, `/images/ID/history`, `/containers/json`.
//!
//! Engines of every generation answer here: one sends `null` where another sends an empty list or leaves the field out. A field of a
//! wrong type is no answer, because a default in its place might be the harmless one.

use std::collections::BTreeMap;

use hyper::StatusCode;
use serde::{Deserialize, Deserializer};

use super::{Engine, Miss, Reply};
use crate::fact::{Fact, ImageFacts, ImageStep, ImageUse, MASKED};
use crate::formats::image_history::step;
use crate::formats::secret_mask::{self, Masker};

const LIST: &str = "/images/json?all=0";
const CONTAINERS: &str = "/containers/json?all=1";

/// What the controls of a baseline want to know of images.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Asked {
    /// Whether any of them needs the history.
    pub history: bool,
    /// Whether any of them asks about the files in images, which the API does not show.
    pub files: bool,
    /// Patterns of the names of secrets, beside those that harden knows.
    pub secret_names: Vec<String>,
}

impl Engine {
    /// Every image that the engine lists or a container is made from, in the order of their names. One that vanishes while it is
    /// looked at is left out; one that can't be looked at says why. `Absent` when no daemon listens.
    pub fn images(&self, asked: &Asked) -> Fact<Vec<ImageFacts>> {
        match self.try_images(asked) {
            Ok(images) => Fact::Known(images),
            Err(Miss::NoListener) => Fact::Absent,
            Err(Miss::Failed(why)) => Fact::Unknown(why),
        }
    }

    fn try_images(&self, asked: &Asked) -> Result<Vec<ImageFacts>, Miss> {
        let lists = self.each("", &[LIST.into(), CONTAINERS.into()], |_, reply| reply)?;
        let [images, containers] = <[_; 2]>::try_from(lists).map_err(|_| self.failed("the call was cut short"))?;
        let listed: Vec<Listed> = self.read(LIST, images)?.unwrap_or_default();
        let containers: Vec<Container> = self.read(CONTAINERS, containers)?.unwrap_or_default();
        let mut used = uses(containers);
        let mut ids: Vec<String> =
            listed.into_iter().map(|one| one.id).chain(used.keys().cloned()).filter(|id| is_id(id)).collect();
        ids.sort();
        ids.dedup();
        let masker = Masker::new(&asked.secret_names);
        let targets: Vec<String> = ids.iter().map(|id| format!("/images/{id}/json")).collect();
        let inspect = |index: usize, reply| Ok(self.read::<Inspect>(&targets[index], reply)?.map(|seen| seen.facts(&masker)));
        let inspected = self.each("inspecting images", &targets, inspect)?;
        let histories = match asked.history {
            true => {
                let targets: Vec<String> = ids.iter().map(|id| format!("/images/{id}/history")).collect();
                let read = |index: usize, reply| Some(self.history(&targets[index], reply, &masker));
                self.each("reading histories of images", &targets, read)?
            }
            false => ids.iter().map(|_| None).collect(),
        };
        let mut found = Vec::new();
        for ((id, inspected), history) in ids.iter().zip(inspected).zip(histories) {
            let used_by = used.remove(id).unwrap_or_default();
            let mut image = match inspected {
                Ok(Some(seen)) => seen,
                // It was deleted meanwhile; of one that a container holds on to, that is worth a word.
                Ok(None) if used_by.is_empty() => continue,
                Ok(None) => unread(id, "the engine does not have it any more".into()),
                Err(miss) => unread(id, self.why(miss)),
            };
            image.used_by = used_by;
            if let Some(history) = history {
                image.history = history;
            }
            found.push(image);
        }
        found.sort_by(|a, b| (a.names.is_empty(), &a.names, &a.id).cmp(&(b.names.is_empty(), &b.names, &b.id)));
        Ok(found)
    }

    fn history(&self, target: &str, reply: Result<Reply, Miss>, masker: &Masker) -> Fact<Vec<ImageStep>> {
        match self.read::<Vec<Row>>(target, reply) {
            // The API begins with the newest.
            Ok(Some(rows)) => Fact::Known(rows.iter().rev().map(|row| step(&row.created_by, masker)).collect()),
            Ok(None) => Fact::Absent,
            Err(miss) => Fact::Unknown(self.why(miss)),
        }
    }

    /// `None` for what is not there.
    fn read<T: for<'de> Deserialize<'de>>(&self, target: &str, reply: Result<Reply, Miss>) -> Result<Option<T>, Miss> {
        let reply = reply?;
        if reply.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        self.expect_ok(target, &reply)?;
        serde_json::from_slice(&reply.body).map(Some).map_err(|error| self.failed(&format!("GET {target}: {error}")))
    }
}

/// Who uses which image.
fn uses(containers: Vec<Container>) -> BTreeMap<String, Vec<ImageUse>> {
    let mut used: BTreeMap<String, Vec<ImageUse>> = BTreeMap::new();
    for container in containers {
        // Links add names with another container's in front: `/web/db`.
        let own = container.names.iter().map(|name| name.trim_start_matches('/')).find(|name| !name.contains('/'));
        let name = own.map_or_else(|| container.id.chars().take(12).collect(), str::to_owned);
        used.entry(container.image_id).or_default().push(ImageUse { container: name, image: container.image });
    }
    used.values_mut().for_each(|uses| uses.sort());
    used
}

fn is_id(id: &str) -> bool {
    id.strip_prefix("sha256:").is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn unread(id: &str, why: String) -> ImageFacts {
    ImageFacts { id: id.to_owned(), unread: Some(why), ..ImageFacts::default() }
}

/// `null` is what a missing field is.
fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Container {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    names: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    image: String,
    #[serde(default, rename = "ImageID", deserialize_with = "or_default")]
    image_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Row {
    #[serde(default, deserialize_with = "or_default")]
    created_by: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspect {
    id: String,
    #[serde(default, deserialize_with = "or_default")]
    repo_tags: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    repo_digests: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    created: String,
    #[serde(default, deserialize_with = "or_default")]
    size: u64,
    #[serde(default, deserialize_with = "or_default")]
    config: Config,
    #[serde(default, rename = "RootFS", deserialize_with = "or_default")]
    root_fs: RootFs,
    /// Left out from API 1.52 on where containerd keeps images; before, it names the snapshotter.
    #[serde(default, deserialize_with = "or_default")]
    graph_driver: GraphDriver,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Config {
    #[serde(deserialize_with = "or_default")]
    user: String,
    #[serde(deserialize_with = "or_default")]
    env: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    labels: BTreeMap<String, String>,
    #[serde(deserialize_with = "or_default")]
    exposed_ports: BTreeMap<String, serde::de::IgnoredAny>,
    #[serde(deserialize_with = "or_default")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    cmd: Vec<String>,
    healthcheck: Option<Healthcheck>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Healthcheck {
    #[serde(deserialize_with = "or_default")]
    test: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RootFs {
    #[serde(deserialize_with = "or_default")]
    layers: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct GraphDriver {
    #[serde(deserialize_with = "or_default")]
    name: String,
    #[serde(deserialize_with = "or_default")]
    data: DriverData,
}

/// What overlay2 says; an image without layers, and most other drivers, have none of it.
#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct DriverData {
    #[serde(deserialize_with = "or_default")]
    upper_dir: String,
    #[serde(deserialize_with = "or_default")]
    lower_dir: String,
}

impl DriverData {
    fn dirs(&self) -> Vec<String> {
        let lower = self.lower_dir.split(':');
        [self.upper_dir.as_str()].into_iter().chain(lower).filter(|dir| !dir.is_empty()).map(str::to_owned).collect()
    }
}

impl Inspect {
    fn facts(self, masker: &Masker) -> ImageFacts {
        let mut facts = ImageFacts {
            id: self.id,
            names: named(self.repo_tags),
            digests: named(self.repo_digests),
            // `0001-01-01` and 1970 stand for no time.
            created: self.created.parse::<jiff::Timestamp>().ok().map(|at| at.as_second()).filter(|at| *at > 0),
            size: self.size,
            user: self.config.user,
            exposed: self.config.exposed_ports.into_keys().collect(),
            layers: self.root_fs.layers,
            layer_dirs: self.graph_driver.data.dirs(),
            driver: self.graph_driver.name,
            ..ImageFacts::default()
        };
        let test = self.config.healthcheck.unwrap_or_default().test;
        facts.healthcheck = test.first().is_some_and(|kind| !kind.is_empty() && kind != "NONE");
        for line in self.config.env {
            let (name, value) = line.split_once('=').unwrap_or((&line, ""));
            let (value, tokens) = secret_mask::value(value);
            facts.tokens.extend(tokens.into_iter().map(|what| format!("ENV {name} with {what}")));
            facts.env.insert(name.to_owned(), value);
        }
        for (name, value) in self.config.labels {
            let (kept, tokens) = secret_mask::value(&value);
            facts.tokens.extend(tokens.into_iter().map(|what| format!("LABEL {name} with {what}")));
            // That there is a text is what counts of a label.
            let kept = if value.trim().is_empty() || !kept.is_empty() { kept } else { MASKED.into() };
            facts.labels.insert(name, kept);
        }
        for (keyword, words) in [("ENTRYPOINT", self.config.entrypoint), ("CMD", self.config.cmd)] {
            let (words, tokens) = masker.mask_words(&words);
            facts.tokens.extend(tokens.into_iter().map(|what| format!("{keyword} with {what}")));
            if keyword == "CMD" { facts.cmd = words } else { facts.entrypoint = words }
        }
        facts
    }
}

/// Sorted, without `<none>`.
fn named(mut names: Vec<String>) -> Vec<String> {
    names.retain(|name| !name.is_empty() && !name.contains("<none>"));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const RECORDED: &str = include_str!("../../../tests/data/engine/image-20.10.24.json");
    const WRITTEN: &str = include_str!("../../../tests/data/engine/image-29.1.json");

    /// The uppermost first.
    const LAYERS: [&str; 2] = [
        "672d140a39d55726a33c47367b5e2394956566f49467ed4b3165d0f9b45a09d3",
        "66be7c2c9f0c7e1c2812eb6e7cf4b893331dbfc2ccb7e1bff19cba004f824920",
    ];

    fn read(body: &Value) -> Result<ImageFacts, String> {
        let seen: Inspect = serde_json::from_value(body.clone()).map_err(|error| error.to_string())?;
        Ok(seen.facts(&Masker::new(&[])))
    }

    #[test]
    fn an_image_of_each_generation() {
        for (body, created, digests, driver, dirs) in
            [(RECORDED, Some(1_795_335_403), 0, "overlay2", &LAYERS[..]), (WRITTEN, None, 1, "", &[])]
        {
            let image = read(&serde_json::from_str(body).unwrap()).unwrap();
            assert_eq!(
                (image.driver.as_str(), image.layer_dirs.as_slice()),
                (driver, &dirs.iter().map(|dir| format!("/var/lib/docker/overlay2/{dir}/diff")).collect::<Vec<_>>()[..])
            );
            assert_eq!(image.names, ["bad:1"]);
            assert_eq!((image.created, image.digests.len(), image.size), (created, digests, 1_982_270));
            assert_eq!((image.user.as_str(), image.healthcheck, image.labels.len()), ("", false, 0));
            assert_eq!(image.env["DB_PASSWORD"], MASKED);
            assert_eq!(
                (image.exposed, image.cmd),
                (vec!["22/tcp".to_owned()], ["/usr/sbin/sshd", "-D"].map(String::from).into())
            );
            assert_eq!(image.tokens, ["ENV CI with a token of GitHub"]);
        }
    }

    #[test]
    fn histories() {
        for (body, expected) in [
            (include_str!("../../../tests/data/engine/image-history-20.10.24.json"), "RUN echo $NPM_TOKEN > /dev/null"),
            (include_str!("../../../tests/data/engine/image-history-29.1.json"), "RUN echo $NPM_TOKEN > /dev/null"),
        ] {
            let rows: Vec<Row> = serde_json::from_str(body).unwrap();
            let masker = Masker::new(&[]);
            let said: Vec<String> = rows
                .iter()
                .flat_map(|row| step(&row.created_by, &masker).instructions)
                .map(|(keyword, rest)| format!("{keyword} {rest}"))
                .collect();
            assert!(said.contains(&expected.to_owned()) && said.contains(&"ARG NPM_TOKEN=masked".to_owned()), "{said:?}");
            assert!(!said.concat().contains("s3cr3t") && !said.concat().contains("hunter22"), "{said:?}");
        }
    }

    /// What other drivers say, and overlay2 of an image without layers.
    #[test]
    fn drivers() {
        let id = format!("sha256:{}", "a".repeat(64));
        for (driver, expected) in [
            (json!({"Name": "vfs", "Data": null}), ("vfs", 0)),
            (json!({"Name": "overlay2", "Data": null}), ("overlay2", 0)),
            (json!({"Name": "overlay2", "Data": {"UpperDir": "/d/overlay2/a/diff"}}), ("overlay2", 1)),
            (json!({"Name": "btrfs", "Data": {}}), ("btrfs", 0)),
            (json!({"Name": "overlayfs"}), ("overlayfs", 0)),
        ] {
            let image = read(&json!({"Id": id, "GraphDriver": driver})).unwrap();
            assert_eq!((image.driver.as_str(), image.layer_dirs.len()), expected);
        }
    }

    #[test]
    fn engines_of_today() {
        macro_rules! recorded {
            ($($version:literal)*) => {
                [$((
                    $version,
                    include_str!(concat!("../../../tests/data/engine/image-", $version, ".json")),
                    include_str!(concat!("../../../tests/data/engine/image-history-", $version, ".json")),
                )),*]
            };
        }
        for (version, image, history) in recorded!("26.1.5" "28.5.2" "28.5.2-containerd") {
            let image = read(&serde_json::from_str(image).unwrap()).unwrap();
            assert_eq!((image.names.as_slice(), image.user.as_str()), (&["bad:1".to_owned()][..], ""), "{version}");
            // Only containerd's store gives an image that was built here a digest.
            assert_eq!(image.digests.len(), usize::from(version.ends_with("containerd")), "{version}");
            assert!(image.created.is_some() && image.size > 1_000_000 && !image.layers.is_empty(), "{version}");
            assert_eq!((image.env["DB_PASSWORD"].as_str(), image.exposed.as_slice()), (MASKED, &["22/tcp".to_owned()][..]));
            assert_eq!(image.tokens, ["ENV CI with a token of GitHub"], "{version}");
            let (driver, dirs) =
                if version.ends_with("containerd") { ("overlayfs", 0) } else { ("overlay2", image.layers.len()) };
            assert_eq!((image.driver.as_str(), image.layer_dirs.len()), (driver, dirs), "{version}");
            let rows: Vec<Row> = serde_json::from_str(history).unwrap();
            let masker = Masker::new(&[]);
            let steps = rows.iter().flat_map(|row| step(&row.created_by, &masker).instructions);
            let said: Vec<String> = steps.map(|(keyword, rest)| format!("{keyword} {rest}")).collect();
            assert!(said.iter().any(|step| step == "RUN echo $NPM_TOKEN > /dev/null"), "{version}: {said:?}");
            assert!(!said.concat().contains("s3cr3t") && !said.concat().contains("hunter22"), "{version}: {said:?}");
        }
    }

    #[test]
    fn empty_is_left_out_or_null_and_nonsense_is_no_image() {
        let id = format!("sha256:{}", "a".repeat(64));
        let bare = read(&json!({"Id": id})).unwrap();
        assert_eq!(bare, ImageFacts { id: id.clone(), ..ImageFacts::default() });
        let nulls = json!({"Id": id, "RepoTags": null, "RepoDigests": null, "Created": null, "Config": null, "RootFS": null});
        assert_eq!(read(&nulls).unwrap(), bare);
        let none = json!({"Id": id, "RepoTags": ["<none>:<none>"], "RepoDigests": ["<none>@<none>"], "Created": "0001-01-01T00:00:00Z"});
        assert_eq!(read(&none).unwrap(), bare);
        for bad in [json!({}), json!({"Id": id, "Config": {"User": 7}}), json!({"Id": id, "Config": {"Healthcheck": []}})] {
            // A list of no fields is an object of defaults for serde, which none of these may be.
            let read = read(&bad);
            assert!(read.is_err() || !read.unwrap().healthcheck, "{bad}");
        }
        assert!(read(&json!({"Id": id, "Config": {"User": 7}})).is_err());
    }
}
