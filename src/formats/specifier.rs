//! Specifiers (`%n`) in the values of system units.

/// What of [`expand`] could not be resolved.
pub type Unresolved = Vec<char>;

/// Resolves the specifiers that depend only on the unit's name or that are fixed for system units. All others (`%H`, `%m` …)
/// depend on the running host: they stay as written and are returned, as are letters that systemd doesn't know and refuses.
pub fn expand(text: &[u8], unit: &str) -> (Vec<u8>, Unresolved) {
    let (mut out, mut unresolved) = (Vec::new(), Vec::new());
    let mut rest = text;
    while let [byte, after @ ..] = rest {
        rest = after;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let Some((&specifier, after)) = rest.split_first() else {
            out.push(b'%');
            break;
        };
        match value(specifier, unit) {
            Some(value) => out.extend_from_slice(value.as_bytes()),
            None => {
                out.extend_from_slice(&[b'%', specifier]);
                if specifier.is_ascii_alphanumeric() {
                    unresolved.push(char::from(specifier));
                }
            }
        }
        rest = after;
    }
    (out, unresolved)
}

fn value(specifier: u8, unit: &str) -> Option<&str> {
    let stem = unit.rsplit_once('.').map_or(unit, |(stem, _)| stem);
    let (prefix, instance) = stem.split_once('@').unwrap_or((stem, ""));
    match specifier {
        b'%' => Some("%"),
        b'n' => Some(unit),
        b'N' => Some(stem),
        b'p' => Some(prefix),
        b'i' => Some(instance),
        b'j' => prefix.rsplit('-').next(),
        b't' => Some("/run"),
        b'S' => Some("/var/lib"),
        b'C' => Some("/var/cache"),
        b'L' => Some("/var/log"),
        b'E' => Some("/etc"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_name_says_is_resolved_and_the_rest_is_named() {
        let table = [
            ("%% 100% %", "% 100% %", ""),
            ("%n %N %p %j %i.", "a-b@c.service a-b@c a-b b c.", ""),
            ("%t/docker %E", "/run/docker /etc", ""),
            ("%H-%Z %- é%m", "%H-%Z %- é%m", "HZm"),
        ];
        for (text, expected, unresolved) in table {
            assert_eq!(expand(text.as_bytes(), "a-b@c.service"), (expected.into(), unresolved.chars().collect()), "{text}");
        }
    }
}
