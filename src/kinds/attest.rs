//! What only a person can tell.

use jiff::civil::Date;
use serde_json::Value;

use crate::baseline::control::{AttestWant, Control, Table, Want};
use crate::baseline::{Baseline, Catalogue};
use crate::finding::{Outcome, Verdict};
use crate::kinds::describe::Description;
use crate::kinds::{Context, docker_missing, not_applicable, unknown, verdict};

/// One verdict: attested, attested once and no longer, or not.
pub fn judge<'c>(control: &'c Control, want: &AttestWant, context: &Context) -> Vec<Verdict<'c>> {
    let now = jiff::Timestamp::now();
    vec![judge_on(control, want, context, now.to_zoned(jiff::tz::TimeZone::UTC).date())]
}

fn judge_on<'c>(control: &'c Control, want: &AttestWant, context: &Context, today: Date) -> Verdict<'c> {
    let target = "attestation";
    if let Some(outcome) = docker_missing(context.facts) {
        return verdict(control, target, outcome, "", "");
    }
    if want.swarm_manager {
        match manager(context) {
            Ok(true) => {}
            Ok(false) => return not_applicable(control, target, "this node is no manager of a swarm"),
            Err(why) => return unknown(control, target, why),
        }
    }
    let desired = format!("attested: {}", want.that);
    let days = want.days.as_ref();
    if let Some(name) = days.and_then(|days| days.unset()) {
        let how = format!("set the variable {name} in the baseline or with --set {name}=…");
        return verdict(control, target, Outcome::Manual(how), "not judged: for how long it counts is not said", desired);
    }
    let (outcome, observed) = match want.given.value().map(Attestation::of) {
        None => (Outcome::Manual(how(control, want, today, "")), "not attested".to_owned()),
        Some(Err(mistake)) => (Outcome::Manual(how(control, want, today, "again, ")), format!("attested, but {mistake}")),
        Some(Ok(attestation)) => {
            let observed = format!("attested by {} on {}", attestation.by, attestation.date);
            match attestation.over(days.and_then(|days| days.value()).copied(), today) {
                Some(over) => (Outcome::Manual(how(control, want, today, "again, ")), format!("{observed}{over}")),
                None => {
                    let until = attestation.expires.map(|date| format!(", until {date}")).unwrap_or_default();
                    (Outcome::Compliant { note: Some(format!("{observed}{until}")) }, observed)
                }
            }
        }
    };
    verdict(control, target, outcome, observed, desired)
}

/// Whether this node manages a swarm.
fn manager(context: &Context) -> Result<bool, String> {
    use crate::fact::Fact;
    let facts = context.facts;
    match &facts.daemon.api {
        Fact::Known(api) => match (api.swarm_state.as_deref(), api.swarm_manager) {
            (Some("active"), Some(manager)) => Ok(manager),
            (Some("active"), None) => Err("the engine does not say whether this node is a manager".into()),
            (Some(_), _) => Ok(false),
            (None, _) => Err("the engine does not say whether this node is in a swarm".into()),
        },
        Fact::Absent if !facts.host.live => Ok(false),
        Fact::Absent => Err("no daemon runs that says whether this node is in a swarm".into()),
        Fact::Unknown(why) => Err(why.clone()),
    }
}

/// What to write, ready to be copied.
fn how(control: &Control, want: &AttestWant, today: Date, again: &str) -> String {
    // One that was given has no name any more; the row has.
    let row = Catalogue::builtin().control(&control.id);
    let of_row = row.and_then(|row| if let Want::Attest(want) = &row.want { want.given.unset() } else { None });
    let name = want.given.unset().or(of_row).map_or_else(|| format!("attest.{}", control.id.replace('-', "_")), str::to_owned);
    let name = name.strip_prefix("attest.").unwrap_or(&name).to_owned();
    let all =
        want.or_all.as_ref().map(|area| format!(", or enable every {area} control and have them all hold")).unwrap_or_default();
    format!(
        "look, then attest it {again}in the baseline: [vars.attest] {name} = {{ by = \"NAME\", date = \"{today}\", expires = \"{}\" }}{all}",
        today.checked_add(jiff::Span::new().years(1)).unwrap_or(today)
    )
}

/// Who said so, when, and until when it counts.
struct Attestation {
    by: String,
    date: Date,
    expires: Option<Date>,
}

