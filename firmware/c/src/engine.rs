//! The caller's inference engine as a [`Classifier`].
#![allow(
    unsafe_code,
    reason = "calls the caller's functions and writes its input tensor"
)]

use core::ffi::c_void;

use foveola_core::explain::Progress;
use foveola_core::net::quant::Quantisation;
use foveola_core::{Classifier, Error, Masked, Score, Shape};

use crate::abi;
use crate::answer::Refusal;
use crate::memory::{Span, put};

/// Most elements of an input and most classes, so that no product of sizes
/// leaves 32 bits.
const MOST: u64 = 1 << 26;

/// Where an engine wants its input.
#[derive(Clone, Copy)]
enum Input {
    Real(*mut f32),
    Signed(*mut i8, Quantisation),
    Unsigned(*mut u8, Quantisation),
}

/// An engine that has been checked.
pub struct Engine<'c> {
    shape: Shape,
    classes: usize,
    input: Input,
    scores: abi::Scores,
    user: *mut c_void,
    row: &'c mut [f32],
    /// What the engine answered last; 0 is fine.
    pub answered: i32,
}

/// What is known of an engine without its row of scratch.
#[derive(Clone, Copy)]
pub struct Checked {
    /// Shape of its input.
    pub shape: Shape,
    /// Its classes.
    pub classes: usize,
    /// Its input tensor, which every call writes.
    pub span: Span,
    input: Input,
    scores: abi::Scores,
    user: *mut c_void,
}

/// `size` as a factor that is at least 1.
fn side(size: u32, name: &'static str) -> Result<u64, Error> {
    if size == 0 || u64::from(size) > MOST {
        return Err(Error::BadParameter(name));
    }
    Ok(u64::from(size))
}

/// Height, width and channels.
fn shape_of(of: &abi::Engine) -> Result<Shape, Error> {
    const NAME: &str = "sides of the engine's input";
    let (h, w) = (side(of.height, NAME)?, side(of.width, NAME)?);
    let elements = (h * w)
        .min(MOST + 1)
        .saturating_mul(side(of.channels, NAME)?);
    if elements > MOST {
        return Err(Error::BadParameter(NAME));
    }
    let [h, w, c] = [of.height, of.width, of.channels].map(|side| side as usize);
    Ok(Shape::new(h, w, c))
}

/// Scale and zero point; `offset` is what an unsigned number has more than a signed one.
fn quantisation(of: &abi::Engine, offset: i32) -> Result<Quantisation, Error> {
    let zero_point = of.zero_point.checked_sub(offset);
    let zero_point = zero_point.and_then(|zero| i8::try_from(zero).ok());
    match zero_point {
        Some(zero_point) if of.scale > 0.0 && of.scale.is_finite() => Ok(Quantisation {
            scale: of.scale,
            zero_point,
        }),
        _ => Err(Error::BadParameter("scale or zero point of the engine")),
    }
}

/// Checks an engine.
///
/// # Errors
/// Null, misaligned, out of range.
pub fn check(of: &abi::Engine) -> Result<Checked, Refusal> {
    let shape = shape_of(of)?;
    let classes = side(of.classes, "classes of the engine")? as usize;
    let scores = of.scores.ok_or(Refusal::Null("scores of the engine"))?;
    const NAME: &str = "input of the engine";
    let (input, span) = match of.element {
        0 => {
            let data = of.input.cast::<f32>();
            (Input::Real(data), Span::of(data, shape.len(), NAME)?)
        }
        1 => {
            let data = of.input.cast::<i8>();
            let input = Input::Signed(data, quantisation(of, 0)?);
            (input, Span::of(data, shape.len(), NAME)?)
        }
        2 => {
            let data = of.input.cast::<u8>();
            let input = Input::Unsigned(data, quantisation(of, 128)?);
            (input, Span::of(data, shape.len(), NAME)?)
        }
        _ => return Err(Error::BadParameter("element of the engine").into()),
    };
    Ok(Checked {
        shape,
        classes,
        span,
        input,
        scores,
        user: of.user,
    })
}

impl<'c> Engine<'c> {
    /// With scratch for one row of the input.
    ///
    /// # Safety
    /// The input of `checked` leads to memory of its shape, and its function may
    /// be called with its `user`, as long as this value lives.
    pub const unsafe fn new(checked: Checked, row: &'c mut [f32]) -> Self {
        Self {
            shape: checked.shape,
            classes: checked.classes,
            input: checked.input,
            scores: checked.scores,
            user: checked.user,
            row,
            answered: 0,
        }
    }

    /// Stores the row in scratch as row `y` of the input.
    fn store(&self, y: usize) {
        let begin = y * self.shape.row();
        for (i, &real) in self.row.iter().take(self.shape.row()).enumerate() {
            let at = begin + i;
            // SAFETY: `y` is a row of the shape, so `at` is below its length,
            // and by the contract of `new` there is memory of that length.
            unsafe {
                match self.input {
                    Input::Real(data) => put(data, at, real),
                    Input::Signed(data, by) => put(data, at, by.stored(real)),
                    Input::Unsigned(data, by) => put(data, at, by.stored(real) as u8 ^ 0x80),
                }
            }
        }
    }
}

impl Classifier for Engine<'_> {
    fn input(&self) -> Shape {
        self.shape
    }

    fn classes(&self) -> usize {
        self.classes
    }

    fn classify(&mut self, x: &Masked<'_>, score: Score, out: &mut [f32]) -> Result<(), Error> {
        x.check(self.shape)?;
        let (need, have) = (self.classes, out.len());
        let out = out.get_mut(..need);
        let out = out.ok_or(Error::BufferTooSmall { need, have })?;
        for y in 0..self.shape.h {
            x.row(y, self.row)?;
            self.store(y);
        }
        // A score that the engine forgets is then found out.
        out.fill(f32::NAN);
        let kind = match score {
            Score::Logit => 0,
            Score::Probability => 1,
        };
        // SAFETY: the caller's function with the caller's pointer; `out` holds
        // as many scores as it said there are.
        self.answered = unsafe { (self.scores)(self.user, kind, out.as_mut_ptr()) };
        if self.answered == 0 {
            Ok(())
        } else {
            Err(Error::Backend)
        }
    }
}

/// The caller's function that is told how far a method is.
pub struct Told {
    step: Option<abi::Step>,
    user: *mut c_void,
}

impl Told {
    /// # Safety
    /// The function may be called with `user` as long as this value lives.
    pub const unsafe fn new(step: Option<abi::Step>, user: *mut c_void) -> Self {
        Self { step, user }
    }
}

impl Progress for Told {
    fn step(&mut self, done: u64, total: u64) -> bool {
        let Some(step) = self.step else { return true };
        // SAFETY: the contract of `new`.
        unsafe { step(self.user, done, total) != 0 }
    }
}
