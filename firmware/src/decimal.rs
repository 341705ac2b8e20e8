//! Decimal numbers as f32. The standard library's way takes 16 KB of flash,
//! most of it a table for numbers of many digits, which no parameter has.

/// Most significant digits: so many are exact in 53 bits.
const DIGITS: u32 = 15;

/// Most powers of ten, which are exact in 53 bits.
const POWERS: i32 = 22;

/// The f32 nearest to a number like `12`, `-0.5` or `1e-3`, ties to even.
/// `None` for anything else, and where more than 15 significant digits, an
/// exponent beyond 22 or a result outside f32's normal range would be needed.
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
    for digit in whole.bytes().chain(fraction.bytes()) {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        significant += u32::from(significant > 0 || digit > 0);
        if significant > DIGITS {
            return None;
        }
        mantissa = mantissa * 10 + u64::from(digit);
    }
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let power = i32::from(exponent) - i32::try_from(fraction.len()).ok()?;
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
    // Both are exact, so this is rounded once.
    let value = match power {
        0.. => mantissa as f64 * ten,
        _ => mantissa as f64 / ten,
    };
    // A second rounding would go wrong only in the middle between two f32
    // that the first one has moved the number to.
    let between = value.to_bits() & ((1 << 29) - 1) == 1 << 28;
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
