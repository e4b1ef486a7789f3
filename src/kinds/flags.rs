//! Flags that docker.service gives dockerd: corrected in a drop-in of harden's own, the packaged unit stays as it is.

use crate::change::{Action, Edit, FileImage};
use crate::fact::{Content, Fact, Facts, FileKind};
use crate::finding::Outcome;
use crate::foresight;
use crate::formats::daemon_json;
use crate::formats::exec_edit::{self, Refusal};
use crate::formats::unit_file::{self, Origin, Setting};
use crate::kinds::effective::{self, SERVICE};
use crate::kinds::{Context, daemon, unit};
use crate::plan::{DROP_IN, drop_in_path};
use crate::reach;

const SECTION: &str = "Service";
const EXEC_START: &str = "ExecStart";

/// The `ExecStart=` that is to take another's place.
pub struct Corrected {
    /// Its value.
    pub value: String,
    /// The line that it replaces.
    pub origin: Origin,
}

impl Corrected {
    /// The settings of the drop-in: the list is emptied first, or the unit would have two commands.
    pub fn settings(&self) -> [(&str, &str, &str); 2] {
        [(SECTION, EXEC_START, ""), (SECTION, EXEC_START, self.value.as_str())]
    }

    /// What the drop-in says of it to its readers.
    pub fn comment(&self) -> String {
        format!("# dockerd's flags, corrected: in place of {}, which no longer counts.", self.origin)
    }
}

/// Why docker.service can't be corrected.
pub enum Obstacle {
    /// A word of it comes out of a variable: this word, set there.
    Variable {
        /// The word, secrets masked.
        text: String,
        /// Where the variable is set.
        place: Origin,
    },
    /// For this reason.
    Because(String),
}

impl std::fmt::Display for Obstacle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Obstacle::Variable { text, place } => f.write_str(&by_hand(text, Some(&place.to_string()))),
            Obstacle::Because(why) => f.write_str(why),
        }
    }
}

/// The command line of docker.service after these edits.
///
/// # Errors
/// Where it is not harden's to change, or would not count.
pub fn corrected(context: &Context, edits: &[daemon_json::Edit]) -> Result<Corrected, Obstacle> {
    let because = |why: String| Err(Obstacle::Because(why));
    let (effective, facts) = (&context.effective, context.facts);
    let Some((exec, flags)) = &effective.unit else { return because(format!("there is no {SERVICE}")) };
    if let Some(problem) = effective::problem_of_unit(facts, effective.unit.as_ref()) {
        return because(problem);
    }
    if !effective.unit_counts {
        return because(daemon::restart_by_hand(facts).unwrap_or_else(|| "what started dockerd can't be told".into()));
    }
    if let Some(place) = unit::overriding(&unit::merged(facts, SERVICE), SECTION, EXEC_START) {
        return because(format!("{place} is read after harden's own drop-in and wins"));
    }
    if let Some(Fact::Known(fact)) = facts.units.get(SERVICE)
        && let Some(other) = fact.drop_ins.iter().find(|path| named_alike(path))
    {
        return because(format!("{other} has the name of harden's own drop-in"));
    }
    let value = exec_edit::corrected(exec, edits).map_err(|refusal| match refusal {
        Refusal::Variable(index) => {
            let origins = flags.origins.values().flatten();
            let origin = origins.filter(|origin| origin.index <= index).max_by_key(|origin| origin.index);
            Obstacle::Variable {
                text: origin.map(|origin| origin.text.clone()).unwrap_or_default(),
                place: exec.argv[index].origin.clone(),
            }
        }
        Refusal::Because(why) => Obstacle::Because(why),
    })?;
    let origin = exec.written.as_ref().map_or_else(|| Origin::new(SERVICE, 1), |written| written.origin.clone());
    Ok(Corrected { value, origin })
}

/// What would be seen with these edits made, as far as the unit's own content goes; `None` where they can't be.
pub fn after(context: &Context, edits: &[daemon_json::Edit]) -> Option<Facts> {
    let corrected = corrected(context, edits).ok()?;
    let path = reach::real(&context.facts.files, &drop_in_path(SERVICE));
    let old = context.facts.files.get(&path).and_then(Fact::known).and_then(|file| file.content.as_ref());
    let settings = corrected.settings().map(|(section, name, value)| Setting::new(section, name, value));
    let content = unit_file::drop_in(&path, old.map(|content| content.0.as_slice()), &settings).ok()?;
    let content = Some(Content(content));
    let image = FileImage { kind: FileKind::File, mode: 0o644, uid: 0, gid: 0, content, xattrs: None, mtime_ns: None };
    Some(foresight::with_file(context.facts, &path, &image))
}

/// Of two drop-ins of one name only one counts.
fn named_alike(path: &str) -> bool {
    path.rsplit('/').next() == Some(DROP_IN) && path != drop_in_path(SERVICE)
}

/// The fix of what flags say wrongly of a key. `flag` is how they say it, `place` where, as far as that is known; `needless` that the
/// running dockerd has the value already.
pub fn correct(context: &Context, edit: daemon_json::Edit, needless: bool, flag: &str, place: Option<&str>) -> Outcome {
    match corrected(context, std::slice::from_ref(&edit)) {
        Ok(_) => {
            let runs = context.facts.daemon.process.known().is_some() && !needless;
            Outcome::Fixable(vec![Edit::DaemonFlag { edit, activation: runs.then_some(Action::DockerRestart) }])
        }
        Err(variable @ Obstacle::Variable { .. }) => Outcome::Manual(variable.to_string()),
        Err(Obstacle::Because(why)) if place.is_some() => Outcome::Manual(format!("{} ({why})", by_hand(flag, place))),
        Err(Obstacle::Because(_)) => Outcome::Manual(by_hand(flag, place)),
    }
}

/// What is said of a flag that is left to people.
pub fn by_hand(flag: &str, place: Option<&str>) -> String {
    let place = place.map_or_else(|| "where dockerd is started".to_owned(), |place| format!("in {place}"));
    format!("it is given by the flag {flag}; change or take away that flag {place}")
}
