//! One plain sentence a map: where the evidence lies.

/// What of a map counts as evidence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The positive part: what speaks for the class.
    Positive,
    /// The magnitude: what the score depends on, either way.
    Magnitude,
    /// What lies above the map's least value, for maps with a floor that says nothing.
    AboveLeast,
}

impl Evidence {
    /// One weight of at least 0 a value.
    pub fn weigh(self, map: &[f32]) -> Vec<f64> {
        let least = map.iter().copied().fold(f32::INFINITY, f32::min);
        let weigh = |v: f32| match self {
            Self::Positive => v.max(0.0),
            Self::Magnitude => v.abs(),
            Self::AboveLeast => v - least,
        };
        map.iter().map(|&v| f64::from(weigh(v))).collect()
    }
}

/// Share of each side that counts as border.
const BORDER: f64 = 0.1;

/// A part of the picture that people have a word for.
struct Region {
    name: &'static str,
    rows: (f64, f64),
    columns: (f64, f64),
}

const fn region(name: &'static str, rows: (f64, f64), columns: (f64, f64)) -> Region {
    Region {
        name,
        rows,
        columns,
    }
}

/// The centre comes first: it wins a tie, being the smaller part.
const REGIONS: [Region; 5] = [
    region("centre", (1.0 / 3.0, 2.0 / 3.0), (1.0 / 3.0, 2.0 / 3.0)),
    region("upper left quarter", (0.0, 0.5), (0.0, 0.5)),
    region("upper right quarter", (0.0, 0.5), (0.5, 1.0)),
    region("lower left quarter", (0.5, 1.0), (0.0, 0.5)),
    region("lower right quarter", (0.5, 1.0), (0.5, 1.0)),
];

/// Where the evidence of one map lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Whereabouts {
    /// The part of the picture with the largest share: a quarter, or the middle ninth.
    pub region: &'static str,
    /// Its share of the evidence, 0 to 1.
    pub share: f64,
    /// Share of the outer 10 % of each side, 0 to 1.
    pub border: f64,
}

impl Whereabouts {
    /// Measures a map of `h` rows and `w` columns. `None` without any evidence.
    pub fn of(map: &[f32], h: usize, w: usize, evidence: Evidence) -> Option<Self> {
        let weights = evidence.weigh(map);
        let total: f64 = weights.iter().sum();
        if !(total > 0.0 && total.is_finite()) || weights.len() != h * w {
            return None;
        }
        let share = |r: &Region| sum(&weights, h, w, r.rows, r.columns) / total;
        let mut best = (REGIONS[0].name, share(&REGIONS[0]));
        for candidate in &REGIONS[1..] {
            let found = share(candidate);
            if found > best.1 {
                best = (candidate.name, found);
            }
        }
        let inner = (BORDER, 1.0 - BORDER);
        Some(Self {
            region: best.0,
            share: best.1,
            border: 1.0 - sum(&weights, h, w, inner, inner) / total,
        })
    }

    /// The sentence, without the map's name: `72 % of the evidence lies in the
    /// upper left quarter; 3 % on the border`.
    pub fn sentence(&self) -> String {
        format!(
            "{:.0} % of the evidence lies in the {}; {:.0} % on the border",
            100.0 * self.share,
            self.region,
            100.0 * self.border
        )
    }
}

/// Evidence in a box given in shares of the sides. A pixel that the box cuts
/// counts with the share of its area inside.
fn sum(weights: &[f64], h: usize, w: usize, rows: (f64, f64), columns: (f64, f64)) -> f64 {
    let across: Vec<f64> = (0..w).map(|x| overlap(x, w, columns)).collect();
    let mut total = 0.0;
    for (y, row) in weights.chunks_exact(w.max(1)).enumerate() {
        let down = overlap(y, h, rows);
        let row_sum: f64 = row.iter().zip(&across).map(|(v, a)| v * a).sum();
        total += down * row_sum;
    }
    total
}

fn overlap(index: usize, side: usize, (begin, end): (f64, f64)) -> f64 {
    let side = side as f64;
    let low = (index as f64).max(begin * side);
    let high = (index as f64 + 1.0).min(end * side);
    (high - low).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(evidence: Evidence, values: &[f32]) -> Whereabouts {
        let side = values.len().isqrt();
        Whereabouts::of(values, side, side, evidence).unwrap()
    }

    #[test]
    fn an_even_map_lies_where_the_areas_are() {
        let even = at(Evidence::Positive, &[1.0; 900]);
        assert!((even.share - 0.25).abs() < 1e-12);
        // A frame of 10 % on each side is 1 - 0.8 * 0.8 of the area.
        assert!((even.border - 0.36).abs() < 1e-12);
    }

    #[test]
    fn one_corner_holds_all() {
        let mut map = [0.0; 100];
        map[9] = 2.0;
        let corner = at(Evidence::Positive, &map);
        assert_eq!(
            (corner.region, corner.share, corner.border),
            ("upper right quarter", 1.0, 1.0)
        );
        assert_eq!(
            corner.sentence(),
            "100 % of the evidence lies in the upper right quarter; 100 % on the border"
        );
    }

    #[test]
    fn the_centre_has_its_own_word() {
        let mut map = [0.0; 81];
        map[40] = 1.0;
        let centre = at(Evidence::Positive, &map);
        assert_eq!((centre.region, centre.border), ("centre", 0.0));
    }

    #[test]
    fn signs_count_as_the_method_says() {
        let map = [1.0, -3.0, 0.0, 0.0];
        assert_eq!(at(Evidence::Positive, &map).region, "upper left quarter");
        let magnitude = at(Evidence::Magnitude, &map);
        assert_eq!(
            (magnitude.region, magnitude.share),
            ("upper right quarter", 0.75)
        );
        let floor = at(Evidence::AboveLeast, &[5.0, 5.0, 5.0, 6.0]);
        assert_eq!((floor.region, floor.share), ("lower right quarter", 1.0));
    }

    #[test]
    fn no_evidence_no_sentence() {
        assert_eq!(Whereabouts::of(&[-1.0; 4], 2, 2, Evidence::Positive), None);
        assert_eq!(Whereabouts::of(&[0.0; 4], 2, 2, Evidence::Magnitude), None);
    }
}
