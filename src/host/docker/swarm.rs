//! What a manager says of its swarm.

use serde::Deserialize;

use super::{Engine, Miss, Reply};
use crate::fact::{ClusterFacts, Fact};
use crate::formats::certificate;

impl Engine {
    /// The cluster; `Absent` where this node is no manager.
    pub fn cluster(&self) -> Fact<ClusterFacts> {
        let asked = self.within(self.timeout, async {
            let info: Info = self.parsed("/info", &self.clone().get("/info").await?)?;
            let Some(cluster) = info.swarm.filter(|swarm| swarm.control_available) else { return Ok(None) };
            let swarm: Swarm = self.parsed("/swarm", &self.clone().get("/swarm").await?)?;
            const NETWORKS: &str = "/networks?filters=%7B%22driver%22%3A%5B%22overlay%22%5D%7D";
            let networks: Vec<Network> = self.parsed("/networks", &self.clone().get(NETWORKS).await?)?;
            let secrets: Vec<serde::de::IgnoredAny> = self.parsed("/secrets", &self.clone().get("/secrets").await?)?;
            let services: Vec<Service> = self.parsed("/services", &self.clone().get("/services").await?)?;
            Ok(Some(facts(cluster, swarm, networks, secrets.len(), services)))
        });
        match asked {
            Ok(Some(facts)) => Fact::Known(facts),
            Ok(None) => Fact::Absent,
            Err(Miss::NoListener) => Fact::Unknown(self.no_listener()),
            Err(Miss::Failed(why)) => Fact::Unknown(why),
        }
    }

    fn parsed<T: for<'de> Deserialize<'de>>(&self, target: &str, reply: &Reply) -> Result<T, Miss> {
        self.expect_ok(target, reply)?;
        serde_json::from_slice(&reply.body).map_err(|error| self.failed(&format!("GET {target}: {error}")))
    }
}

fn facts(cluster: Cluster, swarm: Swarm, networks: Vec<Network>, secrets: usize, services: Vec<Service>) -> ClusterFacts {
    let root_since = match certificate::not_before(&swarm.tls_info.trust_root) {
        Some(since) => Fact::Known(since),
        None => Fact::Unknown("GET /swarm: TLSInfo.TrustRoot is no certificate".into()),
    };
    let mut overlays: Vec<_> = networks.into_iter().map(Network::encrypted).collect();
    let mut services: Vec<_> = services.into_iter().map(Service::literals).collect();
    overlays.sort();
    services.sort();
    ClusterFacts {
        managers: cluster.managers,
        nodes: cluster.nodes,
        autolock: swarm.spec.encryption_config.auto_lock_managers,
        cert_expiry_ns: swarm.spec.ca_config.node_cert_expiry,
        rotating: swarm.root_rotation_in_progress,
        root_since,
        overlays,
        secrets,
        services,
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Info {
    swarm: Option<Cluster>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Cluster {
    control_available: bool,
    managers: u64,
    nodes: u64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Swarm {
    spec: Spec,
    root_rotation_in_progress: bool,
    #[serde(rename = "TLSInfo")]
    tls_info: TlsInfo,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct TlsInfo {
    trust_root: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Spec {
    encryption_config: Encryption,
    #[serde(rename = "CAConfig")]
    ca_config: Ca,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Encryption {
    auto_lock_managers: bool,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Ca {
    node_cert_expiry: i64,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Network {
    name: String,
    /// `null` where none is set.
    options: Option<std::collections::BTreeMap<String, String>>,
}

impl Network {
    /// The option counts by being there; only `false` takes it back.
    fn encrypted(self) -> (String, bool) {
        let encrypted =
            self.options.as_ref().and_then(|options| options.get("encrypted")).is_some_and(|value| value != "false");
        (self.name, encrypted)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct Service {
    spec: ServiceSpec,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ServiceSpec {
    name: String,
    task_template: TaskTemplate,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct TaskTemplate {
    container_spec: Option<ContainerSpec>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct ContainerSpec {
    env: Option<Vec<String>>,
}

impl Service {
    /// The value itself is not kept: it may be the secret that is looked for.
    fn literals(self) -> (String, Vec<String>) {
        let env = self.spec.task_template.container_spec.and_then(|spec| spec.env).unwrap_or_default();
        let literal =
            |entry: &String| entry.split_once('=').filter(|(_, value)| !value.is_empty()).map(|(name, _)| name.to_owned());
        (self.spec.name, env.iter().filter_map(literal).collect())
    }
}
