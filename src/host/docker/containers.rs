//! All containers, inspected.

use std::collections::BTreeMap;

use hyper::StatusCode;

use super::inspect::{self, Listed};
use super::{Engine, Miss, Reply};
use crate::fact::{ContainerFacts, ExecFact, Fact};

/// A container, and the number of its first process (0 where it does not run).
pub type Seen = (ContainerFacts, i64);

impl Engine {
    /// Every container, in the order of their names. One that vanishes while it is looked at is left out; one that can't be inspected
    /// says why. `Absent` when no daemon listens.
    pub fn containers(&self) -> Fact<Vec<Seen>> {
        let now = jiff::Timestamp::now().as_second();
        let listed = self.within(self.timeout, async {
            let list = self.clone().get("/containers/json?all=1").await?;
            self.expect_ok("/containers/json?all=1", &list)?;
            inspect::list(&list.body).map_err(|why| self.failed(&format!("GET /containers/json: {why}")))
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(Miss::NoListener) => return Fact::Absent,
            Err(Miss::Failed(why)) => return Fact::Unknown(why),
        };
        let targets: Vec<String> = listed.iter().map(|one| format!("/containers/{}/json", one.id)).collect();
        let inspect = |index: usize, reply| self.inspected(&listed[index], reply, now);
        let mut seen: Vec<Seen> = match self.each("inspecting containers", &targets, inspect) {
            Ok(seen) => seen.into_iter().flatten().collect(),
            Err(Miss::NoListener) => return Fact::Absent,
            Err(Miss::Failed(why)) => return Fact::Unknown(why),
        };
        seen.sort_by(|(a, _), (b, _)| a.name.cmp(&b.name));
        name_the_others(&mut seen);
        Fact::Known(seen)
    }

    /// One container by its id; `Absent` when there is none.
    pub fn container(&self, id: &str) -> Fact<ContainerFacts> {
        let now = jiff::Timestamp::now().as_second();
        let listed = Listed { id: id.to_owned(), name: inspect::short(id) };
        let reply = self.within(self.timeout, self.clone().get(format!("/containers/{id}/json")));
        match self.inspected(&listed, reply, now) {
            None => Fact::Absent,
            Some((ContainerFacts { unread: Some(why), .. }, _)) => Fact::Unknown(why),
            Some((container, _)) => Fact::Known(container),
        }
    }

    fn inspected(&self, listed: &Listed, reply: Result<Reply, Miss>, now: i64) -> Option<Seen> {
        let target = format!("/containers/{}/json", inspect::short(&listed.id));
        let read = reply.and_then(|reply| {
            if reply.status == StatusCode::NOT_FOUND {
                return Ok(None);
            }
            self.expect_ok(&target, &reply)?;
            match inspect::container(&reply.body, now) {
                Ok(seen) if seen.0.id == listed.id => Ok(Some(seen)),
                Ok(_) => Err(self.failed(&format!("GET {target}: the answer is about another container"))),
                Err(why) => Err(self.failed(&format!("GET {target}: {why}"))),
            }
        });
        match read {
            Ok(seen) => seen,
            Err(miss) => {
                let unread = Some(self.why(miss));
                let facts = ContainerFacts { id: listed.id.clone(), name: listed.name.clone(), unread, ..Default::default() };
                Some((facts, 0))
            }
        }
    }

    /// The exec instances of these ids; one that is gone is left out.
    pub fn execs(&self, ids: Vec<String>) -> BTreeMap<String, Result<ExecFact, String>> {
        self.objects("inspecting processes of docker exec", ids, |id| format!("/exec/{id}/json"), inspect::exec)
            .into_iter()
            .filter_map(|(id, read)| Some((id, read?)))
            .collect()
    }

    /// The ids that these image names stand for now; `None` for a name that stands for nothing any more.
    pub fn image_ids(&self, names: Vec<String>) -> BTreeMap<String, Option<Result<String, String>>> {
        let target = |name: &str| format!("/images/{}/json", escaped(name));
        self.objects("looking up images of containers", names, target, inspect::image_id)
    }

    fn objects<T>(
        &self,
        doing: &str,
        names: Vec<String>,
        target: impl Fn(&str) -> String,
        read: impl Fn(&[u8]) -> Result<T, String>,
    ) -> BTreeMap<String, Option<Result<T, String>>> {
        let targets: Vec<String> = names.iter().map(|name| target(name)).collect();
        let one = |index: usize, reply: Result<Reply, Miss>| match reply {
            Ok(reply) if reply.status == StatusCode::NOT_FOUND => None,
            Ok(reply) => {
                let target = &targets[index];
                let failed = |why| self.why(self.failed(&format!("GET {target}: {why}")));
                let good = self.expect_ok(target, &reply).map_err(|miss| self.why(miss));
                Some(good.and_then(|()| read(&reply.body).map_err(failed)))
            }
            Err(miss) => Some(Err(self.why(miss))),
        };
        match self.each(doing, &targets, one) {
            Ok(seen) => names.into_iter().zip(seen).collect(),
            Err(miss) => {
                let why = self.why(miss);
                names.into_iter().map(|name| (name, Some(Err(why.clone())))).collect()
            }
        }
    }
}

/// `container:ID` as `container:NAME`, so that people know whose namespace it is.
fn name_the_others(seen: &mut [Seen]) {
    let names: BTreeMap<String, String> = seen.iter().map(|(one, _)| (one.id.clone(), one.name.clone())).collect();
    for (container, _) in seen {
        let made = &mut container.made;
        for mode in [&mut made.network_mode, &mut made.pid_mode, &mut made.ipc_mode] {
            if let Some(name) = mode.strip_prefix("container:").and_then(|id| names.get(id)) {
                *mode = format!("container:{name}");
            }
        }
    }
}

/// An image's name as a part of a path: only what a reference may hold.
fn escaped(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/:@".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { (byte as char).to_string() } else { format!("%{byte:02X}") }).collect()
}
