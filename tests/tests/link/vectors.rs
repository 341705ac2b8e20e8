//! Known answers from elsewhere: RFC 3720 for the checksum, the paper's and
//! the `cobs` crate's for stuffing, postcard's page for numbers.

use foveola_core::net::model::crc32c;
use foveola_core::wire::frame::{Decoder, Frame};
use foveola_core::wire::message::{Reply, Request, frame, read, split};

/// RFC 3720, section B.4.
#[test]
fn checksums() {
    let rising: Vec<u8> = (0..32).collect();
    let falling: Vec<u8> = (0..32).rev().collect();
    assert_eq!(crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(crc32c(&[0xff; 32]), 0x62a8_ab43);
    assert_eq!(crc32c(&rising), 0x46dd_794e);
    assert_eq!(crc32c(&falling), 0x113f_db5c);
    assert_eq!(crc32c(b"123456789"), 0xe306_9283);
}

fn body(message: &[u8]) -> Vec<u8> {
    let frame = Frame::of(message).expect("it fits");
    let bytes = frame.bytes();
    bytes[1..bytes.len() - 6].to_vec()
}

/// Another program's decoder reads what ours wrote, and the other way round.
#[test]
fn stuffing_against_the_crate() {
    let mut state = 1u32;
    for length in 0..=512usize {
        let message: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                // Long runs without a zero, and zeros in rows.
                let byte = (state >> 24) as u8;
                if length % 3 == 0 {
                    byte % 2
                } else {
                    byte | u8::from(length % 3 == 1)
                }
            })
            .collect();
        let mut plain = (length as u16).to_le_bytes().to_vec();
        plain.extend(&message);
        let mut decoded = vec![0; 600];
        let count = cobs::decode(&body(&message), &mut decoded).expect("it decodes");
        assert_eq!(decoded[..count], plain, "{length}");
        let mut stuffed = vec![0; 600];
        let count = cobs::encode(&plain, &mut stuffed);
        stuffed.truncate(count);
        let crc = crc32c(&stuffed);
        stuffed.extend((0..5).map(|i| 0x80 | (crc >> (7 * i) & 0x7f) as u8));
        let mut decoder = Decoder::default();
        assert!(stuffed.iter().all(|byte| decoder.push(*byte).is_none()));
        assert_eq!(decoder.push(0), Some(Ok(&message[..])), "{length}");
    }
}

/// The bytes of the page.
#[test]
fn the_example_of_the_page() {
    let page = std::fs::read_to_string(foveola_tests::root().join("host/docs/link.md"));
    let page = page.expect("the page");
    let mut sent = Frame::default();
    frame(7, 1, &Request::Hello(1), &mut sent).expect("it fits");
    let shown: Vec<String> = sent.bytes().iter().map(|b| format!("{b:02x}")).collect();
    let plain: String = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(plain.contains(&shown.join(" ")), "{}", shown.join(" "));
}

/// Postcard by hand: varints, options, arrays, text.
#[test]
fn messages_by_hand() {
    let mut bytes = vec![0x85, 0x03, 4, 10, 4, 1, 0xac, 2, 0];
    bytes.extend([0, 0x3f, 0x80, 0x80, 1]);
    // Session 389, sequence 4, Explain, method 4 (occlusion) is wrong here: it
    // lacks its stride, so it cannot be read.
    let (session, sequence, rest) = split(&bytes).expect("a head");
    assert_eq!((session, sequence), (389, 4));
    assert!(read::<Request<'_>>(rest).is_none());
    let part = [8, 0xac, 2, 3, 9, 8, 7];
    assert_eq!(read(&part), Some(Reply::Part(300, &[9, 8, 7])));
    assert_eq!(read::<Reply<'_>>(&[8, 0xac, 2, 4, 9, 8, 7]), None);
    assert_eq!(read::<Reply<'_>>(&[2, 0]), None, "something left over");
    assert_eq!(read(&[16, 1, 0x80, 1]), Some(Request::Time(Some(128))));
    assert_eq!(read::<Request<'_>>(&[17]), None);
}
