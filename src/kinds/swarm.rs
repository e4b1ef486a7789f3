//! The swarm: what a manager says of the cluster, and the addresses that this node was given when it joined.

use glob::{MatchOptions, Pattern};

use crate::baseline::control::{Control, SwarmRule, SwarmWant};
use crate::fact::{ClusterFacts, Fact, SwarmAddresses, SwarmFacts};
use crate::finding::{Outcome, Verdict};
use crate::kinds::daemon::noted_swarm;
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};
use crate::observe::Observer;

const TARGET: &str = "swarm";
/// The overlay network that the engine makes itself; it carries published ports, and is created anew to be encrypted.
const INGRESS: &str = "ingress";
const HOUR_NS: i64 = 3_600_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Asks the manager once; nothing where the node is in no swarm.
pub fn observe(want: &SwarmWant, observer: &mut Observer) {
    observer.swarm_state();
    if want.rule != SwarmRule::DisabledIfUnneeded {
        observer.swarm();
    }
}

/// The node's own record of the swarm.
///
/// # Errors
/// When it is none.
pub fn addresses(state: &[u8]) -> Result<SwarmAddresses, String> {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct State {
        listen_addr: String,
        advertise_addr: String,
        #[serde(default)]
        data_path_addr: String,
    }
    let state: State = serde_json::from_slice(state).map_err(|error| error.to_string())?;
    Ok(SwarmAddresses { listen: state.listen_addr, advertise: state.advertise_addr, data_path: state.data_path_addr })
}

/// The state of a node whose dockerd does not run, if it is in no swarm; of one that is, only dockerd tells more.
fn stopped(context: &Context) -> Result<&'static str, String> {
    if let Some(why) = context.effective.uncertain("data-root", context.facts) {
        return Err(why);
    }
    match noted_swarm(context)? {
        true => Err("this node is in a swarm, and no dockerd runs that could tell of it".into()),
        false => Ok("inactive"),
    }
}

/// One verdict, or one for each of several networks.
pub fn judge<'c>(control: &'c Control, want: &SwarmWant, context: &Context) -> Vec<Verdict<'c>> {
    if let Some(outcome) = docker_missing(context.facts) {
        return vec![verdict(control, TARGET, outcome, "", "")];
    }
    let state = match &context.facts.daemon.api {
        Fact::Known(api) => api.swarm_state.as_deref().unwrap_or("inactive"),
        Fact::Absent if !context.facts.host.live => {
            return vec![not_applicable(control, TARGET, "an image tree is in no swarm")];
        }
        Fact::Absent => match stopped(context) {
            Ok(state) => state,
            Err(why) => return vec![unknown(control, TARGET, why)],
        },
        Fact::Unknown(why) => return vec![unknown(control, TARGET, why.clone())],
    };
    if want.rule == SwarmRule::DisabledIfUnneeded {
        return vec![disabled(control, want, state)];
    }
    if matches!(state, "inactive" | "") {
        return vec![not_applicable(control, TARGET, "this node is in no swarm")];
    }
    if state == "locked" {
        return vec![unknown(control, TARGET, "the swarm is locked: docker swarm unlock")];
    }
    let SwarmFacts { addresses, cluster } = match &context.facts.swarm {
        Fact::Known(swarm) => swarm,
        Fact::Absent => return vec![not_applicable(control, TARGET, "this node is in no swarm")],
        Fact::Unknown(why) => return vec![unknown(control, TARGET, why.clone())],
    };
    match (want.rule, addresses, cluster) {
        (SwarmRule::BindAddress, _, Fact::Absent) => {
            vec![not_applicable(control, TARGET, "only managers listen for others, and this node is a worker")]
        }
        (SwarmRule::BindAddress | SwarmRule::PlaneSeparation, Fact::Known(addresses), _) => {
            vec![of_addresses(control, want, addresses)]
        }
        (SwarmRule::BindAddress | SwarmRule::PlaneSeparation, Fact::Absent, _) => {
            vec![unknown(control, TARGET, "the node's own record of the swarm is not there")]
        }
        (SwarmRule::BindAddress | SwarmRule::PlaneSeparation, Fact::Unknown(why), _) => {
            vec![unknown(control, TARGET, why.clone())]
        }
        (_, _, Fact::Known(cluster)) => of_cluster(control, want, cluster),
        (_, _, Fact::Absent) => vec![not_applicable(control, TARGET, "only a manager can tell, and this node is a worker")],
        (_, _, Fact::Unknown(why)) => vec![unknown(control, TARGET, why.clone())],
    }
}