impl Attestation {
    fn of(table: &Table) -> Result<Self, String> {
        if let Some(other) = table.0.keys().find(|key| !["by", "date", "expires"].contains(&key.as_str())) {
            return Err(format!("`{other}` is none of by, date and expires"));
        }
        let by = table.0.get("by").and_then(Value::as_str).unwrap_or_default();
        if by.is_empty() {
            return Err("it does not say by whom".into());
        }
        let date = |key: &str| match table.0.get(key) {
            None => Ok(None),
            Some(value) => match date(value) {
                Some(date) => Ok(Some(date)),
                None => Err(format!("its `{key}` is no date like 2026-11-22")),
            },
        };
        let expires = date("expires")?;
        let date = date("date")?.ok_or("it does not say when")?;
        Ok(Self { by: by.to_owned(), date, expires })
    }

    /// Why it no longer counts, or does not yet.
    fn over(&self, days: Option<i64>, today: Date) -> Option<String> {
        let age = today.since(self.date).map(|span| i64::from(span.get_days())).unwrap_or(i64::MAX);
        match (self.expires, days) {
            _ if self.date > today => Some(", which is in the future".into()),
            (Some(expires), _) if expires < today => Some(format!(", until {expires}")),
            (_, Some(days)) if age > days => Some(format!(", which is {age} days ago; it counts for {days}")),
            _ => None,
        }
    }
}

/// A date in quotes, or one as TOML writes it.
fn date(value: &Value) -> Option<Date> {
    let text = value.as_str().or_else(|| value.as_object()?.values().next()?.as_str())?;
    text.parse().ok()
}

/// Attests by itself what holds where every control of an area holds, if the baseline has all of that area.
pub fn roll_up(baseline: &Baseline, verdicts: &mut [Verdict]) {
    for index in 0..verdicts.len() {
        let Want::Attest(AttestWant { or_all: Some(area), .. }) = &verdicts[index].control.want else { continue };
        let (own, prefix) = (verdicts[index].control.id.as_str(), format!("{area}-"));
        let of_area = |id: &str| id.starts_with(&prefix) && id != own;
        let all = Catalogue::builtin().ids().filter(|id| of_area(id)).count();
        let judged = baseline.controls.iter().filter(|control| of_area(&control.id)).count();
        let mut others = verdicts.iter().filter(|verdict| of_area(&verdict.control.id));
        let holds = |verdict: &Verdict| matches!(verdict.outcome, Outcome::Compliant { .. } | Outcome::NotApplicable(_));
        if judged == all && others.all(holds) && matches!(verdicts[index].outcome, Outcome::Manual(_)) {
            let note = format!("not attested, but all {all} other {area} controls hold");
            verdicts[index].outcome = Outcome::Compliant { note: Some(note) };
        }
    }
}

/// The control in words, for `harden explain`.
pub fn describe(want: &AttestWant) -> Description {
    let days = match want.days.as_ref().map(|days| (days.value(), days.unset())) {
        Some((Some(days), _)) => format!(", at most {days} days ago"),
        Some((_, Some(name))) => format!(", at most {name} days ago"),
        _ => String::new(),
    };
    let all = want.or_all.as_ref().map(|area| format!(", or every {area} control holds")).unwrap_or_default();
    Description {
        wanted: format!("somebody has attested: {}{days}{all}", want.that),
        observed: "the variable in the baseline: by whom, when, until when".into(),
        fix: "by hand: look, then write it into the baseline under [vars.attest]".into(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn said(value: Value, days: Option<i64>) -> String {
        let table = Table(value.as_object().unwrap().clone());
        match Attestation::of(&table) {
            Err(mistake) => mistake,
            Ok(attestation) => attestation.over(days, "2026-11-22".parse().unwrap()).unwrap_or_else(|| "counts".into()),
        }
    }

    #[test]
    fn attestations() {
        for (value, days, expected) in [
            (json!({"by": "ops", "date": "2026-11-22"}), None, "counts"),
            (json!({"by": "ops", "date": "2026-01-01", "expires": "2026-11-22"}), None, "counts"),
            (json!({"by": "ops", "date": "2026-01-01", "expires": "2026-11-21"}), None, ", until 2026-11-21"),
            (json!({"by": "ops", "date": "2026-11-23"}), None, ", which is in the future"),
            (json!({"by": "ops", "date": "2026-08-24"}), Some(90), "counts"),
            (json!({"by": "ops", "date": "2026-08-23"}), Some(90), ", which is 91 days ago; it counts for 90"),
            (json!({"by": "ops", "date": {"$__toml_private_datetime": "2026-11-01"}}), None, "counts"),
            (json!({"date": "2026-11-22"}), None, "it does not say by whom"),
            (json!({"by": "ops"}), None, "it does not say when"),
            (json!({"by": "ops", "date": "yesterday"}), None, "its `date` is no date like 2026-11-22"),
            (json!({"by": "ops", "date": "2026-11-22", "until": "x"}), None, "`until` is none of by, date and expires"),
        ] {
            assert_eq!(said(value.clone(), days), expected, "{value}");
        }
    }
}
