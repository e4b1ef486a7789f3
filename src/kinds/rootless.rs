//! Whether dockerd has root's rights. It is another installation if it has not, so harden only reports.

use crate::baseline::control::{Control, RootlessWant};
use crate::fact::{ApiFacts, Fact, Layout};
use crate::finding::{Outcome, Verdict};
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, verdict};

const TARGET: &str = "dockerd";
const HELP: &str = "a rootless dockerd is another installation with images, volumes and limits of its own \
                    (dockerd-rootless-setuptool.sh install); or say in the variable rootless why root's is wanted here";

/// One verdict.
pub fn judge<'c>(control: &'c Control, want: &RootlessWant, context: &Context) -> Vec<Verdict<'c>> {
    let layout = &context.facts.daemon.layout;
    let told = |outcome, observed: &str| vec![verdict(control, TARGET, outcome, observed, "rootless")];
    let outcome = match &layout.kind {
        Layout::Podman => Outcome::NotApplicable(format!("this is Podman's socket ({}): there is no dockerd", layout.evidence)),
        Layout::Desktop => Outcome::NotApplicable(format!(
            "this is Docker Desktop ({}): its dockerd is root in a virtual machine of its own",
            layout.evidence
        )),
        Layout::Remote(_) => of_answer(want, &context.facts.daemon.api),
        Layout::Rootless(_) => Outcome::Compliant { note: Some(layout.evidence.clone()) },
        Layout::Rootful | Layout::Snap => match (docker_missing(context.facts), &context.facts.daemon.process) {
            (Some(outcome), _) => outcome,
            (None, Fact::Unknown(why)) => Outcome::Unknown(why.clone()),
            (None, _) if !want.unless.is_empty() => {
                Outcome::NotApplicable(format!("root's dockerd is wanted here: {}", want.unless))
            }
            (None, _) => Outcome::Manual(HELP.into()),
        },
    };
    let observed = if matches!(outcome, Outcome::Compliant { .. }) { "rootless" } else { "root's" };
    told(outcome, observed)
}

/// The same of an engine of which only the API is seen.
fn of_answer(want: &RootlessWant, api: &Fact<ApiFacts>) -> Outcome {
    let options = match api {
        Fact::Known(api) => api.security_options.as_deref(),
        Fact::Absent => None,
        Fact::Unknown(why) => return Outcome::Unknown(why.clone()),
    };
    let Some(options) = options else { return Outcome::Unknown("the engine does not say whether it is rootless".into()) };
    match options.iter().any(|option| option.split(',').next() == Some("name=rootless")) {
        true => Outcome::Compliant { note: Some("API /info SecurityOptions has name=rootless".into()) },
        false if !want.unless.is_empty() => Outcome::NotApplicable(format!("root's dockerd is wanted here: {}", want.unless)),
        false => Outcome::Manual(HELP.into()),
    }
}

/// The control in words, for `harden explain`.
pub fn describe(_want: &RootlessWant) -> Description {
    Description {
        wanted: "dockerd runs rootless, or the variable rootless says why not".into(),
        observed: "the user of the process dockerd, and /info SecurityOptions over the Engine API".into(),
        fix: format!("by hand: {HELP}"),
    }
}