fn disabled<'c>(control: &'c Control, want: &SwarmWant, state: &str) -> Verdict<'c> {
    let expected = want.expected.as_ref().and_then(|expected| expected.value()) == Some(&true);
    let outcome = match state {
        "inactive" | "" => Outcome::Compliant { note: None },
        _ if expected => Outcome::Compliant { note: Some("swarm_expected says that it is wanted".into()) },
        _ => Outcome::Manual(
            "leave it with docker swarm leave, which ends its services, secrets and networks here; or set swarm_expected = true".into(),
        ),
    };
    let state = if state.is_empty() { "inactive" } else { state };
    let desired = if expected { "active or inactive" } else { "inactive" };
    let mut verdict = verdict(control, TARGET, outcome, state, desired);
    verdict.evidence.push("API /info Swarm.LocalNodeState".into());
    verdict
}

fn of_addresses<'c>(control: &'c Control, want: &SwarmWant, addresses: &SwarmAddresses) -> Verdict<'c> {
    let host = |address: &str| address.rsplit_once(':').map_or(address, |(host, _)| host).trim_matches(['[', ']']).to_owned();
    let mut verdict = match want.rule {
        SwarmRule::BindAddress => {
            let everywhere = matches!(host(&addresses.listen).as_str(), "" | "0.0.0.0" | "::");
            let outcome = match everywhere {
                false => Outcome::Compliant { note: None },
                true => Outcome::Manual(
                    "the address is given when a node joins: have it leave, and join again with --listen-addr ADDRESS:2377"
                        .into(),
                ),
            };
            verdict(control, TARGET, outcome, addresses.listen.clone(), "one address")
        }
        _ => {
            let data = host(&addresses.data_path);
            let shared = data.is_empty() || data == host(&addresses.advertise);
            let outcome = match shared {
                false => Outcome::Compliant { note: None },
                true => Outcome::Manual(
                    "the addresses are given when a node joins: have it leave, and join again with --data-path-addr of a second interface"
                        .into(),
                ),
            };
            let observed = match shared {
                true => format!("{} for both", host(&addresses.advertise)),
                false => format!("{} and {data}", host(&addresses.advertise)),
            };
            verdict(control, TARGET, outcome, observed, "an address for management and another for data")
        }
    };
    verdict.evidence.push("swarm/docker-state.json in the data root".into());
    verdict
}

fn of_cluster<'c>(control: &'c Control, want: &SwarmWant, cluster: &ClusterFacts) -> Vec<Verdict<'c>> {
    let one = |outcome, observed: String, desired: String, evidence: &str| {
        let mut verdict = verdict(control, TARGET, outcome, observed, desired);
        verdict.evidence.push(evidence.into());
        vec![verdict]
    };
    let good = || Outcome::Compliant { note: None };
    match want.rule {
        SwarmRule::ManagerCount => {
            let (fits, desired) = managers(want, cluster);
            let outcome = match fits {
                true => good(),
                false => {
                    Outcome::Manual("docker node promote and docker node demote change it; never lose the majority".into())
                }
            };
            let observed = format!("{} of {} nodes", cluster.managers, cluster.nodes);
            one(outcome, observed, desired, "API /info Swarm.Managers and Swarm.Nodes")
        }
        SwarmRule::Autolock => {
            let outcome = match cluster.autolock {
                true => good(),
                false => Outcome::Manual(
                    "docker swarm update --autolock=true prints the key that every restart of a manager asks for from then on: keep it".into(),
                ),
            };
            let observed = if cluster.autolock { "on" } else { "off" };
            one(outcome, observed.into(), "on".into(), "API /swarm EncryptionConfig.AutoLockManagers")
        }
        SwarmRule::NodeCertExpiry => {
            let Some(days) = want.days_at_most.as_ref().and_then(|days| days.value()) else {
                return one(
                    Outcome::Manual("set swarm_cert_expiry_days".into()),
                    hours(cluster.cert_expiry_ns),
                    "as policy says".into(),
                    "API /swarm",
                );
            };
            let limit = i64::try_from(*days).unwrap_or(i64::MAX).saturating_mul(24).saturating_mul(HOUR_NS);
            let outcome = match cluster.cert_expiry_ns > 0 && cluster.cert_expiry_ns <= limit {
                true => good(),
                // It holds for every node of the cluster, not for this host alone.
                false => Outcome::Manual(format!(
                    "docker swarm update --cert-expiry {} changes it for the whole swarm",
                    hours(limit)
                )),
            };
            let desired = format!("at most {}", hours(limit));
            one(outcome, hours(cluster.cert_expiry_ns), desired, "API /swarm CAConfig.NodeCertExpiry")
        }
        SwarmRule::CaRotation => ca_rotation(control, want, cluster),
        SwarmRule::OverlayEncrypted => overlays(control, want, cluster),
        SwarmRule::SecretsUsed => secrets(control, want, cluster),
        // Judged before, from the node itself.
        SwarmRule::DisabledIfUnneeded | SwarmRule::BindAddress | SwarmRule::PlaneSeparation => Vec::new(),
    }
}

