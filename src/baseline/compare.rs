//! What two baselines ask for differently.

use std::collections::BTreeSet;

use serde_json::Value;

use super::control::Control;
use super::{Baseline, Waiver, params_of};

/// What sets two baselines apart; empty where they judge and fix alike.
#[derive(Debug, Default)]
pub struct Difference<'b> {
    /// Controls of the first alone.
    pub only_a: Vec<&'b Control>,
    /// Controls of the second alone.
    pub only_b: Vec<&'b Control>,
    /// Parameters of controls that both have.
    pub params: Vec<Param<'b>>,
    /// Variables; `None` where one is not set.
    pub vars: Vec<(&'b str, Option<&'b Value>, Option<&'b Value>)>,
    /// Waivers of the first alone.
    pub waivers_a: Vec<&'b Waiver>,
    /// Waivers of the second alone.
    pub waivers_b: Vec<&'b Waiver>,
}

/// A parameter of a control with its two values.
#[derive(Debug)]
pub struct Param<'b> {
    /// The control's id.
    pub control: &'b str,
    /// The parameter's name.
    pub name: &'static str,
    /// Its value in the first.
    pub a: String,
    /// Its value in the second.
    pub b: String,
}

impl<'b> Difference<'b> {
    /// Compares two baselines. Names, titles and how they were written do not count.
    pub fn between(a: &'b Baseline, b: &'b Baseline) -> Self {
        let lacks = |other: &Baseline, control: &Control| !other.controls.iter().any(|one| one.id == control.id);
        let names: BTreeSet<&str> = a.vars.keys().chain(b.vars.keys()).map(String::as_str).collect();
        let vars = names.into_iter().map(|name| (name, a.vars.get(name), b.vars.get(name)));
        Difference {
            only_a: a.controls.iter().filter(|control| lacks(b, control)).collect(),
            only_b: b.controls.iter().filter(|control| lacks(a, control)).collect(),
            params: a.controls.iter().flat_map(|control| params(control, b)).collect(),
            vars: vars.filter(|(_, a, b)| a != b).collect(),
            waivers_a: a.waivers.iter().filter(|waiver| !b.waivers.contains(waiver)).collect(),
            waivers_b: b.waivers.iter().filter(|waiver| !a.waivers.contains(waiver)).collect(),
        }
    }

    /// Whether they ask for the same.
    pub fn is_empty(&self) -> bool {
        self.only_a.is_empty()
            && self.only_b.is_empty()
            && self.params.is_empty()
            && self.vars.is_empty()
            && self.waivers_a.is_empty()
            && self.waivers_b.is_empty()
    }
}

fn params<'b>(control: &'b Control, other: &'b Baseline) -> Vec<Param<'b>> {
    let Some(other) = other.controls.iter().find(|other| other.id == control.id) else { return Vec::new() };
    let pairs = params_of(control).into_iter().zip(params_of(other));
    let pairs = pairs.filter(|((_, a), (_, b))| a != b);
    pairs.map(|((name, a), (_, b))| Param { control: &control.id, name, a, b }).collect()
}
