//! The order of the registers, and what becomes of faults.

use foveola::aligned::AlignedBytes;
use foveola_core::accelerator::Accelerated;
use foveola_core::accelerator::ethos_u::{Fault, Settings};
use foveola_core::accelerator::program::{Program, Scores};
use foveola_core::{Classifier, Error, Masked, Picture, Score};

use super::mock::{CLASSES, COMMANDS, CONFIG, ID, Mock, Plant, SHAPE, facts, network, program};

const STREAM: usize = 4 * COMMANDS.len();

/// Makes an accelerated network, changes the mock, and does something with both.
fn with<T>(
    change: impl FnOnce(&mut Mock<'_>),
    settings: Settings,
    then: impl FnOnce(Result<&mut Accelerated<'_, '_, Mock<'_>>, Fault>) -> T,
) -> T {
    let facts = facts(Scores::Plain);
    let file = program(&facts);
    let program = Program::from_bytes(&file).expect("a program");
    let (mut scratch, mut fast) = (
        AlignedBytes::zeros(facts.scratch),
        AlignedBytes::zeros(facts.fast),
    );
    let mut row = vec![0.0; SHAPE.row()];
    let mut mock = Mock::new(facts, STREAM, Box::new(network));
    change(&mut mock);
    let made = Accelerated::new(
        &program,
        (mock, settings),
        (&mut scratch, &mut fast),
        &mut row,
    );
    match made {
        Ok(mut made) => then(Ok(&mut made)),
        Err(fault) => then(Err(fault)),
    }
}

fn classify(made: &mut Accelerated<'_, '_, Mock<'_>>) -> Result<[f32; CLASSES], Error> {
    let data = vec![0.5; SHAPE.len()];
    let picture = Picture::Tensor {
        shape: SHAPE,
        data: &data,
    };
    let mut out = [0.0; CLASSES];
    made.classify(&Masked::whole(picture), Score::Logit, &mut out)?;
    Ok(out)
}

/// The whole conversation of a start and a run, in the manual's order.
#[test]
fn a_start_and_a_run_write_these_registers_in_this_order() {
    let secret = Settings {
        privileged: false,
        secure: false,
        ..super::mock::settings()
    };
    for (settings, level) in [(super::mock::settings(), 1), (secret, 2)] {
        with(
            |_| (),
            settings,
            |made| {
                let made = made.expect("it starts");
                let started = [(0x08, 0), (0x0C, level), (0x08, 0b1100)];
                assert_eq!(made.registers().written, started);
                made.registers().written.clear();
                classify(made).expect("it runs");
                let written = std::mem::take(&mut made.registers().written);
                // Addresses differ from run to run; the mock has checked them.
                let offsets: Vec<u32> = written.iter().map(|w| w.0).collect();
                let (base, limits) = ([0x10, 0x14, 0x20], [0x40, 0x44, 0x48, 0x4C]);
                let regions = [0x80, 0x84, 0x88, 0x8C, 0x90, 0x94];
                let expected = [
                    &[0x08, 0x1C, 0x3C][..],
                    &limits,
                    &base,
                    &regions,
                    &[0x08, 0x08, 0x08],
                ];
                assert_eq!(offsets, expected.concat());
                let of = |offset| -> Vec<u32> {
                    let these = written.iter().filter(|w| w.0 == offset);
                    these.map(|w| w.1).collect()
                };
                // Awake; run; interrupt acknowledged; asleep.
                assert_eq!(of(0x08), [0b0100, 0b0101, 0b0110, 0b1100]);
                assert_eq!((of(0x20), of(0x1C), of(0x3C)), (vec![16], vec![2], vec![3]));
                assert!(limits.iter().all(|offset| of(*offset) == [0x0F1F_0000]));
                assert_eq!(made.registers().runs, 1);
            },
        );
    }
}

/// Each fault has its name, and the NPU works again after it.
#[test]
fn faults_are_told_and_the_next_run_is_well() {
    let (interface, channel) = (1, 9);
    for (plant, fault) in [
        (Plant::Bus, Fault::Bus { interface, channel }),
        (Plant::Parse, Fault::Parse { read: 12 }),
        (Plant::Watchdog, Fault::Watchdog),
        (Plant::Ecc, Fault::Ecc),
        (Plant::Early, Fault::Unfinished { read: 4, size: 16 }),
        (Plant::Hangs, Fault::Timeout),
        (Plant::Sticks, Fault::Interrupt),
    ] {
        with(
            |_| (),
            super::mock::settings(),
            |made| {
                let made = made.expect("it starts");
                let well = classify(made).expect("it runs");
                made.registers().plant = plant;
                made.registers().written.clear();
                assert_eq!(classify(made), Err(Error::Backend), "{plant:?}");
                assert_eq!(made.fault(), Some(fault));
                assert!(made.registers().written.contains(&(0x0C, 1)), "{plant:?}");
                made.registers().plant = Plant::Nothing;
                assert_eq!(classify(made), Ok(well), "{plant:?}");
                assert_eq!(made.fault(), None);
            },
        );
    }
}

/// Registers that are lost with the power are set again before every run.
#[test]
fn an_npu_that_loses_its_power_is_set_up_again() {
    let plant = |mock: &mut Mock<'_>| mock.plant = Plant::Forgets;
    with(plant, super::mock::settings(), |made| {
        let made = made.expect("it starts");
        let first = classify(made).expect("it runs");
        made.registers().written.clear();
        assert_eq!(classify(made), Ok(first));
        assert_eq!(made.registers().written[1], (0x0C, 1));
    });
}

#[test]
fn another_npu_is_refused() {
    let architecture = |device| {
        Err(Fault::Architecture {
            device,
            program: 0x1006_6001,
        })
    };
    let configuration = |device| {
        Err(Fault::Configuration {
            device,
            program: CONFIG,
        })
    };
    for (id, config, expected) in [
        (ID, CONFIG, Ok(())),
        // A newer minor revision, another patch; bits that do not concern it.
        (0x1010_4000, CONFIG, Ok(())),
        (0x1000_4000, CONFIG | 0x0FFF_0000, Ok(())),
        // No bus, nobody there.
        (0, 0, architecture(0)),
        (u32::MAX, u32::MAX, architecture(u32::MAX)),
        (0x2006_4000, CONFIG, architecture(0x2006_4000)),
        // 64 and 256 multipliers, other memory, another product, another stream.
        (ID, 0x1806, configuration(0x1806)),
        (ID, 0x3008, configuration(0x3008)),
        (ID, 0x1007, configuration(0x1007)),
        (ID, 0x1000_1807, configuration(0x1000_1807)),
        (ID, 0x1817, configuration(0x1817)),
    ] {
        let change = |mock: &mut Mock<'_>| (mock.id, mock.config) = (id, config);
        with(change, super::mock::settings(), |made| {
            assert_eq!(made.map(|_| ()), expected, "{id:#x} {config:#x}");
        });
    }
}

#[test]
fn a_reset_that_does_not_end_or_leaves_another_level_is_told() {
    for (plant, fault) in [
        (Plant::Resets, Fault::Reset),
        (Plant::Open, Fault::Protection { found: 0 }),
    ] {
        let change = |mock: &mut Mock<'_>| mock.plant = plant;
        with(change, super::mock::settings(), |made| {
            assert_eq!(made.map(|_| ()), Err(fault));
        });
    }
}

/// Memory that the NPU cannot use is refused before it runs.
#[test]
fn short_and_misaligned_memory_is_refused() {
    let facts = facts(Scores::Plain);
    let file = program(&facts);
    let program = Program::from_bytes(&file).expect("a program");
    let fault = |scratch: &mut [u8], fast: &mut [u8]| {
        let mut row = vec![0.0; SHAPE.row()];
        let mock = Mock::new(facts, STREAM, Box::new(network));
        let with = (mock, super::mock::settings());
        let mut made =
            Accelerated::new(&program, with, (scratch, fast), &mut row).expect("it starts");
        assert_eq!(classify(&mut made), Err(Error::Backend));
        assert_eq!(made.registers().runs, 0);
        made.fault()
    };
    let (mut scratch, mut fast) = (AlignedBytes::zeros(4096), AlignedBytes::zeros(512));
    let short = |need, have| Some(Fault::Scratch { need, have });
    assert_eq!(fault(&mut scratch[..2047], &mut fast), short(2048, 2047));
    assert_eq!(fault(&mut scratch, &mut fast[..255]), short(256, 255));
    for at in [1, 4, 8] {
        let found = fault(&mut scratch[at..], &mut fast);
        assert!(matches!(found, Some(Fault::Address { address }) if address % 16 == at as u64));
        let found = fault(&mut scratch, &mut fast[at..]);
        assert!(matches!(found, Some(Fault::Address { .. })));
    }
}
