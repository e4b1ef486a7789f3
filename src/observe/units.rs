//! Units: where systemd finds them, their drop-ins and environment files.

use std::collections::BTreeSet;

use super::Observer;
use crate::fact::{Fact, ServiceManager, UnitFacts};
use crate::formats::{exec_start, unit_file, unit_path};
use crate::host::fs::Want as Look;
use crate::kinds::unit;

/// Directories and the names in them.
pub(super) type Listing = Vec<(String, Vec<String>)>;

impl Observer<'_> {
    /// Finds and reads a unit, its drop-ins and its environment files.
    pub fn unit(&mut self, name: &str) {
        if self.facts.units.contains_key(name) {
            return;
        }
        let fact = self.find_unit(name);
        self.facts.units.insert(name.to_owned(), fact);
        // Flags and sockets may come from it.
        self.effective = None;
    }

    pub(super) fn find_unit(&mut self, name: &str) -> Fact<UnitFacts> {
        let dirs = self.unit_dirs();
        self.find_unit_in(name, &dirs, |observer| observer.drop_ins(&dirs, name))
    }

    pub(super) fn find_unit_in(
        &mut self,
        name: &str,
        dirs: &[&str],
        drop_ins: impl FnOnce(&mut Self) -> Result<Listing, String>,
    ) -> Fact<UnitFacts> {
        let mut fragment = None;
        for path in unit_path::fragments(dirs, name) {
            match self.read(&path) {
                Some(b"") => return Fact::Absent,
                Some(_) => {
                    fragment = Some(path);
                    break;
                }
                None => {}
            }
            match self.facts.files.remove(&path) {
                // Directories that are not there would only make the facts long.
                Some(Fact::Absent) | None => {}
                Some(Fact::Known(file)) if unit_path::is_masked(&file.real_path, file.size) => return Fact::Absent,
                Some(Fact::Known(file)) => return Fact::Unknown(format!("{path} is not a regular file ({:?})", file.kind)),
                Some(Fact::Unknown(why)) => return Fact::Unknown(why),
            }
        }
        let Some(fragment) = fragment else { return Fact::Absent };
        if self.facts.host.service_manager == ServiceManager::Systemd {
            self.stat(unit::MADE_AS_UNITS_ARE_READ);
        }
        let listing = match drop_ins(self) {
            Ok(listing) => listing,
            Err(why) => return Fact::Unknown(why),
        };
        let drop_ins = match self.readable(unit_path::order(&listing)) {
            Ok(drop_ins) => drop_ins,
            Err(why) => return Fact::Unknown(why),
        };
        let parse = |path: &String| {
            let content = self.facts.files.get(path)?.known()?.content.as_ref()?;
            Some(unit_file::parse(path, &content.0))
        };
        let merged = unit_file::Unit::merge(
            parse(&fragment).unwrap_or_else(|| unit_file::parse(&fragment, b"")),
            drop_ins.iter().filter_map(parse).collect(),
        );
        let mut named = Vec::new();
        for file in exec_start::environment_files(&merged) {
            match file.path.contains(['*', '?', '[']).then(|| self.host.root.glob(&file.path)) {
                None => named.push(file.path),
                Some(Fact::Known(paths)) => named.extend(paths),
                Some(Fact::Absent) => {}
                Some(Fact::Unknown(why)) => return Fact::Unknown(why),
            }
        }
        let environment_files = match self.readable(named) {
            Ok(files) => files,
            Err(why) => return Fact::Unknown(why),
        };
        let problems = merged.problems.iter().map(ToString::to_string).collect();
        Fact::Known(UnitFacts { fragment, drop_ins, environment_files, problems })
    }

    /// The unit directories that are there, each under one name only: `/lib` is often a link to `/usr/lib`.
    pub(super) fn unit_dirs(&mut self) -> Vec<&'static str> {
        if self.unit_dirs.is_none() {
            let mut seen = BTreeSet::new();
            let there = |dir: &&'static str| match self.host.root.look(dir, Look::Stat) {
                Fact::Absent => false,
                Fact::Known(found) => seen.insert((found.dev, found.ino)),
                // Whoever looks below it learns why.
                Fact::Unknown(_) => true,
            };
            self.unit_dirs = Some(unit_path::SEARCH.iter().copied().filter(there).collect());
        }
        self.unit_dirs.clone().unwrap_or_default()
    }

    /// The directories that hold drop-ins of a unit, and the names in them.
    pub(super) fn drop_ins(&mut self, dirs: &[&str], name: &str) -> Result<Listing, String> {
        let mut listing = self.list_all(unit_path::drop_in_dirs(dirs, name))?;
        let kind = name.rsplit_once('.').map_or("", |(_, kind)| kind);
        if !self.drop_ins_by_type.contains_key(kind) {
            let by_type = self.list_all(unit_path::type_dirs(dirs, name));
            self.drop_ins_by_type.insert(kind.to_owned(), by_type);
        }
        if let Some(by_type) = self.drop_ins_by_type.get(kind) {
            listing.extend(by_type.clone()?);
        }
        Ok(listing)
    }

    pub(super) fn list_all(&self, dirs: Vec<String>) -> Result<Listing, String> {
        let mut listing = Vec::new();
        for dir in dirs {
            match self.host.root.list(&dir) {
                Fact::Known(names) => listing.push((dir, names)),
                Fact::Absent => {}
                Fact::Unknown(why) => return Err(why),
            }
        }
        Ok(listing)
    }

    /// Those of the paths that are files; an error when one can't be read: it may say anything.
    pub(super) fn readable(&mut self, paths: Vec<String>) -> Result<Vec<String>, String> {
        let mut readable = Vec::new();
        for path in paths {
            if self.read(&path).is_some() {
                readable.push(path);
            } else if let Some(Fact::Unknown(why)) = self.facts.files.get(&path) {
                return Err(why.clone());
            }
        }
        Ok(readable)
    }
}
