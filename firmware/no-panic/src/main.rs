//! Links only if no panic can be reached from checking a model, running it
//! forward and backward, with dropout, every method (the seven of all boards by themselves, the others
//! through the link), an accelerator, a policy with its self-test, and the device's side of the link,
//! whatever the bytes of model, picture, parameters and line are: the panic handler calls a function that does
//! not exist, so every panic that the optimiser could not rule out is an error
//! of the linker, `undefined symbol: a_panic_is_reachable`.
//!
//! `cargo build --release -p no-panic --target thumbv7em-none-eabihf`
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::black_box;

use foveola_core::accelerator::Accelerated;
use foveola_core::accelerator::ethos_u::{Lent, Registers, Settings};
use foveola_core::accelerator::program::Program;
use foveola_core::audit::judge::{cells, judge};
use foveola_core::audit::policy::{Case, Policy, Rule};
use foveola_core::audit::self_test::{self, Subject};
use foveola_core::explain::hoc::{Mode, Step, Storage};
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise, Silent, upsample_bilinear,
};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::picture::blur::{blur_pixels, blur_tensor};
use foveola_core::uncertainty::{Setting, entropy, margin, measure};
use foveola_core::wire::server::{Facts, Memory, Platform, Server, Spent};
use foveola_core::{Classifier, Dropout, Error, Fill, Masked, Picture, Score, Shape, Window};

unsafe extern "C" {
    fn a_panic_is_reachable() -> !;
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // SAFETY: the function does not exist, so no program that calls it does.
    unsafe { a_panic_is_reachable() }
}

/// What comes from outside. The optimiser knows nothing about it.
pub struct Outside<'o> {
    model: &'o [u8],
    picture: Picture<'o>,
    fill: Fill<'o>,
    arena: &'o mut [u8],
    maps: &'o mut [f32],
    scratch: &'o mut [f32],
    numbers: &'o [usize],
    steps: &'o mut [Step],
    boxes: &'o mut [Window],
    share: f32,
    bytes: &'o mut [u8],
    slots: [&'o mut [u8]; 2],
    line: &'o [u8],
}

/// A line on which anything may come, in any order.
struct Line<'l> {
    bytes: &'l [u8],
    sha256: [u8; 32],
}

impl Platform for Line<'_> {
    fn read(&mut self) -> Option<u8> {
        let (first, rest) = black_box(self.bytes).split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn write(&mut self, bytes: &[u8]) {
        black_box(bytes);
    }

    fn feed(&mut self) {}

    fn facts(&self) -> Facts<'_> {
        black_box(Facts {
            board: "",
            firmware: "",
            sha256: &self.sha256,
            overruns: 0,
        })
    }

    fn begin(&mut self) {}

    fn end(&mut self) -> Spent {
        black_box(Spent::default())
    }

    fn time(&mut self) -> Option<u64> {
        black_box(None)
    }

    fn set_time(&mut self, _seconds: u64) -> bool {
        black_box(true)
    }

    fn take_frame(&mut self, _shape: Shape, _out: &mut [u8]) -> bool {
        black_box(true)
    }

    fn log(&mut self, _offset: u32, _out: &mut [u8]) -> Option<u32> {
        black_box(Some(1))
    }
}

/// An accelerator that says anything.
struct Anything;

impl Registers for Anything {
    fn read(&mut self, offset: u32) -> u32 {
        black_box(offset)
    }

    fn write(&mut self, offset: u32, value: u32) {
        black_box((offset, value));
    }

    fn wait(&mut self, lent: &mut Lent<'_>) {
        black_box(lent);
    }
}

/// A network on an accelerator, whatever the file and the registers say.
fn accelerate(o: &mut Outside<'_>) -> Result<(), Error> {
    let program = Program::from_bytes(o.line).map_err(|_| Error::Backend)?;
    let registers = (Anything, black_box(Settings::default()));
    let [scratch, fast] = &mut o.slots;
    let made = Accelerated::new(&program, registers, (scratch, fast), o.maps);
    let mut made = made.map_err(|_| Error::Backend)?;
    made.classify(
        &Masked::whole(o.picture),
        black_box(Score::Logit),
        o.scratch,
    )
}

/// Answers a self-test with whatever a session says.
struct Answers<'s, 'm, 'a> {
    session: &'s mut Session<'m, 'a>,
    map: &'s [f32],
}

impl Subject for Answers<'_, '_, '_> {
    fn scores(&mut self, case: &Case<'_>, paint: u8, out: &mut [f32]) -> Result<(), Error> {
        let normalisation = self.session.model().normalisation();
        let picture = case.picture(&normalisation)?;
        black_box(paint);
        self.session
            .classify(&Masked::whole(picture), case.score, out)
    }

    fn map(
        &mut self,
        case: &Case<'_>,
        rule: &Rule<'_>,
        target: usize,
        paint: u8,
        sink: &mut dyn FnMut(&[f32]),
    ) -> Result<(), Error> {
        black_box((case.number, rule.explain(target), paint));
        sink(black_box(self.map));
        Ok(())
    }
}

