//! Policies, signatures and replay: what is malformed is refused, what is
//! judged has the figures that arithmetic says, what is replayed is the same.

#[path = "cli/room.rs"]
#[allow(dead_code, reason = "shared with the other tests of the program")]
mod room;

use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use foveola::aligned::AlignedBytes;
use foveola::audit::seal::{Seal, seal, signed};
use foveola::compile::{CompileOptions, compile};
use foveola_core::Error;
use foveola_core::audit::policy::Policy;
use foveola_core::audit::record::{Encoded, Entry, Event, origin};
use foveola_core::audit::signature::{Enrolled, PublicKey, verify};
use foveola_core::net::model::Model;
use foveola_core::wire::question;
use foveola_tests::small;
use room::Room;

const POLICY: &str = r#"
on-failure = "withhold"
[limits]
ram = 200_000
[[rule]]
method = "grad-cam"
inside = [[0.0, 0.0, 1.0, 1.0]]
least-inside = 0.99
like = ["photo.png"]
grid = [3, 3]
least-agreement = 0.5
[[rule]]
method = "occlusion:window=3,stride=2"
target = ["oak", 2]
unit = "pixels"
border = 1
[[self-test]]
picture = "photo.png"
rule = 1
"#;

/// The small network, with what is added to it.
fn sealed(add: &Seal) -> Vec<u8> {
    let options = CompileOptions::default();
    let bytes = compile(small::graph(), &small::card(), &options).expect("it compiles");
    let bytes = AlignedBytes::copy_of(&bytes.bytes);
    seal(&Model::from_bytes(&bytes).expect("a sound file"), add)
}

fn photo() -> Vec<u8> {
    let pixel = |x: u32, y: u32| image::Rgb([(x * 37) as u8, (y * 29) as u8, (x * y * 11) as u8]);
    let photo = image::RgbImage::from_fn(6, 7, pixel);
    foveola::report::files::png(&photo)
}

/// A room with the small network and a policy, compiled by the program.
fn room() -> Room {
    let room = Room::new();
    room.put("plain.fov", &sealed(&Seal::default()));
    room.put("photo.png", &photo());
    room.put("policy.toml", POLICY.as_bytes());
    room.succeed(&["audit", "keygen", "-o", "key.txt"]);
    room.succeed(&[
        "compile",
        "plain.fov",
        "--policy",
        "policy.toml",
        "--release",
        "3",
        "--sign",
        "key.txt",
        "-o",
        "net.fov",
    ]);
    room
}

fn policy_bytes(room: &Room) -> AlignedBytes {
    let file = AlignedBytes::copy_of(&room.bytes("net.fov"));
    let model = Model::from_bytes(&file).expect("a sound file");
    AlignedBytes::copy_of(model.policy().expect("a policy"))
}

