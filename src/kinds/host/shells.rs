//! Whether idle shells end.

use super::{Reading, Seen};
use crate::fact::Fact;
use crate::formats::session_timeout;
use crate::kinds::Context;
use crate::observe::Observer;

const PROFILE_D: &str = "/etc/profile.d/*.sh";
const FILES: [&str; 3] = ["/etc/profile", "/etc/bash.bashrc", "/etc/bashrc"];

pub fn observe(observer: &mut Observer) {
    observer.glob(PROFILE_D);
    let more = observer.facts().globs.get(PROFILE_D).and_then(Fact::known).cloned().unwrap_or_default();
    for path in FILES.iter().map(|path| path.to_string()).chain(more) {
        observer.read(&path);
    }
}

pub fn timeout(context: &Context) -> Seen {
    let target = "TMOUT".to_owned();
    let facts = context.facts;
    let more = match facts.globs.get(PROFILE_D) {
        Some(Fact::Known(paths)) => paths.clone(),
        Some(Fact::Unknown(why)) => return Seen::Unknown(target, why.clone()),
        _ => Vec::new(),
    };
    let (mut values, mut readonly, mut seen) = (Vec::new(), false, false);
    for path in FILES.iter().map(|path| path.to_string()).chain(more) {
        match facts.files.get(&path) {
            Some(Fact::Known(file)) => {
                seen = true;
                let content = file.content.as_ref().map(|content| content.0.as_slice()).unwrap_or_default();
                let said = session_timeout::parse(&String::from_utf8_lossy(content));
                if let Some(line) = said.unclear {
                    let why =
                        "TMOUT is changed by more than a plain assignment that always runs; what it comes to can't be told";
                    return Seen::Unknown(target, format!("{path}:{line}: {why}"));
                }
                readonly |= said.readonly;
                values.extend(said.values.into_iter().map(|(value, line)| (value, format!("{path}:{line}"))));
            }
            Some(Fact::Unknown(why)) => return Seen::Unknown(target, why.clone()),
            _ => {}
        }
    }
    if !seen {
        return Seen::Nothing(target, "no shell is set up here: no /etc/profile, no /etc/bash.bashrc".into());
    }
    let evidence: Vec<String> = values.iter().map(|(value, origin)| format!("{origin}: TMOUT={value}")).collect();
    if let Some((value, origin)) = values.iter().find(|(value, _)| value.parse::<i64>().is_err()) {
        return Seen::Unknown(target, format!("{origin}: TMOUT={value} is no plain number; what it comes to can't be told"));
    }
    // Zero is never.
    let never = values.iter().any(|(value, _)| value.parse() == Ok(0));
    let longest = values.iter().filter_map(|(value, _)| value.parse::<i64>().ok()).max();
    let (value, shown) = match longest {
        None => (None, "not set".to_owned()),
        Some(_) if never => (Some(0.into()), "0, which is never".to_owned()),
        Some(seconds) if !readonly => (None, format!("{seconds} s, and every user can change it")),
        Some(seconds) => (Some(seconds.into()), format!("{seconds} s")),
    };
    Seen::of(Reading { target, value, shown, evidence, ..Reading::default() })
}
