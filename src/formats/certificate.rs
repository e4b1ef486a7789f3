//! When an X.509 certificate began to be valid: the one field of it that harden asks for.

/// `notBefore` of the first certificate of a PEM text, seconds since 1970.
pub fn not_before(pem: &str) -> Option<i64> {
    let (_, rest) = pem.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let der = base64(body)?;
    // Certificate { tbsCertificate { [0] version, serialNumber, signature, issuer, validity { notBefore, … } … } … } (RFC 5280 §4.1)
    let mut certificate = Der(contents(&der, SEQUENCE)?);
    let mut tbs = Der(certificate.take(SEQUENCE)?);
    if tbs.0.first() == Some(&VERSION) {
        tbs.take(VERSION)?;
    }
    for tag in [INTEGER, SEQUENCE, SEQUENCE] {
        tbs.take(tag)?;
    }
    let validity = tbs.take(SEQUENCE)?;
    match *validity.first()? {
        tag @ UTC_TIME => time(contents(validity, tag)?, 2),
        tag @ GENERALIZED_TIME => time(contents(validity, tag)?, 4),
        _ => None,
    }
}

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
/// `[0]`, explicit.
const VERSION: u8 = 0xa0;

/// DER, one element after the other.
struct Der<'b>(&'b [u8]);

impl<'b> Der<'b> {
    /// The contents of the next element, which must have this tag.
    fn take(&mut self, tag: u8) -> Option<&'b [u8]> {
        let (header, length) = header(self.0, tag)?;
        let (element, rest) = self.0.get(header..)?.split_at_checked(length)?;
        self.0 = rest;
        Some(element)
    }
}

fn contents(der: &[u8], tag: u8) -> Option<&[u8]> {
    Der(der).take(tag)
}

/// How long the header is, and the contents after it.
fn header(der: &[u8], tag: u8) -> Option<(usize, usize)> {
    let [found, first, rest @ ..] = der else { return None };
    match usize::from(*first) {
        _ if *found != tag => None,
        short @ 0..=0x7f => Some((2, short)),
        long @ 0x81..=0x84 => {
            let bytes = rest.get(..long - 0x80)?;
            Some((2 + bytes.len(), bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))))
        }
        _ => None,
    }
}

/// `YYMMDDHHMMSSZ`, or with four digits of the year.
fn time(text: &[u8], year_digits: usize) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(year_digits)?;
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i8>().ok();
    let year: i16 = year.parse().ok()?;
    // Two digits mean 1950 to 2049 (RFC 5280 §4.1.2.5.1).
    let year = match year_digits {
        2 if year < 50 => 2000 + year,
        2 => 1900 + year,
        _ => year,
    };
    let date = jiff::civil::DateTime::new(year, part(0)?, part(2)?, part(4)?, part(6)?, part(8)?, 0).ok()?;
    Some(date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second())
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0u32, 0);
    for byte in text.bytes().filter(|byte| !byte.is_ascii_whitespace()).take_while(|byte| *byte != b'=') {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(value), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A root certificate as `docker swarm init` makes it , and its notBefore as openssl x509 -dates shows it.
    const ROOT: &str = include_str!("../../tests/data/engine/swarm-root.pem");

    #[test]
    fn the_first_certificate_counts() {
        let expected: jiff::Timestamp = include_str!("../../tests/data/engine/swarm-root.not-before").trim().parse().unwrap();
        assert_eq!(not_before(ROOT), Some(expected.as_second()));
        assert_eq!(not_before(&format!("text before\n{ROOT}{ROOT}")), Some(expected.as_second()));
        assert_eq!(not_before(""), None);
        assert_eq!(not_before("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"), None);
        assert_eq!(not_before(&ROOT.replace("CERTIFICATE", "PRIVATE KEY")), None);
    }

    #[test]
    fn times() {
        let second = |text: &str| text.parse::<jiff::Timestamp>().unwrap().as_second();
        assert_eq!(time(b"491231235959Z", 2), Some(second("2049-12-31T23:59:59Z")));
        assert_eq!(time(b"500101000000Z", 2), Some(second("1950-01-01T00:00:00Z")));
        assert_eq!(time(b"20500101000000Z", 4), Some(second("2050-01-01T00:00:00Z")));
        assert_eq!(time(b"4912312359Z", 2), None);
        assert_eq!(time(b"491331235959Z", 2), None);
    }

    proptest! {
        #[test]
        fn garbage_is_no_certificate(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let text: String = body.iter().map(|byte| char::from(b"ABCDabcd0123+/="[usize::from(*byte) % 15])).collect();
            let _ = not_before(&format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----"));
        }
    }
}
