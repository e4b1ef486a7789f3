//! Sets parameters of the running kernel, and puts them back.

use std::io::ErrorKind;
use std::path::Path;

use crate::change::Parameter;
use crate::error::{Error, Result};
use crate::formats::sysctl::{is_safe, path_of, same};

const BASE: &str = "/proc/sys";

/// The value of a parameter (given with dots) as it is now; `None` when the kernel does not have it.
///
/// # Errors
/// When it can't be read.
pub fn now(key: &str) -> Result<Option<String>> {
    read(Path::new(BASE), key)
}

/// Refuses a plan that no longer fits: the parameter is not as it was seen.
///
/// # Errors
/// When it has another value, or can't be read.
pub fn expect(one: &Parameter) -> Result<()> {
    expect_in(Path::new(BASE), &one.key, &[&one.before]).map(|_| ())
}

/// Sets a parameter and reads it back. One that is as it will be already is left alone: setting `….default.…` can do that for an
/// interface.
///
/// # Errors
/// When it has another value than was seen, or the kernel does not take the new one.
pub fn set(one: &Parameter) -> Result<()> {
    set_in(Path::new(BASE), &one.key, &one.before, &one.after)
}

/// Undoes [`set`]. What is gone, or has a third value (after a boot, say), is left alone.
///
/// # Errors
/// When the kernel does not take the old value.
pub fn put_back(one: &Parameter) -> Result<()> {
    put_back_in(Path::new(BASE), &one.key, &one.before, &one.after)
}

fn read(base: &Path, key: &str) -> Result<Option<String>> {
    let path = path(base, key)?;
    match std::fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io(path, "read it", error)),
    }
}

fn path(base: &Path, key: &str) -> Result<std::path::PathBuf> {
    let path = path_of(key);
    match is_safe(&path) {
        true => Ok(base.join(path)),
        false => Err(Error::failure(format!("`{key}` is no kernel parameter"))),
    }
}

/// The present value, if it is one of these; `None` when an interface went away with its parameters.
fn expect_in(base: &Path, key: &str, values: &[&str]) -> Result<Option<String>> {
    match read(base, key)? {
        Some(now) if values.iter().any(|value| same(&now, value)) => Ok(Some(now)),
        Some(now) => Err(Error::failure(format!("it changed since it was looked at: it is {now}, not {}", values[0]))
            .at(path(base, key)?)
            .help("run the same command again")),
        None if is_of_interface(key) => Ok(None),
        None => Err(Error::failure("the kernel does not have it any more").at(path(base, key)?)),
    }
}

fn set_in(base: &Path, key: &str, before: &str, after: &str) -> Result<()> {
    match expect_in(base, key, &[before, after])? {
        Some(now) if !same(&now, after) => write(base, key, after),
        Some(_) | None => Ok(()),
    }
}

fn put_back_in(base: &Path, key: &str, before: &str, after: &str) -> Result<()> {
    match read(base, key)? {
        Some(now) if same(&now, after) => write(base, key, before),
        Some(_) | None => Ok(()),
    }
}

fn write(base: &Path, key: &str, value: &str) -> Result<()> {
    let path = path(base, key)?;
    let written = std::fs::OpenOptions::new()
        .write(true)
        .open(&path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, value.as_bytes()));
    written.map_err(|error| Error::io(&path, &format!("set it to {value}"), error))?;
    match read(base, key)? {
        Some(now) if same(&now, value) => Ok(()),
        now => {
            let now = now.unwrap_or_else(|| "gone".into());
            Err(Error::failure(format!("the kernel took {value} and has {now} all the same")).at(path))
        }
    }
}

/// Interfaces come and go.
fn is_of_interface(key: &str) -> bool {
    let path = path_of(key);
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["net", "ipv4" | "ipv6", "conf", name, _] if !["all", "default"].contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::scratch::Scratch;

    const KEY: &str = "kernel.kptr_restrict";
    const FILE: &str = "/kernel/kptr_restrict";

    #[test]
    fn set_and_put_back() {
        let scratch = Scratch::new();
        let value = || std::fs::read_to_string(scratch.at(FILE)).unwrap();
        scratch.file(FILE, "0\n", 0o644);
        set_in(scratch.path(), KEY, "0", "1").unwrap();
        // The kernel replaces the value; a plain file keeps what is behind it.
        assert_eq!(value(), "1\n");
        set_in(scratch.path(), KEY, "0", "1").unwrap();
        put_back_in(scratch.path(), KEY, "0", "1").unwrap();
        assert_eq!(value(), "0\n");
        // After a boot it is something else again: nothing to put back.
        scratch.file(FILE, "2\n", 0o644);
        put_back_in(scratch.path(), KEY, "0", "1").unwrap();
        assert_eq!(value(), "2\n");
    }

    #[test]
    fn refusals() {
        let scratch = Scratch::new();
        scratch.file(FILE, "2\n", 0o644);
        let place = scratch.at(FILE).display().to_string();
        let refused = |key: &str| set_in(scratch.path(), key, "0", "1").unwrap_err().to_string();
        assert_eq!(
            refused(KEY),
            format!("{place}: it changed since it was looked at: it is 2, not 0\n  help: run the same command again")
        );
        assert!(refused("kernel.nothing").contains("the kernel does not have it any more"), "{}", refused("kernel.nothing"));
        assert_eq!(refused("kernel/../../etc/passwd"), "`kernel/../../etc/passwd` is no kernel parameter");
        // An interface that went away took its parameters along.
        set_in(scratch.path(), "net.ipv4.conf.veth1.send_redirects", "1", "0").unwrap();
        expect_in(scratch.path(), "net.ipv4.conf.veth1.send_redirects", &["1"]).unwrap();
        assert!(expect_in(scratch.path(), KEY, &["1"]).is_err());
        put_back_in(scratch.path(), "net.ipv4.conf.veth1.send_redirects", "1", "0").unwrap();
        assert!(set_in(scratch.path(), "net.ipv4.conf.all.send_redirects", "1", "0").is_err());
    }
}
