//! harden's own file in sysctl.d.

use super::{assignment, path_of};

/// The first lines of the file.
const HEADER: &str = "# Kernel parameters, written by harden. The name of this file sorts last, so that it wins.\n";

/// What the file must hold so that it sets each of `wanted` (key and value).
///
/// Lines that are there stay as they are; one that sets a wanted parameter to something else gets the new value, and earlier ones
/// of the same parameter, which it overrules, stay. Where nothing is to be done the bytes come back unchanged.
pub fn own_file(existing: Option<&[u8]>, wanted: &[(String, String)]) -> Vec<u8> {
    let existing = existing.filter(|content| !content.is_empty()).unwrap_or(HEADER.as_bytes());
    let mut lines: Vec<Vec<u8>> = existing.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    for (key, value) in wanted {
        let path = path_of(key);
        let read = |line: &[u8]| assignment(&String::from_utf8_lossy(line));
        let last = lines.iter().rposition(|line| read(line).is_some_and(|(other, _)| other == path));
        let new = format!("{key} = {value}\n").into_bytes();
        match last {
            Some(at) if read(&lines[at]).is_some_and(|(_, old)| old.as_deref() == Some(value)) => {}
            Some(at) => lines[at] = new,
            None => {
                if let Some(last) = lines.last_mut().filter(|line| line.last() != Some(&b'\n')) {
                    last.push(b'\n');
                }
                lines.push(new);
            }
        }
    }
    lines.concat()
}

#[cfg(test)]
mod tests {
    use super::super::{AtBoot, Loader, Merged};
    use super::*;
    use proptest::prelude::*;

    fn text(existing: Option<&str>, wanted: &[(&str, &str)]) -> String {
        let wanted: Vec<_> = wanted.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        String::from_utf8(own_file(existing.map(str::as_bytes), &wanted)).unwrap()
    }

    #[test]
    fn what_is_missing_is_added_and_the_rest_stays() {
        for (existing, wanted, expected) in [
            (None, vec![("a.b", "1"), ("a.c", "2")], format!("{HEADER}a.b = 1\na.c = 2\n")),
            (Some(""), vec![("a.b", "1")], format!("{HEADER}a.b = 1\n")),
            (Some("# mine\nx.y=3"), vec![("a.b", "1")], "# mine\nx.y=3\na.b = 1\n".into()),
            (Some("a/b=1 \nx.y=3\n"), vec![("a.b", "1")], "a/b=1 \nx.y=3\n".into()),
            (Some("a.b = 0\nx.y=3\n"), vec![("a.b", "1")], "a.b = 1\nx.y=3\n".into()),
            (Some("a.b = 0\na.b = 2\n"), vec![("a.b", "1")], "a.b = 0\na.b = 1\n".into()),
            (Some("-a.b\n"), vec![("a.b", "1")], "a.b = 1\n".into()),
        ] {
            assert_eq!(text(existing, &wanted), expected, "{existing:?} {wanted:?}");
        }
    }

    proptest! {
        #[test]
        fn it_settles_and_sets_what_was_wanted(
            mine in "([-a-c.*/=# 0-9]{0,12}\n){0,5}",
            wanted in prop::collection::btree_map("[a-c]\\.[a-c]", "[0-9]", 0..4),
        ) {
            let wanted: Vec<(String, String)> = wanted.into_iter().collect();
            let first = own_file(Some(mine.as_bytes()), &wanted);
            prop_assert_eq!(&own_file(Some(&first), &wanted), &first);
            let merged = Merged::of([("f", first.as_slice())], Loader::Systemd);
            for (key, value) in &wanted {
                let at_boot = merged.at_boot(&path_of(key));
                let is_set = matches!(&at_boot, AtBoot::Set(found, _) if found == value);
                prop_assert!(is_set, "{:?}", at_boot);
            }
        }
    }
}