/// A policy of any bytes: its rules held to any map, its cases run.
fn audit(
    (session, policy): (&mut Session<'_, '_>, &[u8]),
    (maps, scratch): (&mut [f32], &mut [f32]),
    numbers: &[usize],
) -> Result<(), Error> {
    let of_model = Policy::of(session.model())?;
    let policy = of_model.map_or_else(|| Policy::from_bytes(policy), Ok)?;
    policy.fits(session.model())?;
    let input = session.input();
    let shape = black_box(input);
    for rule in policy.rules() {
        for class in rule.targets.classes(black_box(0)) {
            black_box(rule.explain(class));
        }
        black_box(judge(&rule, maps, shape, input, black_box(Outcome::Ok))?);
        let grid = [0, 1].map(|i| numbers.get(i).copied().unwrap_or(0) & 0xFFFF);
        cells(&rule.call, maps, (shape, input), grid, scratch)?;
    }
    let mut answers = Answers { session, map: maps };
    black_box(self_test::run(&policy, &mut answers, scratch));
    black_box((policy.limits(), policy.on_failure()));
    Ok(())
}

/// Every path of a device.
#[unsafe(no_mangle)]
pub fn every_path(outside: &mut Outside<'_>) -> bool {
    black_box(all(black_box(outside))).is_ok()
}

fn all(o: &mut Outside<'_>) -> Result<(), Error> {
    let model = Model::from_bytes(o.model)?;
    let mut session = Session::new(&model, o.arena, Isa::detect())?;
    let x = Masked::whole(o.picture);
    session.classify(&x, Score::Probability, o.scratch)?;
    session.forward_tapped(&x, &mut |node, first, values| {
        black_box((node, first, values));
        Ok(())
    })?;
    let number = |i: usize| o.numbers.get(i).copied().unwrap_or(0);
    let layer = model.passes().find_map(|pass| match pass {
        foveola_core::net::model::Pass::Backward(at) => Some(at),
        _ => None,
    });
    let occlusion = Occlusion {
        window: Some([number(0), number(1), number(2)]),
        stride: Some([number(3), number(4), number(5)]),
        fill: o.fill,
        mindspore: black_box(false),
    };
    let rise = Rise {
        masks: number(6) as u32,
        grid: number(7) as u16,
        keep: o.share,
        fill: o.fill,
        stored: None,
        mindspore: black_box(false),
        by_coverage: black_box(false),
        ..Rise::default()
    };
    let hoc = Hoc {
        mode: black_box(Mode::Reveal),
        threshold: o.share,
        windows: o.numbers,
        strides: o.numbers,
        fill: o.fill,
        ..Hoc::default()
    };
    let storage = RefCell::new(Storage {
        steps: o.steps,
        boxes: o.boxes,
    });
    let relu = black_box(true);
    let methods: [&dyn Method; 7] = [
        &Gradient,
        &Deconvolution,
        &GuidedBackprop,
        &GradCam { layer, relu },
        &occlusion,
        &rise,
        &HocMethod { hoc, storage },
    ];
    let query = Query {
        picture: o.picture,
        targets: o.numbers,
        score: black_box(None),
        seed: black_box(1),
    };
    let mut outcomes = [Outcome::Flat; 4];
    for method in black_box(methods) {
        black_box((
            method.map_shape(&mut session)?,
            method.cost(&mut session, 1)?,
        ));
        method.explain(
            &mut session,
            &query,
            o.maps,
            &mut outcomes,
            o.scratch,
            black_box(&mut Silent),
        )?;
        black_box(&outcomes);
    }
    let room = (&mut *o.maps, &mut *o.scratch);
    let _ = black_box(audit((&mut session, o.line), room, o.numbers));
    doubt(&mut session, &x, o.share, o.scratch)?;
    black_box((margin(o.maps), entropy(o.maps)));
    pictures(o)?;
    let _ = black_box(accelerate(o));
    serve(o);
    Ok(())
}

/// Passes with dropout, whatever network and share.
fn doubt(
    session: &mut Session<'_, '_>,
    x: &Masked<'_>,
    keep: f32,
    scores: &mut [f32],
) -> Result<(), Error> {
    let setting = black_box(Setting {
        passes: 1,
        dropout: Dropout { seed: 1, keep },
    });
    let [mean, variance] = &mut black_box([[0.0; 16]; 2]);
    let seen = measure(session, x, &setting, mean, variance, scores)?;
    black_box((mean, variance, seen, seen.share()));
    Ok(())
}

/// The device's side of the link, whatever comes.
fn serve(o: &mut Outside<'_>) {
    let [first, second] = &mut o.slots;
    let mut server = Server::new(Memory {
        slots: [first, second],
        linked: Some(o.model),
        work: o.bytes,
        steps: o.steps,
        boxes: o.boxes,
    });
    let mut line = Line {
        bytes: o.line,
        sha256: black_box([0; 32]),
    };
    server.step(black_box(&mut line));
}

/// What a device does to pictures and maps.
fn pictures(o: &mut Outside<'_>) -> Result<(), Error> {
    let shape = black_box(Shape::new(1, 1, 1));
    match o.picture {
        Picture::Pixels { data, .. } => blur_pixels(shape, data, o.share, o.scratch, o.bytes)?,
        Picture::Tensor { data, .. } => blur_tensor(shape, data, o.share, o.scratch, o.maps)?,
    }
    upsample_bilinear(o.maps, black_box([1, 1]), black_box([2, 2]), o.scratch)
}
