//! Links only if no panic can be reached from checking a model, running it
//! forward and backward, and all seven methods, whatever the bytes of model,
//! picture and parameters are: the panic handler calls a function that does
//! not exist, so every panic that the optimiser could not rule out is an error
//! of the linker, `undefined symbol: a_panic_is_reachable`.
//!
//! `cargo build --release -p no-panic --target thumbv7em-none-eabihf`
#![no_std]
#![no_main]

use core::cell::RefCell;
use core::hint::black_box;

use foveola_core::explain::hoc::{Mode, Step, Storage};
use foveola_core::explain::{
    Deconvolution, GradCam, Gradient, GuidedBackprop, Hoc, HocMethod, Method, Occlusion, Outcome,
    Query, Rise, Silent, upsample_bilinear,
};
use foveola_core::net::arch::Isa;
use foveola_core::net::model::Model;
use foveola_core::net::session::Session;
use foveola_core::picture::blur::{blur_pixels, blur_tensor};
use foveola_core::{Classifier, Error, Fill, Masked, Picture, Score, Shape, Window};

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
    };
    let hoc = Hoc {
        mode: black_box(Mode::Reveal),
        threshold: o.share,
        windows: o.numbers,
        strides: o.numbers,
        fill: o.fill,
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
    pictures(o)
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
