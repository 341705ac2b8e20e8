//! Every small error of a frame is found, and the frame behind it arrives.

use foveola_core::wire::frame::{Decoder, Frame};

/// xorshift64*: numbers for the tests alone.
pub struct Numbers(pub u64);

impl Numbers {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    pub fn below(&mut self, end: usize) -> usize {
        (self.next() >> 16) as usize % end
    }
}

fn random_message(numbers: &mut Numbers, length: usize) -> Vec<u8> {
    (0..length).map(|_| numbers.next() as u8).collect()
}

/// A frame that may be hurt, and a sound one behind it.
struct Case {
    hurt: Vec<u8>,
    behind: Vec<u8>,
}

impl Case {
    fn new(numbers: &mut Numbers, length: usize) -> Self {
        let frame = |message: &[u8]| Frame::of(message).expect("it fits").bytes().to_vec();
        Self {
            hurt: frame(&random_message(numbers, length)),
            behind: frame(b"behind"),
        }
    }

    fn bits(&self) -> usize {
        8 * self.hurt.len()
    }

    /// Only the frame behind arrives.
    fn check(&mut self, decoder: &mut Decoder, bits: &[usize]) {
        for bit in bits {
            self.hurt[bit / 8] ^= 1 << (bit % 8);
        }
        let mut arrived = 0;
        for byte in self.hurt.iter().chain(&self.behind) {
            if let Some(Ok(message)) = decoder.push(*byte) {
                assert_eq!(message, b"behind", "accepted with wrong bits {bits:?}");
                arrived += 1;
            }
        }
        assert_eq!(
            arrived, 1,
            "the frame behind was lost with wrong bits {bits:?}"
        );
        for bit in bits {
            self.hurt[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn every_wrong_bit() {
    let (mut numbers, mut decoder) = (Numbers(1), Decoder::default());
    for length in 0..=256 {
        let mut case = Case::new(&mut numbers, length);
        (0..case.bits()).for_each(|bit| case.check(&mut decoder, &[bit]));
    }
}

fn all_pairs(length: usize) -> usize {
    let (mut numbers, mut decoder) = (Numbers(length as u64 + 7), Decoder::default());
    let mut case = Case::new(&mut numbers, length);
    let bits = case.bits();
    for first in 0..bits {
        (first + 1..bits).for_each(|second| case.check(&mut decoder, &[first, second]));
    }
    bits * (bits - 1) / 2
}

#[test]
fn every_pair_of_wrong_bits_in_short_frames() {
    for length in [0, 1, 2, 5, 12, 31] {
        all_pairs(length);
    }
}

/// Three to five wrong bits, and bursts of up to 32, drawn.
#[test]
fn drawn_errors() {
    let (mut numbers, mut decoder) = (Numbers(3), Decoder::default());
    for round in 0..40_000 {
        if round % 100 == 0 {
            decoder = Decoder::default();
        }
        let length = numbers.below(257);
        let mut case = Case::new(&mut numbers, length);
        let bits = case.bits();
        let count = 2 + numbers.below(4);
        let mut wrong: Vec<usize> = (0..count).map(|_| numbers.below(bits)).collect();
        if round % 2 == 0 {
            let (start, pattern) = (numbers.below(bits), numbers.next() as u32 | 1);
            wrong = (0..32)
                .filter(|i| pattern >> i & 1 == 1)
                .map(|i| start + i)
                .collect();
            wrong.retain(|bit| *bit < bits);
        }
        wrong.sort_unstable();
        wrong.dedup();
        case.check(&mut decoder, &wrong);
    }
}

fn random_stream(seed: u64, bytes: usize) {
    let (mut numbers, mut decoder) = (Numbers(seed), Decoder::default());
    for i in 0..bytes {
        // Zeros come more often than by chance, so that there are many pieces.
        let byte = (numbers.next() >> 40) as u8;
        let byte = if i % 3 == 0 && byte < 32 { 0 } else { byte };
        let found = decoder.push(byte);
        assert!(
            !matches!(found, Some(Ok(_))),
            "noise was taken for a message"
        );
    }
    decoder.push(0);
    let frame = Frame::of(b"after").expect("it fits");
    let last = frame
        .bytes()
        .iter()
        .filter_map(|b| decoder.push(*b).map(|r| r.is_ok()));
    assert!(last.last().expect("a frame"));
}

#[test]
fn ten_million_bytes_of_noise() {
    random_stream(5, 10_000_000);
}

/// All pairs of wrong bits for every length up to 256 (5.6e8 of them) and 1e8
/// bytes of noise: minutes. `cargo test --release --test link -- --ignored`
#[test]
#[ignore = "minutes"]
fn every_pair_of_wrong_bits() {
    let next = std::sync::atomic::AtomicUsize::new(0);
    let total = std::sync::atomic::AtomicUsize::new(0);
    let order = std::sync::atomic::Ordering::Relaxed;
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let length = next.fetch_add(1, order);
                    if length > 256 {
                        break;
                    }
                    total.fetch_add(all_pairs(length), order);
                }
            });
        }
    });
    println!("{} pairs", total.load(order));
    random_stream(11, 100_000_000);
}
