//! What stands around the pole: sky, hills, houses, trees, ground, wires.

use super::brush::{Colour, Dice, Sheet, blend, grain, mottle, shade};

/// What the ground is like, and how far up the picture it reaches.
#[derive(Clone, Copy, Debug)]
struct Ground {
    horizon: f32,
    colour: Colour,
    furrows: bool,
    salt: u32,
}

/// Draws everything behind the pole. `horizon` is the first row of ground.
pub fn draw(horizon: f32, snow: bool, wires: [(f32, f32); 2], dice: &mut Dice) -> Sheet {
    let mut sheet = land(horizon, snow, dice);
    hills(&mut sheet, horizon, dice);
    for _ in 0..dice.below(4) {
        match dice.below(2) {
            0 => house(&mut sheet, horizon, dice),
            _ => tree(&mut sheet, horizon, dice),
        }
    }
    for _ in 0..dice.below(3) {
        bush(&mut sheet, horizon, dice);
    }
    if dice.chance(0.3) {
        fence(&mut sheet, horizon, dice);
    }
    for from in wires {
        wire(&mut sheet, from, dice);
    }
    sheet
}

/// Sky with clouds, and the ground.
fn land(horizon: f32, snow: bool, dice: &mut Dice) -> Sheet {
    let ground = Ground::new(horizon, dice);
    let (high, low) = sky(dice);
    let salt = dice.word();
    Sheet::new(|x, y| match (y < horizon, snow) {
        (true, _) => {
            let cloud = mottle(x / 13.0, y / 6.0, salt) + 0.5 * mottle(x / 5.0, y / 3.0, salt ^ 1);
            let pale = (0.7 * (cloud - 0.25)).clamp(0.0, 0.8);
            blend(blend(high, low, y / horizon), [244.0, 245.0, 247.0], pale)
        }
        (false, true) => ground.snow(x, y),
        (false, false) => ground.bare(x, y),
    })
}

/// A wire through a point, from edge to edge.
fn wire(sheet: &mut Sheet, (x0, y0): (f32, f32), dice: &mut Dice) {
    let sag = dice.between(-2.0, 5.0);
    let drop = dice.between(-6.0, 6.0);
    let line = move |x: f32| {
        let t = (x - x0) / 64.0;
        y0 + drop * t + sag * t * t * 4.0
    };
    sheet.paint(|x, y| ((y - line(x)).abs() <= 0.3).then_some([70.0, 72.0, 76.0]));
}

/// Colours of the sky: above, and at the horizon.
fn sky(dice: &mut Dice) -> (Colour, Colour) {
    let (high, low) = match dice.below(4) {
        0 => ([96.0, 150.0, 214.0], [196.0, 218.0, 236.0]),
        1 => ([150.0, 162.0, 176.0], [206.0, 210.0, 212.0]),
        2 => ([126.0, 158.0, 204.0], [240.0, 212.0, 178.0]),
        _ => ([178.0, 196.0, 214.0], [222.0, 226.0, 228.0]),
    };
    (dice.colour(high, 14.0, 6.0), dice.colour(low, 10.0, 6.0))
}

impl Ground {
    fn new(horizon: f32, dice: &mut Dice) -> Self {
        let middle = match dice.below(4) {
            0 => [92.0, 128.0, 58.0],
            1 => [168.0, 150.0, 88.0],
            2 => [126.0, 102.0, 76.0],
            _ => [120.0, 136.0, 84.0],
        };
        Self {
            horizon,
            colour: dice.colour(middle, 14.0, 8.0),
            furrows: dice.chance(0.4),
            salt: dice.word(),
        }
    }

    /// Distance from the eye: large at the horizon.
    fn depth(&self, y: f32) -> f32 {
        60.0 / (y - self.horizon + 5.0)
    }

    fn bare(&self, x: f32, y: f32) -> Colour {
        let depth = self.depth(y);
        let across = (x - 32.0) * depth;
        let tuft = mottle(across / 5.0, depth * 7.0, self.salt);
        let stone = 0.08 * grain(x as i32, y as i32, self.salt);
        let row = across / 11.0;
        let furrow = self.furrows && row - row.floor() < 0.4;
        let dark = if furrow { 0.84 } else { 1.0 };
        shade(self.colour, (1.0 + 0.13 * tuft + stone) * dark)
    }

    fn snow(&self, x: f32, y: f32) -> Colour {
        let depth = self.depth(y);
        let drift = mottle((x - 32.0) * depth / 9.0, depth * 4.0, self.salt);
        let glint = 0.03 * grain(x as i32, y as i32, self.salt);
        shade([230.0, 236.0, 246.0], 1.0 + 0.05 * drift + glint)
    }
}

