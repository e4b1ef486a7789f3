//! What the engine runs and holds: containers, images and what scanners said of them, the swarm.

use std::collections::BTreeSet;

use super::Observer;
use crate::baseline::Baseline;
use crate::fact::{ContainerFacts, Fact, SwarmFacts};
use crate::formats::scan_report;
use crate::host::docker;
use crate::host::fs::Want as Look;
use crate::host::layers::Layers;
use crate::kinds::{self, daemon, swarm};
use crate::render::progress;

/// Reports of scanners may name thousands of packages.
const MAX_REPORT: usize = 256 << 20;

impl Observer<'_> {
    /// Lists and inspects all containers, unless nobody runs who could: connecting to systemd's socket would start Docker. Where the
    /// user named the socket it was asked before, and who answers there may be somewhere else.
    pub fn containers(&mut self) {
        if self.facts.containers == Fact::default() {
            let daemon = &self.facts.daemon;
            let answers = self.host.endpoint_is_given() && !daemon.api.is_absent();
            self.facts.containers = match (&daemon.process, &daemon.api) {
                (Fact::Absent, _) if !answers => Fact::Absent,
                (_, Fact::Unknown(why)) if kinds::layout::remote(&self.facts).is_some() => Fact::Unknown(why.clone()),
                (process, _) => self.host.containers(process),
            };
        }
    }

    pub(super) fn each_container(&mut self) -> &mut [ContainerFacts] {
        match &mut self.facts.containers {
            Fact::Known(containers) => containers,
            Fact::Absent | Fact::Unknown(_) => &mut [],
        }
    }

    /// Looks at what is mounted into containers from the host.
    pub fn sources_of_mounts(&mut self) {
        let mounts = self.each_container().iter().flat_map(|container| &container.mounts);
        let mut sources: Vec<String> = mounts.filter(|mount| mount.kind == "bind").map(|mount| mount.source.clone()).collect();
        sources.sort();
        sources.dedup();
        sources.iter().for_each(|source| self.stat(source));
    }

    /// Asks what the image names of containers stand for now.
    pub fn images_of_containers(&mut self) {
        let Ok(engine) = self.host.engine(docker::TIMEOUT) else { return };
        let mut names: Vec<String> =
            self.each_container().iter().map(|one| one.image.clone()).filter(|name| !name.is_empty()).collect();
        names.sort();
        names.dedup();
        let now = engine.image_ids(names);
        for container in self.each_container() {
            container.image_now = match now.get(&container.image) {
                Some(Some(Ok(id))) => Fact::Known(id.clone()),
                Some(Some(Err(why))) => Fact::Unknown(why.clone()),
                Some(None) => Fact::Absent,
                None => Fact::Unknown("the engine names no image".into()),
            };
        }
    }

    /// Asks about the exec instances of containers.
    pub fn execs(&mut self) {
        let Ok(engine) = self.host.engine(docker::TIMEOUT) else { return };
        if self.each_container().iter().all(|container| container.execs != Fact::default()) {
            return;
        }
        let ids = self.each_container().iter().flat_map(|container| container.exec_ids.clone()).collect();
        let seen = engine.execs(ids);
        for container in self.each_container() {
            let own = container.exec_ids.iter().filter_map(|id| seen.get(id).cloned());
            container.execs = match own.collect::<Result<Vec<_>, _>>() {
                Ok(execs) => Fact::Known(execs),
                Err(why) => Fact::Unknown(why),
            };
        }
    }

    /// Whether the node is in a swarm, where the API does not tell.
    pub fn swarm_state(&mut self) {
        if self.facts.daemon.api.known().is_some_and(|api| api.swarm_state.is_some()) {
            return;
        }
        let (effective, facts) = self.effective();
        let path = format!("{}/{}", effective.data_root(facts), daemon::SWARM_STATE);
        self.stat(&path);
    }

    /// The swarm, where this node is in one.
    pub fn swarm(&mut self) {
        let state = self.facts.daemon.api.known().and_then(|api| api.swarm_state.clone());
        if !matches!(self.facts.swarm, Fact::Unknown(_)) || state.is_none_or(|state| matches!(state.as_str(), "inactive" | ""))
        {
            return;
        }
        let (effective, facts) = self.effective();
        let path = format!("{}/{}", effective.data_root(facts), daemon::SWARM_STATE);
        self.read(&path);
        let addresses = match self.facts.files.get(&path) {
            Some(Fact::Known(file)) => {
                let content = file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
                swarm::addresses(content).map_or_else(|why| Fact::Unknown(format!("{path}: {why}")), Fact::Known)
            }
            Some(Fact::Unknown(why)) => Fact::Unknown(why.clone()),
            _ => Fact::Absent,
        };
        self.facts.swarm = Fact::Known(SwarmFacts { addresses, cluster: self.host.cluster() });
    }

    /// The images, where a control asks about them and dockerd runs.
    pub(super) fn images(&mut self, baseline: &Baseline) {
        let asked = kinds::image::asked(baseline).filter(|_| !self.facts.daemon.api.is_absent());
        if let Some(asked) = asked {
            self.facts.images = match &self.facts.daemon.api {
                Fact::Unknown(why) => Fact::Unknown(why.clone()),
                _ => self.host.images(&asked),
            };
            if asked.files {
                self.files_of_images();
            }
        }
    }

    /// The files in images, where their layers are directories of this host.
    fn files_of_images(&mut self) {
        let mut images = match std::mem::take(&mut self.facts.images) {
            Fact::Known(images) => images,
            other => {
                self.facts.images = other;
                return;
            }
        };
        let (effective, facts) = self.effective();
        let data_root = effective.data_root(facts);
        let dirs: BTreeSet<&String> = images.iter().flat_map(|image| &image.layer_dirs).collect();
        progress::stage(format!("looking into {} of images", progress::many(dirs.len(), "layer")));
        let mut layers = None;
        for image in images.iter_mut().filter(|image| image.unread.is_none()) {
            image.files = match kinds::image::layers_unseen(&self.facts, image) {
                Some(why) => Fact::Unknown(why),
                None => layers.get_or_insert_with(|| Layers::of(&self.host.root, &data_root)).files(&image.layer_dirs),
            };
        }
        self.facts.images = Fact::Known(images);
    }

    /// What another program reported of images; it is not kept, only what it says of images.
    pub fn scan(&mut self, path: &str) {
        if self.facts.scans.contains_key(path) {
            return;
        }
        let scan = match self.host.root.look(path, Look::Content { limit: MAX_REPORT }) {
            Fact::Known(file) => match &file.content {
                Some(content) => match scan_report::parse(&content.0, file.mtime_ns / 1_000_000_000) {
                    Ok(scans) => Fact::Known(scans),
                    Err(why) => Fact::Unknown(format!("{path}:{why}")),
                },
                None => Fact::Unknown(format!("{path} is not a regular file")),
            },
            Fact::Absent => Fact::Absent,
            Fact::Unknown(why) => Fact::Unknown(why),
        };
        self.facts.scans.insert(path.to_owned(), scan);
    }
}
