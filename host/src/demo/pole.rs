//! The three kinds of pole, each drawn upright in its own coordinates: `u`
//! across from the axis, `v` up from the foot, both in pixels of a pole of
//! scale 1.

use super::brush::{Colour, Dice, grain, mottle, shade};
use super::scene::Kind;

/// Height at scale 1, in pixels.
const HEIGHT: f32 = 46.0;

/// One pole in a scene.
#[derive(Clone, Copy, Debug)]
pub struct Pole {
    kind: Kind,
    foot: (f32, f32),
    scale: f32,
    /// Cosine and sine of the tilt.
    turn: (f32, f32),
    body: Colour,
    /// Half length of the crossarm.
    arm: f32,
    /// The side that the light comes from: 1 is right.
    light: f32,
    salt: u32,
}

impl Pole {
    /// Throws the dice for a pole whose foot stands below the horizon.
    pub fn new(kind: Kind, horizon: f32, dice: &mut Dice) -> Self {
        let scale = dice.between(0.72, 1.08);
        // Half the tangent of the tilt: cosine and sine without libm; up to 7 degrees.
        let t = dice.between(-0.06, 0.06);
        let middle = match kind {
            Kind::Wood => [118.0, 80.0, 48.0],
            Kind::Concrete => [180.0, 176.0, 166.0],
            Kind::Steel => [112.0, 122.0, 136.0],
        };
        let lowest = horizon + 6.0;
        let light = if dice.chance(0.5) { 1.0 } else { -1.0 };
        Self {
            kind,
            foot: (dice.between(14.0, 50.0), dice.between(lowest, 61.0)),
            scale,
            turn: ((1.0 - t * t) / (1.0 + t * t), 2.0 * t / (1.0 + t * t)),
            body: dice.colour(middle, 22.0, 7.0),
            arm: dice.between(7.5, 10.5),
            light,
            salt: dice.word(),
        }
    }

    /// Colour at a place of the picture, if the pole is there.
    pub fn colour(&self, x: f32, y: f32) -> Option<Colour> {
        let (dx, dy) = (x - self.foot.0, self.foot.1 - y);
        let (cos, sin) = self.turn;
        let u = (dx * cos - dy * sin) / self.scale;
        let v = (dx * sin + dy * cos) / self.scale;
        if !(0.0..=HEIGHT).contains(&v) {
            return None;
        }
        match self.kind {
            Kind::Wood => self.wood(u, v),
            Kind::Concrete => self.concrete(u, v),
            Kind::Steel => self.steel(u, v),
        }
    }

    /// Where wires are fixed: the left and right end of the crossarm.
    pub fn wires(&self) -> [(f32, f32); 2] {
        let (cos, sin) = self.turn;
        let v = 0.9 * HEIGHT * self.scale;
        [-0.9, 0.9].map(|side| {
            let u = side * self.arm * self.scale;
            (
                self.foot.0 + u * cos + v * sin,
                self.foot.1 + u * sin - v * cos,
            )
        })
    }

    /// Half width of a trunk that tapers.
    fn taper(v: f32, foot: f32, top: f32) -> f32 {
        foot + (top - foot) * v / HEIGHT
    }

    /// Round: light on one side, dark on the other.
    fn round(&self, u: f32, half: f32) -> f32 {
        1.0 + 0.26 * self.light * u / half
    }

