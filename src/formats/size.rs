//! Numbers of bytes, as dockerd reads them and as people do.

/// What no machine has: a limit from here on is none.
pub const UNLIMITED: i64 = 1 << 60;
const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/// `512m`, `1.5GiB`: units are powers of 1024 whatever they are called. `None` for what is no size, nothing, or [`UNLIMITED`].
pub fn parse(text: &str) -> Option<i64> {
    number(text).filter(|bytes| *bytes < UNLIMITED as f64).map(|bytes| bytes as i64)
}

/// Whether it is a size, be it beyond every machine: what takes it tells whether it is too large.
pub fn is_size(text: &str) -> bool {
    number(text).is_some()
}

/// The bytes, at least one.
fn number(text: &str) -> Option<f64> {
    let text = text.trim().to_ascii_lowercase();
    let text = text.strip_suffix("ib").or_else(|| text.strip_suffix('b')).unwrap_or(&text);
    let unit = text.chars().last().and_then(|unit| "kmgtp".find(unit));
    let digits = if unit.is_some() { &text[..text.len() - 1] } else { text };
    let is_number = digits.starts_with(|digit: char| digit.is_ascii_digit());
    let is_number = is_number && digits.chars().all(|digit| digit.is_ascii_digit() || digit == '.');
    let number: f64 = digits.parse().ok().filter(|_| is_number)?;
    let power = unit.map_or(0, |index| i32::try_from(index + 1).unwrap_or(0));
    Some(number * 1024f64.powi(power)).filter(|bytes| *bytes >= 1.0)
}

/// `512 MiB`; exact where it is a round number of some unit, else to a tenth.
pub fn words(bytes: i64) -> String {
    let mut unit = 0;
    let mut number = bytes as f64;
    while number >= 1024.0 && unit + 1 < UNITS.len() {
        number /= 1024.0;
        unit += 1;
    }
    let text = format!("{number:.1}");
    format!("{} {}", text.strip_suffix(".0").unwrap_or(&text), UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("512", Some(512)),
            ("512m", Some(512 << 20)),
            ("1.5GiB", Some(3 << 29)),
            ("10MB", Some(10 << 20)),
            ("1k", Some(1024)),
            ("", None),
            ("m", None),
            ("0", None),
            ("-1", None),
            ("1e3", None),
            ("inf", None),
            ("9999999p", None),
            ("1mm", None),
            ("ü", None),
        ] {
            assert_eq!(parse(text), bytes, "{text}");
            assert_eq!(is_size(text), bytes.is_some() || text == "9999999p", "{text}");
        }
        for (bytes, text) in [(512, "512 bytes"), (512 << 20, "512 MiB"), (3 << 29, "1.5 GiB"), (1025 << 10, "1 MiB")] {
            assert_eq!(words(bytes), text);
        }
    }
}
