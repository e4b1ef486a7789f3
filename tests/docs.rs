//! docs/controls.md says what the rows say, and the rows cover what they are to cover.
//!
//! `HARDEN_WRITE_DOCS=1 cargo test --test docs` writes docs/controls.md anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use harden::baseline::control::{Area, Control};
use harden::baseline::{Baseline, Catalogue, baselines_with, builtin_names, load};
use harden::kinds::describe::{How, how};

/// `benchmark id`, level; every recommendation of CIS Docker 1.6 and 1.7, sections 1 to 7.
const CIS: &str = include_str!("data/coverage/cis.tsv");
/// Every section of the five documents that asks for something: `2.1` of the long one (002), the others by number and heading.
const SECTIONS: &str = include_str!("data/coverage/sections.txt");
/// Baseline, what it extends, control, `own` or `inherited`.
const PROFILES: &str = include_str!("data/profiles.tsv");
const PAGE: &str = "docs/controls.md";
const REWRITE: &str = "HARDEN_WRITE_DOCS=1 cargo test --test docs";

/// What baselines have beyond the table of profiles: `essential` watches the files of which a change equals root, and needs the
/// rules to load; the others extend it.
const BEYOND: [&str; 6] = [
    "audit-watch-dockerd",
    "audit-watch-etc-docker",
    "audit-watch-daemon-json",
    "audit-watch-docker-service",
    "audit-watch-docker-socket-unit",
    "audit-rules-loadable",
];

fn rewriting() -> bool {
    std::env::var_os("HARDEN_WRITE_DOCS").is_some_and(|value| value == "1")
}

fn file(path: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Writes a file, or holds it to what would be written.
fn hold(path: &str, wanted: &str) {
    if rewriting() {
        std::fs::write(file(path), wanted).unwrap();
    }
    let found = std::fs::read_to_string(file(path)).unwrap_or_default();
    let line = found.lines().zip(wanted.lines()).take_while(|(a, b)| a == b).count();
    let (is, should) = (found.lines().nth(line), wanted.lines().nth(line));
    assert!(found == wanted, "{path}:{} is\n  {is:?}\nbut should be\n  {should:?}\nTo write it anew: {REWRITE}", line + 1);
}

fn controls() -> &'static [Control] {
    &Catalogue::builtin().controls
}

fn cis_ids() -> impl Iterator<Item = (&'static str, &'static str)> {
    CIS.lines().skip(1).map(|line| line.split_once('\t').unwrap())
}

fn profiles() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let mut profiles: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in PROFILES.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        profiles.entry(columns[0]).or_default().insert(columns[2]);
    }
    profiles
}

fn with_cis<'c>(id: &'c str) -> impl Iterator<Item = &'static Control> + 'c {
    controls()
        .iter()
        .filter(move |control| ["1.6", "1.7"].iter().all(|version| control.cis.get(*version).is_some_and(|one| one == id)))
}

/// The controls that name a section, or a part of it: `003 SELinux` is a part of `003 SELinux/AppArmor`.
fn of_section<'c>(section: &'c str) -> impl Iterator<Item = &'static Control> + 'c {
    let covers = move |reference: &String| {
        let reference = reference.strip_prefix("002 ").unwrap_or(reference).trim_start_matches('§');
        let (short, long) = if reference.len() < section.len() { (reference, section) } else { (section, reference) };
        let rest = long.strip_prefix(short);
        rest.is_some_and(|rest| !short.is_empty() && !rest.starts_with(|next: char| next.is_ascii_digit() || next == '.'))
    };
    controls().iter().filter(move |control| control.guide.iter().any(covers))
}

/// What is asked for and not there, one a line.
fn missing() -> BTreeSet<String> {
    let exist: BTreeSet<&str> = Catalogue::builtin().ids().collect();
    let cis = cis_ids().map(|(id, _)| id).filter(|id| with_cis(id).next().is_none()).map(|id| format!("cis {id}"));
    let sections = SECTIONS.lines().filter(|section| of_section(section).next().is_none());
    let sections = sections.map(|section| format!("section {section}"));
    let profiles = profiles();
    let baselines = profiles.keys().filter(|name| !builtin_names().any(|builtin| builtin == **name));
    let baselines = baselines.map(|name| format!("baseline {name}"));
    let rows = profiles.values().flatten().filter(|id| !exist.contains(*id)).map(|id| format!("control {id}"));
    cis.chain(sections).chain(baselines).chain(rows).collect()
}

#[test]
fn everything_asked_for_is_there() {
    assert_eq!(cis_ids().count(), 117);
    assert_eq!(missing(), BTreeSet::new());
}

#[test]
fn levels_are_those_of_the_benchmark() {
    for (id, level) in cis_ids() {
        for control in with_cis(id) {
            assert_eq!(control.level.map(|level| level.to_string()).as_deref(), Some(level), "{}: CIS {id}", control.id);
        }
    }
}