fn hills(sheet: &mut Sheet, horizon: f32, dice: &mut Dice) {
    let colour = dice.colour([96.0, 116.0, 112.0], 16.0, 10.0);
    let (salt, height) = (dice.word(), dice.between(1.0, 8.0));
    sheet.paint(|x, y| {
        let ridge = horizon - height * (0.6 + 0.5 * mottle(x / 17.0, 0.5, salt));
        (y < horizon && y >= ridge).then_some(colour)
    });
}

fn house(sheet: &mut Sheet, horizon: f32, dice: &mut Dice) {
    let (x0, base) = (dice.between(-6.0, 60.0), horizon + dice.between(0.0, 5.0));
    let (w, h) = (dice.between(9.0, 20.0), dice.between(5.0, 11.0));
    let wall = match dice.below(4) {
        0 => [188.0, 182.0, 170.0],
        1 => [140.0, 104.0, 76.0],
        2 => [128.0, 138.0, 150.0],
        _ => [214.0, 196.0, 168.0],
    };
    let wall = dice.colour(wall, 14.0, 6.0);
    let roof = match dice.chance(0.5) {
        true => dice.colour([142.0, 66.0, 50.0], 14.0, 6.0),
        false => dice.colour([86.0, 88.0, 96.0], 12.0, 6.0),
    };
    let ridge = dice.between(3.0, 6.5);
    sheet.paint(|x, y| {
        let (u, v) = (x - x0, base - y);
        let inside = (0.0..w).contains(&u);
        if inside && (0.0..h).contains(&v) {
            let cell = u - 5.0 * (u / 5.0).floor();
            let window = (1.6..3.6).contains(&cell) && v > 0.4 * h && v < 0.8 * h;
            return Some(if window { [62.0, 70.0, 84.0] } else { wall });
        }
        let half = 0.5 * w + 1.2;
        let off = (u - 0.5 * w).abs();
        (v >= h && v < h + ridge * (1.0 - off / half)).then_some(roof)
    });
}

fn tree(sheet: &mut Sheet, horizon: f32, dice: &mut Dice) {
    let (x0, base) = (dice.between(0.0, 64.0), horizon + dice.between(0.0, 8.0));
    let size = dice.between(4.0, 8.5);
    let trunk = dice.colour([104.0, 74.0, 48.0], 16.0, 6.0);
    let crown = dice.colour([66.0, 98.0, 52.0], 16.0, 10.0);
    let salt = dice.word();
    sheet.paint(|x, y| {
        let (u, v) = (x - x0, base - y);
        let (du, dv) = (u / size, (v - 1.9 * size) / (1.25 * size));
        let rim = 1.0 + 0.28 * mottle(u / 1.7, v / 1.7, salt);
        if du * du + dv * dv < rim {
            return Some(shade(
                crown,
                1.0 + 0.22 * mottle(u / 1.3, v / 1.3, salt ^ 5),
            ));
        }
        (u.abs() < 0.18 * size && (0.0..1.2 * size).contains(&v)).then_some(trunk)
    });
}

fn bush(sheet: &mut Sheet, horizon: f32, dice: &mut Dice) {
    let (x0, y0) = (dice.between(0.0, 64.0), dice.between(horizon + 2.0, 64.0));
    let (w, h) = (dice.between(2.5, 6.0), dice.between(1.5, 3.8));
    let leaf = dice.colour([84.0, 104.0, 58.0], 18.0, 12.0);
    let salt = dice.word();
    sheet.paint(|x, y| {
        let (u, v) = ((x - x0) / w, (y - y0) / h);
        let rim = 1.0 + 0.4 * mottle(x / 1.6, y / 1.6, salt);
        (u * u + v * v < rim).then(|| shade(leaf, 1.0 + 0.2 * mottle(x, y, salt ^ 9)))
    });
}

fn fence(sheet: &mut Sheet, horizon: f32, dice: &mut Dice) {
    let base = horizon + dice.between(3.0, 10.0);
    let (gap, shift) = (dice.between(7.0, 13.0), dice.between(0.0, 13.0));
    let wood = dice.colour([116.0, 92.0, 68.0], 18.0, 8.0);
    sheet.paint(|x, y| {
        let u = x + shift;
        let (post, v) = (u - gap * (u / gap).floor(), base - y);
        let rail = (v - 3.2).abs() < 0.4;
        (rail || post < 1.3 && (0.0..5.0).contains(&v)).then_some(wood)
    });
}
