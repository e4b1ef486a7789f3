//! What tables of whole hosts don't reach; every control on whole hosts is in tests/controls/container.rs.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[test]
fn bounds() {
    for (value, bound, expected) in [
        (json!(5), None, true),
        (json!(5), Some(json!(5)), true),
        (json!(6), Some(json!(5)), false),
        (json!(1 << 20), Some(json!("1m")), true),
        (json!((1 << 20) + 1), Some(json!("1m")), false),
        (json!("x"), Some(json!(5)), false),
        (json!(5), Some(json!("nonsense")), false),
    ] {
        assert_eq!(within(&value, bound.as_ref()), expected, "{value} {bound:?}");
    }
}

#[test]
fn a_path_is_itself_and_all_below() {
    let covers =
        |path: &str, other: &str| paths_below(path).iter().any(|pattern| glob::Pattern::new(pattern).unwrap().matches(other));
    for (path, other, expected) in [
        ("/etc", "/etc", true),
        ("/etc", "/etc:ro", true),
        ("/etc", "/etc/apt/sources.list:ro", true),
        ("/etc", "/etcetera", false),
        ("/", "/", true),
        ("/", "/:ro", true),
        ("/", "/srv", false),
        ("/run/", "/run/docker.sock", true),
    ] {
        assert_eq!(covers(path, other), expected, "{path} {other}");
    }
}

#[test]
fn an_approved_device_may_have_less() {
    for (approved, device, expected) in [
        ("/dev/fuse", "/dev/fuse:rwm", true),
        ("/dev/fuse:rw", "/dev/fuse:r", true),
        ("/dev/fuse:rw", "/dev/fuse:rwm", false),
        ("/dev/fuse:rw", "/dev/fuse2:r", false),
        ("/dev/ttyUSB*:rw", "/dev/ttyUSB0:rw", true),
        ("device request: all (gpu)", "device request: all (gpu)", true),
    ] {
        let patterns = property::device_and_less(approved);
        assert_eq!(
            patterns.iter().any(|pattern| glob::Pattern::new(pattern).unwrap().matches(device)),
            expected,
            "{approved} {device}"
        );
    }
}

proptest! {
    /// Whatever a baseline approves: a device with more permissions than approved is never let through.
    #[test]
    fn no_device_gets_more_than_approved(allowed in "r?w?m?", asked in "r?w?m?") {
        prop_assume!(!allowed.is_empty() && !asked.is_empty());
        let passes = property::device_and_less(&format!("/dev/x:{allowed}")).contains(&format!("/dev/x:{asked}"));
        prop_assert_eq!(passes, asked.chars().all(|letter| allowed.contains(letter)));
    }
}
