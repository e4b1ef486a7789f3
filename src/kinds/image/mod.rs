//! Images, and the Dockerfiles that they are built from.
//!
//! Where a Dockerfile is judged ([`build`](super::build)), the host is not looked at; else the images that the engine holds are
//! ([`api`]): their configuration ([`property`]), how they were made ([`made`]), the files in them ([`files`]), what other programs said
//! of them ([`scans`]), and what lies beside them on the host ([`client`]).

mod api;
mod client;
mod files;
mod made;
mod property;
mod scans;
mod words;

use crate::baseline::Baseline;
use crate::baseline::control::{Control, ImageRule, ImageWant, Want};
use crate::finding::Verdict;
use crate::host::docker::AskedOfImages;
use crate::kinds::describe::Description;
use crate::kinds::{Context, build};
use crate::observe::Observer;

/// Looks at what the control needs beside the images themselves.
pub fn observe(want: &ImageWant, observer: &mut Observer) {
    let live = observer.facts().host.live;
    match want.rule {
        ImageRule::SigningKeysProtected => client::observe_keys(observer),
        ImageRule::ContentTrust if live => client::observe_trust(observer),
        _ if live => scans::observe(want, observer),
        _ => {}
    }
}

/// What the controls of a baseline want to know of images; `None` where none asks.
pub fn asked(baseline: &Baseline) -> Option<AskedOfImages> {
    let wants = baseline.controls.iter().filter_map(|control| match &control.want {
        Want::Image(want) => Some(want),
        _ => None,
    });
    let wants: Vec<&ImageWant> = wants.filter(|want| api::of_images(want.rule)).collect();
    let names = wants.iter().filter(|want| want.rule == ImageRule::NoSecrets).flat_map(|want| want.look_for.clone());
    let history = wants.iter().any(|want| made::needs_history(want.rule));
    let files = wants.iter().any(|want| files::needs(want.rule));
    (!wants.is_empty()).then(|| AskedOfImages { history, files, secret_names: names.collect() })
}

pub use files::layers_unseen;

/// Verdicts of one control.
pub fn judge<'c>(control: &'c Control, want: &ImageWant, context: &Context) -> Vec<Verdict<'c>> {
    match &context.facts.build {
        Some(_) => build::judge(control, want, context),
        None => api::judge(control, want, context),
    }
}

/// The control in words, for `harden explain`.
pub fn describe(want: &ImageWant) -> Description {
    words::describe(want)
}
