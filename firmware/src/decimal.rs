//! Decimal numbers as f32. The standard library's way takes 16 KB of flash,
//! most of it a table for numbers of many digits, which no parameter has.

/// Most significant digits: so many are exact in 53 bits.
const DIGITS: u32 = 15;

/// Most powers of ten that are exact in 53 bits.
const EXACT: i32 = 22;

/// Most powers of ten.
const POWERS: i32 = 60;

/// Steps of f64 by which a number may be off that took more powers than that:
/// each further factor, its product and the quotient round by half of one.
const OFF: u64 = 64;

/// The f32 nearest to a number like `12`, `-0.5` or `1e-3`, ties to even.
/// `None` for anything else, for results outside f32's normal range, and where
/// more than 15 significant digits or an exponent beyond 60 would be needed.
pub fn parse(text: &str) -> Option<f32> {
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (digits, exponent) = match text.split_once(['e', 'E']) {
        Some((digits, exponent)) => (digits, exponent.parse().ok()?),
        None => (text, 0_i16),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let mut significant = 0;
    let mut mantissa = 0_u64;
    // Zeros behind the last digit that counts.
    let mut zeros = 0_u8;
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        if digit == 0 && mantissa > 0 {
            zeros = zeros.checked_add(1)?;
            continue;
        }
        for digit in core::iter::repeat_n(0, zeros.into()).chain([digit]) {
            significant += u32::from(mantissa > 0 || digit > 0);
            if significant > DIGITS {
                return None;
            }
            mantissa = mantissa * 10 + u64::from(digit);
        }
        zeros = 0;
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let power = i32::from(exponent) + i32::from(zeros) - i32::try_from(fraction.len()).ok()?;
    let value = scaled(mantissa, power)?;
    Some(if negative { -value } else { value })
}

/// `mantissa * 10^power`, rounded to f32 as if at once.
fn scaled(mantissa: u64, power: i32) -> Option<f32> {
    if mantissa == 0 {
        return Some(0.0);
    }
    if !(-POWERS..=POWERS).contains(&power) {
        return None;
    }
    let mut ten = 1.0_f64;
    for _ in 0..power.unsigned_abs() {
        ten *= 10.0;
    }
    // Up to 10^22 both are exact, so this is rounded once.
    let value = match power {
        0.. => mantissa as f64 * ten,
        _ => mantissa as f64 / ten,
    };
    // A second rounding could go wrong only next to the middle between two
    // f32; an integer in the very middle is exact.
    let off = if power.abs() <= EXACT { 0 } else { OFF };
    let place = value.to_bits() & ((1 << 29) - 1);
    let between = place.abs_diff(1 << 28) <= off;
    let exact = power == 0;
    let near = value as f32;
    let normal = near.is_finite() && near >= f32::MIN_POSITIVE;
    (normal && (!between || exact)).then_some(near)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The standard library's own parser is the judge.
    #[test]
    fn parses_as_the_standard_library_does() {
        let mut texts: Vec<String> = [
            "0",
            "-0",
            "0.5",
            "-0.5",
            "12",
            "1e-3",
            "2.5E2",
            "40.0",
            "0.05",
            ".5",
            "5.",
            "007",
            "16777217",
            "16777219",
            "3.4e38",
            "123456789012345",
            "0.000000000000001",
            "1000000000000000000000000000000000000",
            "0.10000000000000000000",
        ]
        .map(String::from)
        .to_vec();
        let mut state = 1_u32;
        for _ in 0..200_000 {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let x = f32::from_bits((state >> 3) % (40 << 23) + (100 << 23));
            texts.push(format!("{x}"));
            texts.push(format!("{:.*}", (state % 8) as usize, f64::from(x)));
            texts.push(format!("{x:e}"));
        }
        let mut refused = 0;
        for text in &texts {
            match parse(text) {
                Some(value) => {
                    let wanted: f32 = text.parse().expect("a number");
                    assert_eq!(value.to_bits(), wanted.to_bits(), "{text}");
                }
                None => refused += 1,
            }
        }
        assert!(refused < texts.len() / 20, "{refused} refused");
    }

    #[test]
    fn refuses_what_is_no_number() {
        for text in [
            "",
            "-",
            ".",
            "e5",
            "1e",
            "1e1000",
            "inf",
            "NaN",
            "0x10",
            "1_000",
            "+-1",
            "1.2.3",
            "1234567890123456",
            "1e39",
            "1e-40",
            " 1",
        ] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }
}
