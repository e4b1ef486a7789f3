//! POSIX access control lists as the kernel stores them (`system.posix_acl_access`, version 2).
//!
//! Layout, little endian: a 32-bit version (2), then entries of 16-bit tag, 16-bit permissions, 32-bit id.

use crate::fact::{AclEntry, AclWho};

/// The extended attribute that holds the access ACL.
pub const ACCESS: &str = "system.posix_acl_access";

const VERSION: u32 = 2;
const HEADER: usize = 4;
const ENTRY: usize = 8;

const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;

/// The entries that the mode bits don't show, limited by the mask; none for an ACL that only repeats the mode.
///
/// Errors: a text that says what is wrong with the bytes.
pub fn decode(bytes: &[u8]) -> Result<Vec<AclEntry>, String> {
    let raw = raw_entries(bytes)?;
    let Some(mask) = raw.iter().find(|entry| entry.tag == MASK).map(|entry| entry.bits) else {
        return match raw.iter().find(|entry| matches!(entry.tag, USER | GROUP)) {
            Some(_) => Err("an ACL with named entries has no mask".into()),
            None => Ok(Vec::new()),
        };
    };
    let beyond_mode = |entry: &Raw| {
        let who = match entry.tag {
            USER => AclWho::User(entry.id),
            GROUP_OBJ => AclWho::OwningGroup,
            GROUP => AclWho::Group(entry.id),
            _ => return None,
        };
        Some(AclEntry { who, bits: entry.bits & mask })
    };
    Ok(raw.iter().filter_map(beyond_mode).collect())
}

/// The entries that grant more than the permission bits of `allowed` (such as `0o640`) do.
///
/// The owning group may have the group bits. A named user or group is neither owner nor owning group: the mode gives such a one
/// the bits of others, and so does this.
pub fn grants_beyond(allowed: u32, entries: &[AclEntry]) -> Vec<&AclEntry> {
    let limit = |who: AclWho| match who {
        AclWho::OwningGroup => (allowed >> 3) & 7,
        AclWho::User(_) | AclWho::Group(_) => allowed & 7,
    };
    entries.iter().filter(|entry| entry.bits & !limit(entry.who) != 0).collect()
}

/// What the kernel makes of an access ACL when the mode is set to `mode`: owner and others take their bits, the mask (the owning
/// group where there is no mask) takes the group's.
///
/// Errors: a text that says what is wrong with the bytes.
pub fn with_mode(bytes: &[u8], mode: u32) -> Result<Vec<u8>, String> {
    let raw = raw_entries(bytes)?;
    let group_class = if raw.iter().any(|entry| entry.tag == MASK) { MASK } else { GROUP_OBJ };
    let mut result = bytes[..HEADER].to_vec();
    for entry in raw {
        let bits = match entry.tag {
            USER_OBJ => (mode >> 6) & 7,
            OTHER => mode & 7,
            tag if tag == group_class => (mode >> 3) & 7,
            _ => entry.bits,
        };
        result.extend(entry.tag.to_le_bytes());
        result.extend((bits as u16).to_le_bytes());
        result.extend(entry.id.to_le_bytes());
    }
    Ok(result)
}

struct Raw {
    tag: u16,
    bits: u32,
    id: u32,
}

fn raw_entries(bytes: &[u8]) -> Result<Vec<Raw>, String> {
    let Some((header, body)) = bytes.split_first_chunk::<HEADER>() else {
        return Err(format!("an ACL of {} bytes is too short", bytes.len()));
    };
    let version = u32::from_le_bytes(*header);
    if version != VERSION {
        return Err(format!("ACL version {version} instead of {VERSION}"));
    }
    let (entries, rest) = body.as_chunks::<ENTRY>();
    if !rest.is_empty() {
        return Err(format!("an ACL of {} bytes ends within an entry", bytes.len()));
    }
    entries.iter().map(raw_entry).collect()
}

