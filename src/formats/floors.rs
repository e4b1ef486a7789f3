//! The lowest releases of the engine and its parts that still hold: per line of releases the last security fix that it was given.

use super::release::Release;

/// The table: component, line, lowest release, source, date.
const TABLE: &str = include_str!("floors.tsv");

/// Why a release is too old.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TooOld {
    /// The lowest release that would do.
    pub floor: String,
    /// Why, with the source.
    pub why: String,
}

/// Whether a release of a component is below the floor. `None`: it is not, or the component is not in the table.
pub fn below(component: &str, release: &Release) -> Option<TooOld> {
    let rows: Vec<[&str; 5]> = rows().filter(|row| row[0] == component).collect();
    let parsed = |text: &str| Release::parse(text);
    let own = rows.iter().find(|row| parsed(row[1]).is_some_and(|line| release.is_of_line(&line)));
    match own {
        Some([_, _, floor, source, date]) => parsed(floor)
            .filter(|lowest| release < lowest)
            .map(|_| TooOld { floor: (*floor).to_owned(), why: format!("{source}, {date}") }),
        // A line of its own: later than all, or one that is given no more fixes.
        None => rows
            .iter()
            .find(|row| parsed(row[1]).is_some_and(|line| *release < line))
            .map(|row| TooOld { floor: row[2].to_owned(), why: "its line of releases is given no more fixes".into() }),
    }
}

fn rows() -> impl Iterator<Item = [&'static str; 5]> {
    TABLE.lines().filter(|line| !line.starts_with('#')).skip(1).filter_map(|line| {
        let columns: Vec<&'static str> = line.split('\t').collect();
        columns.try_into().ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_whole() {
        let lines = TABLE.lines().filter(|line| !line.starts_with('#')).count();
        assert_eq!(rows().count() + 1, lines);
        for [component, line, floor, source, date] in rows() {
            let [line, floor] = [line, floor].map(|text| Release::parse(text).unwrap());
            assert!(floor.is_of_line(&line), "{component}");
            assert!(source.contains("CVE-"), "{component}");
            date.parse::<jiff::civil::Date>().unwrap();
        }
        let all: Vec<_> = rows().collect();
        for pair in all.windows(2).filter(|pair| pair[0][0] == pair[1][0]) {
            assert!(Release::parse(pair[0][1]) < Release::parse(pair[1][1]), "{pair:?}");
        }
    }

    #[test]
    fn releases_and_floors() {
        for (component, release, floor) in [
            ("docker", "20.10.24+dfsg1", Some("25.0.13")),
            ("docker", "25.0.12", Some("25.0.13")),
            ("docker", "25.0.13", None),
            ("docker", "27.5.1", Some("28.3.3")),
            ("docker", "28.3.3", None),
            ("docker", "28.10.0", None),
            ("docker", "29.0.0", Some("29.3.1")),
            ("docker", "29.3.1-rc.1", Some("29.3.1")),
            ("docker", "30.0.0", None),
            ("containerd", "v1.7.28", Some("1.7.29")),
            ("containerd", "1.7.29", None),
            ("containerd", "1.6.39", Some("1.7.29")),
            ("runc", "1.1.5+ds1", Some("1.2.8")),
            ("runc", "1.3.3", None),
            ("runc", "1.4.0-rc.2", Some("1.4.0-rc.3")),
            ("docker-init", "0.19.0", None),
        ] {
            let found = below(component, &Release::parse(release).unwrap()).map(|old| old.floor);
            assert_eq!(found.as_deref(), floor, "{component} {release}");
        }
    }
}
