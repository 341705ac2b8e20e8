//! What a hostile, broken or misplaced model file can do: nothing.

use foveola::aligned::AlignedBytes;
use foveola::compile::{CompileOptions, compile};
use foveola_core::net::arch::Isa;
use foveola_core::net::format::{TO_INPUT, arena_len, pass};
use foveola_core::net::model::{Model, Pass};
use foveola_core::net::session::Session;
use foveola_core::{
    At, Classifier, Error, Layers, Masked, Normalisation, Picture, Rule, Score, Shape,
};
use foveola_tests::small;

fn file() -> Vec<u8> {
    compile(small::graph(), &small::card(), &CompileOptions::default())
        .expect("the small network compiles")
        .bytes
}

fn aligned<R>(bytes: &[u8], work: impl FnOnce(&[u8]) -> R) -> R {
    work(&AlignedBytes::copy_of(bytes))
}

fn explain(model: &Model<'_>, arena: &mut [u8]) -> Result<Vec<f32>, Error> {
    let mut session = Session::new(model, arena, Isa::portable())?;
    let pixels: Vec<u8> = (0..7 * 6 * 3).map(|i| (i * 37 % 251) as u8).collect();
    let picture = Picture::Pixels {
        shape: Shape::new(7, 6, 3),
        data: &pixels,
        normalisation: &Normalisation {
            mean: [120.0, 110.0, 100.0, 0.0],
            scale: [0.02; 4],
        },
    };
    let mut scores = vec![0.0; model.classes()];
    session.classify(&Masked::whole(picture), Score::Probability, &mut scores)?;
    session.run(&Masked::whole(picture), At::Input, Rule::Guided)?;
    Ok(session.backward(&[(0, 1.0)], Score::Logit)?.to_vec())
}

/// `core`'s example reads this file. `BLESS=1` writes it anew.
#[test]
fn the_fixture_of_core_is_this_file() {
    let path = foveola_tests::root().join("core/fixtures/small.fov");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, file()).expect("the fixture is written");
    }
    let same = std::fs::read(&path).expect("the fixture") == file();
    assert!(
        same,
        "the format changed: BLESS=1 cargo test -p foveola-tests --test model_file"
    );
}

#[test]
fn a_sound_file_runs() {
    aligned(&file(), |bytes| {
        let model = Model::from_bytes(bytes).expect("the file is sound");
        assert_eq!(model.input(), Shape::new(7, 6, 3));
        assert_eq!(model.label(2), Some("concrete"));
        assert_eq!(model.label(3), None);
        let map = explain(&model, &mut AlignedBytes::zeros(1 << 16)).expect("it runs");
        assert_eq!(map.len(), 7 * 6 * 3);
        assert!(map.iter().any(|&v| v != 0.0));
    });
}

#[test]
fn every_flipped_bit_is_noticed() {
    let mut bytes = AlignedBytes::copy_of(&file());
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(
            Model::from_bytes(&bytes).is_err(),
            "bit {bit} went unnoticed"
        );
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
}

#[test]
fn without_hashes_a_flipped_bit_is_rejected_or_runs() {
    let mut bytes = AlignedBytes::copy_of(&file());
    let mut arena = AlignedBytes::zeros(1 << 16);
    let (mut ran, mut broken) = (0, Vec::new());
    for bit in 0..bytes.len() * 8 {
        bytes[bit / 8] ^= 1 << (bit % 8);
        if let Ok(model) = Model::from_bytes_unhashed(&bytes) {
            let result = explain(&model, &mut arena);
            if result == Err(Error::Internal) {
                broken.push(bit);
            }
            ran += usize::from(result.is_ok());
        }
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    assert_eq!(broken, [0; 0], "bits that break an invariant");
    assert!(ran > 1000, "flipped weights and names still run: {ran}");
}

#[test]
fn every_truncation_is_an_error() {
    let good = file();
    for length in 0..good.len() {
        aligned(&good[..length], |bytes| {
            let error = Model::from_bytes_unhashed(bytes).expect_err("truncated");
            assert!(
                matches!(error, Error::Truncated { .. }),
                "{length}: {error:?}"
            );
        });
    }
}

#[test]
fn errors_say_what_is_wrong() {
    let good = file();
    let with = |at: usize, byte: u8| {
        let mut bytes = good.clone();
        bytes[at] = byte;
        aligned(&bytes, |b| {
            Model::from_bytes_unhashed(b).expect_err("broken")
        })
    };
    assert_eq!(with(0, b'G'), Error::BadMagic);
    assert_eq!(with(4, 1), Error::BadVersion { found: 1 });
    assert_eq!(with(128, 9), Error::BadSection { kind: 1 });
    let shifted = AlignedBytes::copy_of(&[&[0], &good[..]].concat());
    let error = Model::from_bytes(&shifted[1..]).expect_err("misaligned");
    assert_eq!(error, Error::Misaligned { offset: 1 });
}

#[test]
fn the_arena_is_exact() {
    aligned(&file(), |bytes| {
        let model = Model::from_bytes(bytes).expect("sound");
        let need = |pass| model.plan(pass).expect("a plan").arena_len();
        let (forward, backward) = (need(Pass::Forward), need(Pass::Backward(At::Input)));
        assert_eq!(arena_len(bytes, pass::FORWARD, TO_INPUT), Some(forward));
        assert_eq!(arena_len(bytes, pass::BACKWARD, TO_INPUT), Some(backward));
        assert_eq!(arena_len(bytes, pass::HELD, TO_INPUT), None);
        let x = [0.5; 126];
        let picture = Masked::whole(Picture::Tensor {
            shape: model.input(),
            data: &x,
        });
        let mut arena = AlignedBytes::zeros(forward);
        let mut classify = |have: usize| {
            let mut session = Session::new(&model, &mut arena[..have], Isa::portable())?;
            session.classify(&picture, Score::Logit, &mut [0.0; 3])
        };
        assert_eq!(classify(forward), Ok(()));
        let have = forward - 1;
        assert_eq!(
            classify(have),
            Err(Error::ArenaTooSmall {
                need: forward,
                have
            })
        );
    });
}