fn raw_entry(bytes: &[u8; ENTRY]) -> Result<Raw, String> {
    let [t0, t1, p0, p1, id @ ..] = *bytes;
    let (tag, bits) = (u16::from_le_bytes([t0, t1]), u16::from_le_bytes([p0, p1]));
    if !matches!(tag, USER_OBJ | USER | GROUP_OBJ | GROUP | MASK | OTHER) {
        return Err(format!("an ACL entry has the unknown tag {tag:#x}"));
    }
    if bits > 7 {
        return Err(format!("an ACL entry has the permissions {bits:#o}"));
    }
    Ok(Raw { tag, bits: bits.into(), id: u32::from_le_bytes(id) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOBODY: u32 = u32::MAX;

    fn encode(entries: &[(u16, u16, u32)]) -> Vec<u8> {
        let mut bytes = VERSION.to_le_bytes().to_vec();
        for (tag, bits, id) in entries {
            bytes.extend(tag.to_le_bytes());
            bytes.extend(bits.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// `u::rw-,u:1000:rw-,g::r-x,g:999:rwx,m::r--,o::---`
    fn sample() -> Vec<u8> {
        let all = [(USER_OBJ, 6, NOBODY), (USER, 6, 1000), (GROUP_OBJ, 5, NOBODY), (GROUP, 7, 999), (MASK, 4, NOBODY)];
        encode(&[&all[..], &[(OTHER, 0, NOBODY)]].concat())
    }

    #[test]
    fn entries_are_limited_by_the_mask() {
        let entries = decode(&sample()).unwrap();
        let expected = [(AclWho::User(1000), 4), (AclWho::OwningGroup, 4), (AclWho::Group(999), 4)];
        assert_eq!(entries, expected.map(|(who, bits)| AclEntry { who, bits }));
    }

    #[test]
    fn an_acl_that_repeats_the_mode_shows_nothing() {
        let minimal = encode(&[(USER_OBJ, 6, NOBODY), (GROUP_OBJ, 4, NOBODY), (OTHER, 4, NOBODY)]);
        assert_eq!(decode(&minimal), Ok(Vec::new()));
    }

    #[test]
    fn bad_bytes_say_what_is_wrong() {
        let cases: [(&[u8], &str); 6] = [
            (&[], "an ACL of 0 bytes is too short"),
            (&[1, 0, 0, 0], "ACL version 1 instead of 2"),
            (&[2, 0, 0, 0, 1], "an ACL of 5 bytes ends within an entry"),
            (&encode(&[(0x40, 4, 0)]), "an ACL entry has the unknown tag 0x40"),
            (&encode(&[(OTHER, 8, 0)]), "an ACL entry has the permissions 0o10"),
            (&encode(&[(USER, 4, 1000)]), "an ACL with named entries has no mask"),
        ];
        for (bytes, expected) in cases {
            assert_eq!(decode(bytes), Err(expected.to_string()));
        }
    }

    #[test]
    fn named_entries_may_have_what_others_may() {
        let entry = |who, bits| AclEntry { who, bits };
        let cases = [
            (0o640, entry(AclWho::User(1000), 4), true),
            (0o644, entry(AclWho::User(1000), 4), false),
            (0o644, entry(AclWho::User(1000), 6), true),
            (0o660, entry(AclWho::Group(999), 6), true),
            (0o660, entry(AclWho::OwningGroup, 6), false),
            (0o640, entry(AclWho::OwningGroup, 6), true),
            (0o600, entry(AclWho::User(1000), 0), false),
        ];
        for (allowed, entry, beyond) in cases {
            assert_eq!(grants_beyond(allowed, std::slice::from_ref(&entry)).len() == 1, beyond, "{allowed:o} {entry:?}");
        }
    }

    #[test]
    fn setting_the_mode_sets_the_mask() {
        let tightened = with_mode(&sample(), 0o700).unwrap();
        let entries = decode(&tightened).unwrap();
        assert!(entries.iter().all(|entry| entry.bits == 0), "{entries:?}");
        assert_eq!(with_mode(&tightened, 0o640).unwrap(), sample());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), mode in 0u32..0o10000) {
            if let Ok(entries) = decode(&bytes) {
                prop_assert!(entries.iter().all(|entry| entry.bits <= 7));
                prop_assert_eq!(with_mode(&bytes, mode).unwrap().len(), bytes.len());
            }
        }
    }
}