#[test]
fn a_policy_is_shown_passes_its_self_test_and_judges() {
    let room = room();
    let shown = room.succeed(&["inspect", "net.fov", "--signer", "key.txt.pub"]);
    for part in [
        "right, by key.txt.pub",
        "rule 2",
        "withhold",
        "1 pictures",
        "release",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let judged = room.succeed(&["audit", "judge", "net.fov", "photo.png", "-o", "out"]);
    assert!(judged.contains("self-test: all of 1 pass"), "{judged}");
    assert!(judged.contains("1 of 1 pictures pass"), "{judged}");
    assert!(
        judged.contains("1.000"),
        "a map agrees with itself: {judged}"
    );
    assert!(
        room.names()
            .iter()
            .any(|name| name.starts_with("out/photo.png.rule1"))
    );
    let strict = POLICY.replace("border = 1", "border = 1\nmost-border = 0.0");
    room.put("policy.toml", strict.as_bytes());
    room.succeed(&[
        "compile",
        "plain.fov",
        "--policy",
        "policy.toml",
        "-o",
        "strict.fov",
    ]);
    let said = room.run(&["audit", "judge", "strict.fov", "photo.png"]);
    assert_eq!(said.code, Some(1), "{said:?}");
    assert!(
        said.out
            .contains("too much of the evidence lies in the border"),
        "{}",
        said.out
    );
    for (wrong, part) in [
        (POLICY.replace("\"oak\"", "\"elm\""), "rule 2 of the policy"),
        (POLICY.replace("rule = 1", "rule = 9"), "there is no rule 9"),
        (
            POLICY.replace("least-inside", "last-inside"),
            "is not a policy",
        ),
        (POLICY.replace("0.99", "1.99"), "does not fit"),
    ] {
        room.put("policy.toml", wrong.as_bytes());
        room.refuse(
            &[
                "compile",
                "plain.fov",
                "--policy",
                "policy.toml",
                "-o",
                "x.fov",
            ],
            part,
        );
    }
}

/// Each byte with each of its bits flipped, and with other values; each length.
#[test]
fn every_broken_policy_is_refused_or_runs() {
    let room = room();
    let mut bytes = policy_bytes(&room);
    let (mut refused, mut ran) = (0, 0);
    let read = |bytes: &[u8]| match Policy::from_bytes(bytes) {
        Err(Error::Internal) => panic!("an invariant does not hold"),
        Err(_) => false,
        Ok(policy) => {
            // What is accepted can be walked to its end.
            assert_eq!(policy.rules().count(), policy.rule_count());
            assert_eq!(policy.cases().count(), policy.case_count());
            for rule in policy.rules() {
                assert!(
                    rule.agreement
                        .is_none_or(|a| a.cells().count() == a.grid[0] * a.grid[1])
                );
            }
            true
        }
    };
    for at in 0..bytes.len() {
        let kept = bytes[at];
        let changes = (0..8)
            .map(|bit| kept ^ (1 << bit))
            .chain([0, 1, 0x7f, 0xff]);
        for change in changes {
            bytes[at] = change;
            match read(&bytes) {
                true => ran += 1,
                false => refused += 1,
            }
        }
        bytes[at] = kept;
        assert!(!read(&AlignedBytes::copy_of(&bytes[..at])), "cut at {at}");
    }
    assert!(read(&bytes));
    assert!(ran > 100 && refused > 500, "{ran} run, {refused} refused");
}

/// A picture's records, run again, and what is missing or changed.
#[test]
fn records_replay() {
    let room = room();
    let file = AlignedBytes::copy_of(&room.bytes("net.fov"));
    let model = Model::from_bytes(&file).expect("a sound file");
    let policy = policy_bytes(&room);
    let policy = Policy::from_bytes(&policy).expect("a policy");
    let case = policy.case(1).expect("a case");
    let known = case.map.expect("a map");
    let scores: Vec<f32> = case.scores.iter().map(|s| s.get()).collect();
    let best = (0..3)
        .max_by(|&a, &b| scores[a].total_cmp(&scores[b]))
        .expect("three");
    let sha256 = |bytes: &[u8]| -> [u8; 32] {
        let text = foveola::model::sha256(bytes);
        foveola::audit::hash(&text).expect("a hash")
    };
    let little: Vec<u8> = scores.iter().flat_map(|s| s.to_le_bytes()).collect();
    let method = policy.rule(1).expect("a rule").call.to_string();
    let (class, score) = (best as u16, scores[best]);
    let (asked, mut text) = (
        policy.rule(1).expect("a rule").explain(0),
        [0; question::ROOM],
    );
    let events = [
        (Event::Answer { class, score }, sha256(&little)),
        (
            Event::Explanation {
                class,
                method: &method,
            },
            *known.hash,
        ),
        (
            Event::Explanation {
                class,
                method: &method,
            },
            [9; 32],
        ),
        (Event::Boot { lost: 0 }, [0; 32]),
        (
            Event::Explanation {
                class,
                method: question::spell(&asked, &mut text),
            },
            *known.hash,
        ),
    ];
    let (mut previous, mut log) = (origin("x"), Vec::new());
    for (number, (event, output)) in (0..).zip(events) {
        let entry = Entry {
            boot: 0,
            time: None,
            model: *model.digest(),
            firmware: [0; 32],
            input: sha256(case.bytes),
            output,
            event,
        };
        let record = Encoded::new(number, &previous, &entry);
        previous = *record.hash();
        log.extend_from_slice(record.bytes());
    }
    room.put("log.bin", &log);
    room.put("frame.bin", case.bytes);
    let replay = |number: &str, model: &str, picture: &str, code: i32, part: &str| {
        let said = room.run(&[
            "audit",
            "replay",
            "log.bin",
            number,
            "--model",
            model,
            "--picture",
            picture,
        ]);
        assert_eq!(said.code, Some(code), "{said:?}");
        assert!(said.out.contains(part), "{part}: {}", said.out);
    };
    replay(
        "0",
        "net.fov",
        "photo.png",
        0,
        "output (scores): the same bytes",
    );
    replay("0", "net.fov", ".", 0, "the same bytes");
    replay("1", "net.fov", "frame.bin", 0, ": the same bytes");
    replay("2", "net.fov", "photo.png", 1, "OTHER BYTES");
    replay("3", "net.fov", "photo.png", 1, "not about a picture");
    let spelt = format!("({method} of class {class}): the same bytes");
    replay("4", "net.fov", "photo.png", 0, &spelt);
    let shown = room.run(&["audit", "show", "log.bin", "4"]).out;
    let told = format!("explained class {class} with {method}");
    assert!(shown.contains(&told), "{shown}");
    replay("0", "plain.fov", "photo.png", 1, "another model ran");
    replay(
        "0",
        "net.fov",
        "net.fov",
        1,
        "the input is missing: none of 1 files",
    );
}

fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> PublicKey {
    PublicKey(key(seed).verifying_key().to_bytes())
}

#[test]
fn keys_are_revoked_and_old_releases_refused() {
    let seal_with = |seed, release| {
        AlignedBytes::copy_of(&sealed(&Seal {
            policy: None,
            release: Some(release),
            key: Some(key(seed)),
        }))
    };
    let admit = |bytes: &[u8], keys: &[u8], revoked: &[u8], release| {
        let known = |seeds: &[u8]| seeds.iter().map(|&s| public(s)).collect::<Vec<_>>();
        let (keys, revoked) = (known(keys), known(revoked));
        let enrolled = Enrolled {
            keys: &keys,
            revoked: &revoked,
            release,
        };
        enrolled.admit(&Model::from_bytes(bytes).expect("a sound file"))
    };
    let file = seal_with(1, 5);
    assert_eq!(admit(&file, &[1], &[], 0), Ok(5));
    assert_eq!(admit(&file, &[2, 1], &[3], 5), Ok(5));
    let old = Error::OldRelease { found: 5, least: 6 };
    assert_eq!(admit(&file, &[1], &[], 6), Err(old));
    assert_eq!(admit(&file, &[2], &[], 0), Err(Error::BadSignature));
    assert_eq!(admit(&file, &[], &[], 0), Err(Error::BadSignature));
    assert_eq!(admit(&file, &[1, 2], &[1], 0), Err(Error::RevokedKey));
    let unsigned = AlignedBytes::copy_of(&sealed(&Seal::default()));
    assert_eq!(admit(&unsigned, &[1], &[], 0), Err(Error::BadSignature));
    // Nothing that is signed can be changed, its release the least of all.
    let mut raised = AlignedBytes::copy_of(&file);
    raised[112] = 9;
    assert!(matches!(Model::from_bytes(&raised), Err(Error::BadHash)));
    let model = Model::from_bytes_unhashed(&raised).expect("hashes are off");
    assert_eq!(verify(&model, &public(1)), Err(Error::BadHash));
}

/// RFC 8032, section 7.1, tests 1 to 3.
#[test]
fn rfc_8032() {
    for (key, message, signature) in [
        (
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        ),
        (
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        ),
        (
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
        ),
    ] {
        let bytes = |text: &str| -> Vec<u8> {
            let digits = text.as_bytes().chunks(2);
            let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
            digits.map(|pair| byte(pair).expect("digits")).collect()
        };
        let key = PublicKey(bytes(key).try_into().expect("32 bytes"));
        let mut signature: [u8; 64] = bytes(signature).try_into().expect("64 bytes");
        assert!(key.signed(&bytes(message), &signature));
        signature[7] ^= 1;
        assert!(!key.signed(&bytes(message), &signature));
    }
}

/// The order of the group, little endian.
const ORDER: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// Points of small order, and encodings of a coordinate that is not reduced.
const ODD_POINTS: [[u8; 32]; 5] = {
    let mut points = [[0; 32]; 5];
    points[1][0] = 1; // the identity
    points[2] = [0xff; 32]; // p - 1 + 2^255 and more: not reduced
    points[2][31] = 0x7f;
    points[3] = [0xff; 32];
    points[3][0] = 0xec; // p - 1: order 2
    points[3][31] = 0x7f;
    points[4] = [0xff; 32];
    points[4][0] = 0xee; // p + 1: the identity, not reduced
    points[4][31] = 0x7f;
    points
};

/// Both implementations say the same of 10,240 signatures: right, mutated, with S + L,
/// with points of small order, with encodings that are not canonical.
#[test]
fn two_implementations_agree() {
    let mut right = 0;
    for round in 0..10_240_u32 {
        let signer = key((round % 7) as u8);
        let message = round.to_le_bytes();
        let mut public = signer.verifying_key().to_bytes();
        let mut signature = signer.sign(&message).to_bytes();
        let odd = ODD_POINTS[round as usize / 10 % 5];
        match round % 10 {
            0 | 1 => {}
            2 => signature[(round / 10 % 64) as usize] ^= 1 << (round % 8),
            3 => public[(round / 10 % 32) as usize] ^= 1 << (round % 8),
            4 => {
                let mut carry = 0;
                for (s, l) in signature[32..].iter_mut().zip(ORDER) {
                    carry += u16::from(*s) + u16::from(l);
                    *s = carry as u8;
                    carry >>= 8;
                }
            }
            5 => public = odd,
            6 => signature[..32].copy_from_slice(&odd),
            7 => (public, signature) = (odd, [0; 64]),
            8 => {
                public = odd;
                signature[..32].copy_from_slice(&odd);
                signature[32..].fill(0);
            }
            _ => signature[63] |= 0xe0,
        }
        let dalek = VerifyingKey::from_bytes(&public).is_ok_and(|known| {
            let signature = ed25519_dalek::Signature::from_bytes(&signature);
            known.verify_strict(&message, &signature).is_ok()
        });
        let key = PublicKey(public);
        let compact = key.signed(&message, &signature);
        assert_eq!(compact, dalek, "round {round}");
        assert_eq!(compact, round % 10 < 2, "round {round}");
        assert_eq!(signed(&key, &message, &signature), compact && dalek);
        right += usize::from(compact);
    }
    assert_eq!(right, 2048);
}

/// A file of 64 KiB, its last section padded; signed.
fn padded() -> Vec<u8> {
    let policy = |length| Seal {
        policy: Some(vec![0x5a; length]),
        release: Some(1),
        key: Some(key(1)),
    };
    let length = sealed(&policy(0)).len();
    let bytes = sealed(&policy((1 << 16) - length));
    assert_eq!(bytes.len(), 1 << 16);
    bytes
}

fn flips(step: usize) {
    let bytes = padded();
    let found = |first: usize| {
        let mut file = AlignedBytes::copy_of(&bytes);
        let mut unnoticed = Vec::new();
        for bit in (first * step..bytes.len() * 8).step_by(2 * step) {
            file[bit / 8] ^= 1 << (bit % 8);
            if let Ok(model) = Model::from_bytes(&file)
                && verify(&model, &public(1)).is_ok()
            {
                unnoticed.push(bit);
            }
            file[bit / 8] ^= 1 << (bit % 8);
        }
        unnoticed
    };
    let all: Vec<usize> = std::thread::scope(|scope| {
        let found = &found;
        let threads = [0, 1].map(|first| scope.spawn(move || found(first)));
        threads
            .map(|thread| thread.join().expect("it ends"))
            .concat()
    });
    assert_eq!(all, [0; 0]);
    let sound = AlignedBytes::copy_of(&bytes);
    let model = Model::from_bytes(&sound).expect("the file is sound");
    assert_eq!(verify(&model, &public(1)), Ok(()));
}

/// Every ninth bit: in each byte another one.
#[test]
fn flips_of_a_64_kib_file_are_rejected() {
    flips(9);
}

/// All 524,288.
#[test]
#[ignore = "a minute on an idle machine"]
fn every_flip_of_a_64_kib_file_is_rejected() {
    flips(1);
}

/// The networks of the demo on concrete poles with snow under them, the region
/// being each scene's pole: who looks at the snow fails, who looks at the pole
/// passes. Evidence as a device judges it.
#[test]
fn the_cheating_network_fails_and_the_honest_one_passes() {
    use foveola::audit::bench::Bench;
    use foveola::audit::rules::judge_all;
    use foveola::demo::scene::{Snow, draw};
    use foveola::demo::{NETWORKS, SEED};
    use foveola::model::{OpenModel, OpenOptions};
    let bench = |name: &str| {
        let network = NETWORKS.iter().find(|n| n.name == name).expect("a network");
        let model = network.open().expect("it opens");
        let compiled = model
            .compile(&CompileOptions::default())
            .expect("it compiles");
        let options = OpenOptions::default();
        let file = OpenModel::from_bytes(&compiled.bytes, "x.fov".as_ref(), &options);
        Bench::new(file.expect("it opens")).expect("it starts")
    };
    let mut benches = [bench("honest"), bench("cheat")];
    let mut failed = [0; 2];
    let mut inside = [0.0; 2];
    let path = foveola_tests::root().join("host/demo/poles.policy.toml");
    for (i, bench) in benches.iter_mut().enumerate() {
        let bytes = foveola::audit::policy::compile(&path, bench).expect("a policy");
        let bytes = AlignedBytes::copy_of(&bytes);
        let policy = Policy::from_bytes(&bytes).expect("a sound policy");
        for index in (1..61).step_by(3) {
            let scene = draw(SEED, index, Snow::WithConcrete);
            let photo = foveola::photo::Photo::from_pixels(scene.pixels, &bench.model.intake());
            let judged = judge_all(&policy, bench, &photo.expect("a scene"));
            let judgement = judged.expect("it is judged")[0].judgement;
            failed[i] += usize::from(!judgement.passed());
            inside[i] += judgement.inside / 20.0;
        }
    }
    println!("failed of 20 (honest, cheat): {failed:?}, mean share inside: {inside:?}");
    assert!(failed[0] <= 1 && failed[1] >= 19, "{failed:?} {inside:?}");
}
