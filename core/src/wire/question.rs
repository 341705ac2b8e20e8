//! A question as the log keeps it: readable, and whole.

use crate::wire::message::Explain;

/// Most bytes of a question in a log.
pub const ROOM: usize = 128;

/// The method's name, a space, and the question as it came over the line, in
/// hexadecimal digits; what is longer than there is room for is left out.
pub fn spell<'t>(explain: &Explain, text: &'t mut [u8; ROOM]) -> &'t str {
    let name = explain.method.name().bytes().chain([b' ']);
    let mut question = [0; ROOM];
    let question = postcard::to_slice(explain, &mut question).unwrap_or_default();
    let digit = |nibble: u8| nibble + if nibble < 10 { b'0' } else { b'a' - 10 };
    let digits = question.iter().flat_map(|b| [b >> 4, b & 15].map(digit));
    let mut length = 0;
    for (to, from) in text.iter_mut().zip(name.chain(digits)) {
        *to = from;
        length += 1;
    }
    let said = text.get(..length).unwrap_or_default();
    str::from_utf8(said).unwrap_or_default()
}

/// The question that [`spell`] wrote; `None` for any other text.
#[must_use]
pub fn read(text: &str) -> Option<Explain> {
    let (_, digits) = text.split_once(' ')?;
    let mut question = [0; ROOM];
    let (pairs, rest) = digits.as_bytes().as_chunks();
    if !rest.is_empty() {
        return None;
    }
    let mut length = 0;
    for (to, [high, low]) in question.iter_mut().zip(pairs) {
        *to = nibble(*high)? << 4 | nibble(*low)?;
        length += 1;
    }
    let (explain, rest) = postcard::take_from_bytes(question.get(..length)?).ok()?;
    rest.is_empty().then_some(explain)
}

const fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::message::Call;

    #[test]
    fn a_method_as_it_came() {
        let explain = Explain {
            method: Call::GradCam {
                layer: Some(300),
                relu: true,
            },
            target: None,
            score: None,
            seed: 16,
        };
        // 3: grad-cam; 1 and 300 as a varint: the layer; 1; no target; no score; 16.
        assert_eq!(spell(&explain, &mut [0; ROOM]), "grad-cam 0301ac0201000010");
    }

    #[test]
    fn what_is_spelt_can_be_read() {
        let methods = [
            Call::Gradient,
            Call::Hoc {
                cover: true,
                threshold: 0.25,
                windows: [40; 8],
                strides: [u16::MAX; 8],
                baseline: crate::wire::message::Baseline::Number(-3.5),
            },
        ];
        for method in methods {
            let explain = Explain {
                method,
                target: Some(u32::MAX),
                score: Some(crate::Score::Logit),
                seed: u64::MAX,
            };
            let mut text = [0; ROOM];
            assert_eq!(read(spell(&explain, &mut text)), Some(explain));
        }
        for text in [
            "",
            "rise",
            "rise:masks=3",
            "rise 0",
            "rise 0x",
            "gradient 00000000ff",
        ] {
            assert_eq!(read(text), None, "{text}");
        }
    }
}