    /// A trunk with grain and knots, a wooden crossarm on two braces, glass
    /// insulators on top of it.
    fn wood(&self, u: f32, v: f32) -> Option<Colour> {
        let half = Self::taper(v, 3.0, 2.0);
        let arm_at = 0.84 * HEIGHT;
        let side = u.abs();
        if side <= half {
            let streak = grain(
                (u * 1.6).floor() as i32,
                (v / 13.0).floor() as i32,
                self.salt,
            );
            let fibre = mottle(u * 1.3, v * 0.16, self.salt);
            let knot = mottle(u * 0.5, v * 0.22, self.salt ^ 7) > 0.62;
            let dark = if knot { 0.62 } else { 1.0 };
            return Some(shade(
                self.body,
                self.round(u, half) * (1.0 + 0.2 * streak + 0.16 * fibre) * dark,
            ));
        }
        if side <= self.arm && v >= arm_at && v <= arm_at + 2.3 {
            let fibre = mottle(u * 0.3, v * 1.4, self.salt ^ 3);
            return Some(shade(self.body, 0.86 + 0.2 * fibre));
        }
        let pin = |at: f32| (side - at).abs() <= 0.85;
        let insulator = pin(self.arm * 0.88) || pin(self.arm * 0.5);
        if insulator && v > arm_at + 2.3 && v <= arm_at + 5.2 {
            return Some([206.0, 222.0, 214.0]);
        }
        let brace = (v - arm_at) + (0.62 * self.arm - side) * 1.1;
        let braced = side <= 0.62 * self.arm && v < arm_at && brace.abs() <= 0.8;
        braced.then(|| shade(self.body, 0.7))
    }

    /// A pale tapering mast with a ladder of dark recesses and a short, thick
    /// arm with brown insulators.
    fn concrete(&self, u: f32, v: f32) -> Option<Colour> {
        let half = Self::taper(v, 4.6, 2.5);
        let arm_at = 0.88 * HEIGHT;
        let side = u.abs();
        if side <= half {
            let rung = v - 7.0 * (v / 7.0).floor();
            let recess = side <= 0.5 * half && (1.6..5.6).contains(&rung) && v < 0.78 * HEIGHT;
            let speck = mottle(u * 1.2, v * 1.2, self.salt);
            let depth = if recess { 0.45 } else { 1.0 };
            return Some(shade(
                self.body,
                (1.0 + 0.12 * self.light * u / half + 0.07 * speck) * depth,
            ));
        }
        let reach = 0.82 * self.arm;
        let thick = 3.6 - 1.6 * side / reach;
        if side <= reach && v >= arm_at && v <= arm_at + thick {
            return Some(shade(self.body, 0.92));
        }
        let hung = (side - 0.8 * reach).abs() <= 1.0 && v > arm_at + 1.0 && v <= HEIGHT;
        hung.then_some([104.0, 54.0, 40.0])
    }

    /// A see-through lattice: four-sided legs that lean together, cross braces,
    /// two arms with hanging strings.
    fn steel(&self, u: f32, v: f32) -> Option<Colour> {
        let waist = 0.66 * HEIGHT;
        let half = match v < waist {
            true => 6.6 - 4.6 * v / waist,
            false => 2.0 - 0.9 * (v - waist) / (HEIGHT - waist),
        };
        let side = u.abs();
        let tone = |factor: f32| {
            Some(shade(
                self.body,
                factor * (1.0 + 0.14 * self.light * u / 6.0),
            ))
        };
        if (side - half).abs() <= 0.62 {
            return tone(1.0);
        }
        if side < half {
            let panel = if v < waist { 7.6 } else { 4.0 };
            let from = if v < waist { v } else { v - waist };
            let t = (from - panel * (from / panel).floor()) / panel;
            let cross = ((u / half) - (2.0 * t - 1.0)).abs() * half;
            let other = ((u / half) + (2.0 * t - 1.0)).abs() * half;
            let rail = t * panel <= 0.9;
            return match rail || cross <= 0.6 || other <= 0.6 {
                true => tone(0.86),
                false => None,
            };
        }
        self.steel_arms(u, v).and_then(tone)
    }

    /// Shade of the steel arms and their strings, where they are.
    fn steel_arms(&self, u: f32, v: f32) -> Option<f32> {
        let side = u.abs();
        [(0.70 * HEIGHT, self.arm), (0.88 * HEIGHT, 0.74 * self.arm)]
            .into_iter()
            .find_map(|(at, reach)| {
                let rise = 3.4 * (1.0 - side / reach);
                let above = v - at;
                let beam = side <= reach
                    && ((0.0..=1.1).contains(&above)
                        || (above - rise).abs() <= 0.6 && above >= 0.0);
                let string = (side - 0.92 * reach).abs() <= 0.7 && (-4.2..0.0).contains(&above);
                match (beam, string) {
                    (true, _) => Some(0.9),
                    (false, true) => Some(0.55),
                    _ => None,
                }
            })
    }
}
