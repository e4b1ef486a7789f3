//! `/proc/self/mountinfo`: which file system a path lies on.

use serde::{Deserialize, Serialize};

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    /// Where it is mounted.
    pub point: String,
    /// The file system's device, `major:minor`; a bind mount has that of what it shows.
    pub device: String,
}

/// Every mount, in the order in which they lie upon each other. Lines of another form are skipped.
pub fn parse(text: &str) -> Vec<Mount> {
    let mount = |line: &str| {
        let fields: Vec<&str> = line.split(' ').collect();
        Some(Mount { point: unescaped(fields.get(4)?), device: (*fields.get(2)?).to_owned() })
    };
    text.lines().filter_map(mount).collect()
}

/// The kernel writes blanks, tabs, newlines and backslashes as octal numbers.
fn unescaped(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        let number = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        match number.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            Some(byte) if *first == b'\\' => {
                bytes.push(byte);
                rest = &after[3..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The mount that a path lies on: the deepest one, of several at one place the last.
pub fn of_path<'m>(mounts: &'m [Mount], path: &str) -> Option<&'m Mount> {
    let path = std::path::Path::new(path);
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| std::path::Path::new(&mount.point).components().count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
22 27 0:21 / /proc rw,relatime - proc proc rw
30 27 8:1 / /var/lib rw shared:1 - xfs /dev/sda1 rw
31 27 254:0 /x /var/lib/docker rw - ext4 /dev/vda rw
32 27 8:3 / /srv/with\\040blank rw - xfs /dev/sdb rw
33 27 8:4 / /srv/with\\040blank rw - xfs /dev/sdc rw
nonsense
";

    #[test]
    fn paths_and_their_mounts() {
        let mounts = parse(TEXT);
        assert_eq!(mounts.len(), 6);
        for (path, device) in [
            ("/", "254:0"),
            ("/var/lib", "8:1"),
            ("/var/library", "254:0"),
            ("/var/lib/docker/x", "254:0"),
            ("/var/lib/docker2", "8:1"),
            ("/srv/with blank/x", "8:4"),
        ] {
            assert_eq!(of_path(&mounts, path).unwrap().device, device, "{path}");
        }
        assert_eq!(of_path(&[], "/"), None);
    }
}