#[test]
fn baselines_hold_what_the_profiles_say() {
    let profiles = profiles();
    for name in builtin_names() {
        let baseline = load(name, &[]).unwrap();
        let members: BTreeSet<&str> = baseline.controls.iter().map(|control| control.id.as_str()).collect();
        let mut expected: BTreeSet<&str> = profiles[name].clone();
        if baseline.chain.first().is_some_and(|eldest| eldest == "essential") {
            expected.extend(BEYOND);
        }
        // The guide's row of important files is two here, because not all of them may have the same mode.
        expected.extend((name == "guide").then_some("host-critical-secret-perms"));
        let (more, less): (Vec<_>, Vec<_>) = (members.difference(&expected).collect(), expected.difference(&members).collect());
        assert!(more.is_empty() && less.is_empty(), "{name} has {more:?} and lacks {less:?}");
        for line in PROFILES.lines().skip(1).filter(|line| line.starts_with(&format!("{name}\t"))) {
            let parent = line.split('\t').nth(1).unwrap();
            let chain = baseline.chain.iter().rev().nth(1).map_or("-", String::as_str);
            assert_eq!(chain, parent, "{name}");
        }
    }
}

#[test]
fn the_page_of_all_controls_is_what_the_rows_say() {
    hold(PAGE, &page());
}

fn page() -> String {
    let mut text = format!(
        "# All controls\n\n\
         <!-- Written by `{REWRITE}` from baselines/, and held to it by `cargo test`. -->\n\n\
         {} controls. `harden explain CONTROL` says why each matters, how it is observed and what its fix may break.\n\n\
         **Fixed**: *automatic*, harden changes the host; *live*, harden updates what runs, without stopping it; *manual*, harden \
         finds it and says what to do. **Risk** is what the fix interrupts: *safe* nothing, *restart* dockerd, *disruptive* more, and \
         only with `--max-risk disruptive`. Sections are those of the five documents behind the baseline `guide`: a bare number is one \
         of the long guide, the others have the number of their document before them.\n",
        controls().len(),
    );
    let areas = [Area::Host, Area::Daemon, Area::Audit, Area::File, Area::Socket, Area::Container, Area::Image, Area::Swarm];
    for area in areas {
        let rows: Vec<&Control> = controls().iter().filter(|control| control.area == area).collect();
        if !rows.is_empty() {
            let _ = writeln!(
                text,
                "\n## {area:?}\n\n| control | what holds | severity | level | CIS 1.6 | 1.7 | 1.8 | sections | baselines | fixed | risk |\n|---|---|---|---|---|---|---|---|---|---|---|"
            );
            rows.into_iter().for_each(|control| row(&mut text, control));
        }
    }
    let _ = writeln!(
        text,
        "\n## From the benchmark to the controls\n\nEvery recommendation of the CIS Docker Benchmark 1.6 and 1.7, sections 1 to 7.\n\n\
         | CIS 1.6, 1.7 | CIS 1.8 | level | controls | fixed |\n|---|---|---|---|---|"
    );
    for (id, level) in cis_ids() {
        let found: Vec<&Control> = with_cis(id).collect();
        let newer: BTreeSet<&str> = found.iter().filter_map(|control| control.cis.get("1.8")).map(String::as_str).collect();
        let newer = newer.into_iter().collect::<Vec<_>>().join(", ");
        let _ = writeln!(text, "| {id} | {newer} | {level} | {} |", ids_and_fixes(&found));
    }
    let _ = writeln!(
        text,
        "\n## From the documents to the controls\n\nEvery section of the five documents that asks for something.\n\n\
         | section | controls | fixed |\n|---|---|---|"
    );
    for section in sections() {
        let _ = writeln!(text, "| {section} | {} |", ids_and_fixes(&of_section(section).collect::<Vec<_>>()));
    }
    text
}

/// The sections as one reads them: the long guide's by number, then the other documents.
fn sections() -> Vec<&'static str> {
    let mut sections: Vec<&str> = SECTIONS.lines().collect();
    let number =
        |section: &str| section.split(['.', '-']).map(|part| part.parse::<u32>().unwrap_or(u32::MAX)).collect::<Vec<_>>();
    sections.sort_by_key(|section| (section.contains(' '), section.starts_with("0x"), number(section), section.to_string()));
    sections
}

fn row(text: &mut String, control: &Control) {
    let cis = |version: &str| control.cis.get(version).map(String::as_str).unwrap_or_default();
    let lower = |value: String| value.to_lowercase();
    let _ = writeln!(
        text,
        "| `{}` | {} | {} | {} | {} | {} | {} | {} | {} | {} | {} |",
        control.id,
        control.title.replace('|', "\\|"),
        lower(format!("{:?}", control.severity)),
        control.level.map(|level| level.to_string()).unwrap_or_default(),
        cis("1.6"),
        cis("1.7"),
        cis("1.8"),
        control.guide.join(", "),
        baselines_with(&control.id).join(", "),
        fixed(control),
        lower(format!("{:?}", control.risk)),
    );
}

/// How a control is fixed; where a fix waits for a value of policy, that is said.
fn fixed(control: &Control) -> String {
    let how_row = how(&control.want);
    let filled: Option<Baseline> = baselines_with(&control.id).first().and_then(|name| load(name, &[]).ok());
    let filled = filled.as_ref().and_then(|baseline| baseline.controls.iter().find(|other| other.id == control.id));
    match filled {
        Some(filled) if how_row == How::Automatic && how(&filled.want) == How::Manual => {
            "automatic, once its variable is set".to_owned()
        }
        _ => how_row.to_string(),
    }
}

fn ids_and_fixes(found: &[&Control]) -> String {
    let ids: Vec<String> = found.iter().map(|control| format!("`{}`", control.id)).collect();
    let fixes: BTreeSet<String> = found.iter().map(|control| fixed(control)).collect();
    format!("{} | {}", ids.join(", "), fixes.into_iter().collect::<Vec<_>>().join(", "))
}
