//! Version numbers of programs and kernels, compared part by part: 1.10 is later than 1.9, and 26.1.0-rc.1 is earlier than 26.1.0.

use std::cmp::Ordering;

/// A release in its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    numbers: Vec<u64>,
    /// `rc.1`, `beta2`: what comes before the release itself.
    pre: Option<String>,
}

impl Release {
    /// Reads `28.5.2`, `v1.7.29`, `20.10.24+dfsg1`, `1.1.5+ds1`, `2.2.0~rc.1`, `5:27.1.1-1~debian`. `None` where no number begins it.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let text = text.split_once(':').map_or(text, |(epoch, rest)| if epoch.parse::<u32>().is_ok() { rest } else { text });
        let text = text.strip_prefix('v').unwrap_or(text);
        let end = text.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(text.len());
        let (numbers, rest) = text.split_at(end);
        let numbers = numbers.trim_end_matches('.');
        let numbers: Vec<u64> = numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok()?;
        let pre = rest.trim_start_matches(['-', '~', '.']).to_ascii_lowercase();
        let is_pre = ["rc", "beta", "alpha", "tp", "dev"].iter().any(|word| pre.starts_with(word));
        Some(Self { numbers, pre: is_pre.then_some(pre) })
    }

    /// Whether this release belongs to a line such as `25.0` or `29`.
    pub fn is_of_line(&self, line: &Release) -> bool {
        self.numbers.starts_with(&line.numbers)
    }
}

impl Ord for Release {
    fn cmp(&self, other: &Self) -> Ordering {
        let length = self.numbers.len().max(other.numbers.len());
        let part = |release: &Release, index| release.numbers.get(index).copied().unwrap_or(0);
        (0..length).map(|index| part(self, index).cmp(&part(other, index))).find(|order| order.is_ne()).unwrap_or_else(
            || match (&self.pre, &other.pre) {
                (None, None) => Ordering::Equal,
                (None, Some(_)) => Ordering::Greater,
                (Some(_), None) => Ordering::Less,
                (Some(one), Some(other)) => natural(one, other),
            },
        )
    }
}

impl PartialOrd for Release {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Compares texts with their numbers as numbers: `6.1.0-9-amd64` comes before `6.1.0-18-amd64`.
pub fn natural(one: &str, other: &str) -> Ordering {
    let (one, other) = (parts(one), parts(other));
    one.cmp(&other)
}

/// Letters sort before numbers, so that `rc` comes before a further number.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    Number(u128),
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let digit = first.is_ascii_digit();
        let end = rest.find(|letter: char| letter.is_ascii_digit() != digit).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(match part.parse() {
            Ok(number) if digit => Part::Number(number),
            _ => Part::Text(part.to_owned()),
        });
        rest = after;
    }
    parts
}

/// What is not a number of a kernel's release: `6.1.0-18-cloud-amd64` and `6.1.0-18-amd64` are two flavours.
pub fn flavour(release: &str) -> String {
    let words = release.split(['-', '.', '_', '+']);
    words.filter(|word| !word.is_empty() && !word.chars().any(|letter| letter.is_ascii_digit())).collect::<Vec<_>>().join("-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn in_order() {
        let ordered = [
            "1.9",
            "1.10.0-beta.2",
            "1.10.0-rc.2",
            "1.10.0~rc.10",
            "v1.10",
            "1.10.1+ds1",
            "20.10.24+dfsg1",
            "25.0.13",
            "28.3",
            "28.3.3",
            "5:29.0.0-1~debian.12~bookworm",
            "29.3.1",
            "29.10.0",
        ];
        for pair in ordered.windows(2) {
            let [one, other] = [Release::parse(pair[0]).unwrap(), Release::parse(pair[1]).unwrap()];
            assert!(one < other, "{pair:?}");
        }
        assert_eq!(Release::parse("1.2").unwrap().cmp(&Release::parse("1.2.0").unwrap()), Ordering::Equal);
        assert_eq!(["", "v", "dev", "unknown", "-1"].map(Release::parse), [None, None, None, None, None]);
        assert!(Release::parse("25.0.6").unwrap().is_of_line(&Release::parse("25.0").unwrap()));
        assert!(!Release::parse("25.1").unwrap().is_of_line(&Release::parse("25.0").unwrap()));
        assert!(!Release::parse("2").unwrap().is_of_line(&Release::parse("29").unwrap()));
    }

    #[test]
    fn kernels() {
        let order = ["5.10.0-28-amd64", "6.1.0-9-amd64", "6.1.0-18-amd64", "6.10.1-1-amd64"];
        for pair in order.windows(2) {
            assert_eq!(natural(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        for (release, expected) in [
            ("6.1.0-18-amd64", ""),
            ("6.1.0-18-rt-amd64", "rt"),
            ("6.1.0-18-cloud-amd64", "cloud"),
            ("6.8.0-45-generic", "generic"),
            ("5.14.0-427.el9.x86_64", ""),
            ("5.14.0-427.el9.x86_64+rt", "rt"),
        ] {
            assert_eq!(flavour(release), expected, "{release}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read(one in ".{0,20}", other in "[0-9.v+~:-]{0,12}") {
            let (a, b) = (Release::parse(&one), Release::parse(&other));
            prop_assert_eq!(natural(&one, &other), natural(&other, &one).reverse());
            if let (Some(a), Some(b)) = (a, b) {
                prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
            }
        }
    }
}
