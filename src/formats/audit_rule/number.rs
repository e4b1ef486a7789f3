//! Numbers as C's `strtoul` reads them.

use super::line::Problem;
use super::lossy;

/// A number that begins with a digit; what follows the digits is ignored.
pub(super) fn unsigned(argument: &[u8], option: &str) -> Result<u32, Problem> {
    if !argument.first().is_some_and(u8::is_ascii_digit) {
        return Err(Problem::auditctl(format!("{option} takes a number, not `{}`", lossy(argument))));
    }
    match number_of(argument) {
        u64::MAX => Err(Problem::auditctl(format!("{option} {}: the number is too big", lossy(argument)))),
        number => Ok(low_word(number)),
    }
}

/// The low 32 bits, which is what the kernel's record holds of a number.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn low_word(number: u64) -> u32 {
    number as u32
}

/// C's `strtoul` with base 0: decimal, `0x` hexadecimal or `0` octal, up to the first byte that is no digit; too big gives the
/// biggest.
pub(super) fn number_of(text: &[u8]) -> u64 {
    let hex_digits = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_hexdigit);
    let (base, digits) = match text {
        [b'0', b'x' | b'X', rest @ ..] if hex_digits(rest) => (16, rest),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, text),
    };
    let mut number: u64 = 0;
    for digit in digits.iter().map_while(|byte| char::from(*byte).to_digit(base)) {
        number = match number.checked_mul(u64::from(base)).and_then(|number| number.checked_add(u64::from(digit))) {
            Some(number) => number,
            None => return u64::MAX,
        };
    }
    number
}