/// Whether the number of managers is what it should be, and what that is.
fn managers(want: &SwarmWant, cluster: &ClusterFacts) -> (bool, String) {
    match want.managers.as_ref().and_then(|managers| managers.value()) {
        Some(wanted) => (cluster.managers == *wanted, wanted.to_string()),
        None => {
            let least = if cluster.nodes > 2 { 3 } else { 1 };
            let fits = cluster.managers % 2 == 1 && (least..=7).contains(&cluster.managers);
            (fits, format!("an odd number from {least} to 7"))
        }
    }
}

fn hours(nanoseconds: i64) -> String {
    format!("{}h", nanoseconds / HOUR_NS)
}

fn ca_rotation<'c>(control: &'c Control, want: &SwarmWant, cluster: &ClusterFacts) -> Vec<Verdict<'c>> {
    let since = match &cluster.root_since {
        Fact::Known(since) => *since,
        Fact::Unknown(why) => return vec![unknown(control, TARGET, why.clone())],
        Fact::Absent => return vec![unknown(control, TARGET, "the swarm shows no root certificate")],
    };
    let age = (jiff::Timestamp::now().as_second() - since).max(0) / DAY_SECONDS;
    let help = "docker swarm ca --rotate makes a new one, and every node gets a new certificate";
    let limit = want.days_at_most.as_ref().and_then(|days| days.value());
    let (outcome, desired) = match limit {
        _ if cluster.rotating => {
            (Outcome::Manual("a rotation is going on: docker node ls shows who is behind".into()), "not rotating".into())
        }
        None => (
            Outcome::Manual(format!("set swarm_ca_max_age_days to what policy says; {help}")),
            "as old as policy allows".into(),
        ),
        Some(limit) if age <= i64::try_from(*limit).unwrap_or(i64::MAX) => {
            (Outcome::Compliant { note: None }, format!("at most {limit} days old"))
        }
        Some(limit) => (Outcome::Manual(help.into()), format!("at most {limit} days old")),
    };
    let observed = if cluster.rotating { "being rotated".into() } else { format!("{age} days old") };
    let mut verdict = verdict(control, TARGET, outcome, observed, desired);
    verdict.evidence.push("API /swarm TLSInfo.TrustRoot".into());
    vec![verdict]
}

/// One verdict a network.
fn overlays<'c>(control: &'c Control, want: &SwarmWant, cluster: &ClusterFacts) -> Vec<Verdict<'c>> {
    if cluster.overlays.is_empty() {
        return vec![not_applicable(control, TARGET, "there is no overlay network")];
    }
    let judge = |(name, encrypted): &(String, bool)| {
        let outcome = match encrypted {
            true => Outcome::Compliant { note: None },
            false if matches(&want.allow, name) => {
                Outcome::Compliant { note: Some("not encrypted, which swarm_unencrypted_ok allows".into()) }
            }
            false if name == INGRESS => Outcome::Manual(
                "no option of a network can be changed: docker network rm ingress, then docker network create --ingress --opt encrypted \
                 --driver overlay ingress; or allow it with swarm_unencrypted_ok"
                    .into(),
            ),
            false => Outcome::Manual(format!(
                "no option of a network can be changed: make another with docker network create --driver overlay --opt encrypted, and \
                 move the services of {name} to it"
            )),
        };
        let observed = if *encrypted { "encrypted" } else { "not encrypted" };
        let mut verdict = verdict(control, format!("network:{name}"), outcome, observed, "encrypted");
        verdict.evidence.push("API /networks Options.encrypted".into());
        verdict
    };
    cluster.overlays.iter().map(judge).collect()
}

/// One verdict a service that has a secret in its environment.
fn secrets<'c>(control: &'c Control, want: &SwarmWant, cluster: &ClusterFacts) -> Vec<Verdict<'c>> {
    let is_secret = |name: &&String| {
        let name = name.to_uppercase().replace('-', "_");
        matches(&want.look_for, &name) && !name.ends_with("_FILE") && !matches(&want.allow, &name)
    };
    let mut verdicts = Vec::new();
    for (service, names) in &cluster.services {
        let found: Vec<&str> = names.iter().filter(is_secret).map(String::as_str).collect();
        if found.is_empty() {
            continue;
        }
        let help = "docker secret create, then docker service update --secret-add, and have the program read /run/secrets; the value that \
                    was in the environment is known to everybody who may look at the service, so change it";
        let observed = format!("{} in its environment", found.join(", "));
        let target = format!("service:{service}");
        let mut verdict = verdict(control, target, Outcome::Manual(help.into()), observed, "no secret in its environment");
        verdict.evidence.push("API /services ContainerSpec.Env, names only".into());
        verdicts.push(verdict);
    }
    if verdicts.is_empty() {
        let observed =
            format!("{} secrets, and none in the environment of {} services", cluster.secrets, cluster.services.len());
        let desired = "no secret in the environment of a service";
        verdicts.push(verdict(control, TARGET, Outcome::Compliant { note: None }, observed, desired));
    }
    verdicts
}

fn matches(patterns: &[String], name: &str) -> bool {
    let options = MatchOptions { case_sensitive: false, ..MatchOptions::new() };
    patterns.iter().any(|pattern| Pattern::new(pattern).is_ok_and(|pattern| pattern.matches_with(name, options)))
}

/// The control in words, for `harden explain`.
pub fn describe(want: &SwarmWant) -> Description {
    let (wanted, observed, fix) = match want.rule {
        SwarmRule::DisabledIfUnneeded => {
            ("the node is in no swarm, or swarm_expected is true", "/info over the Engine API", "docker swarm leave")
        }
        SwarmRule::ManagerCount => (
            "as many managers as swarm_managers says; else an odd number, from 3 to 7 in a swarm of more than two nodes",
            "/info of a manager over the Engine API",
            "docker node promote and demote",
        ),
        SwarmRule::BindAddress => (
            "the swarm's port is bound to one address",
            "the node's own record in the data root",
            "join again with --listen-addr",
        ),
        SwarmRule::OverlayEncrypted => (
            "every overlay network is encrypted, but those of swarm_unencrypted_ok",
            "/networks of a manager over the Engine API",
            "make another network with --opt encrypted",
        ),
        SwarmRule::SecretsUsed => (
            "no variable in the environment of a service has a name of image.secret_patterns and a literal value",
            "/services of a manager over the Engine API; values are never kept",
            "docker secret create, and --secret-add",
        ),
        SwarmRule::Autolock => (
            "managers are locked after a restart",
            "/swarm of a manager over the Engine API",
            "docker swarm update --autolock=true",
        ),
        SwarmRule::NodeCertExpiry => (
            "certificates of nodes end after swarm_cert_expiry_days or earlier",
            "/swarm of a manager over the Engine API",
            "docker swarm update --cert-expiry; it changes the whole swarm",
        ),
        SwarmRule::CaRotation => (
            "the root certificate is not older than swarm_ca_max_age_days, and no rotation is stuck",
            "the root certificate in /swarm of a manager",
            "docker swarm ca --rotate",
        ),
        SwarmRule::PlaneSeparation => (
            "the data of overlay networks goes over another address than the swarm's management",
            "the node's own record in the data root",
            "join again with --data-path-addr",
        ),
    };
    Description { wanted: wanted.into(), observed: observed.into(), fix: format!("by hand: {fix}") }
}
