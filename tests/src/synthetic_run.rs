//! A run made up for pages: pictures of the demo, maps and scores from random
//! numbers, and everything that can be missing.

mod hostile;

use foveola::demo::scene::{SIDE, Scene, Snow, draw};
use foveola::explainer::{Layer, Region, Step};
use foveola::run::view::{
    Agreement, Answer, Curve, FetchError, Flag, LabelledBox, MapInfo, MapValues, MethodInfo,
    MetricInfo, Pictures, Provenance, Run, Sample, Uncertainty, Verdict,
};
use foveola_core::Score;
use foveola_core::explain::Outcome;
use foveola_core::metric::{Better, Family, METRICS, MetricRow, Needs};

pub use hostile::HOSTILE;

/// A metric without bounds.
const UNBOUNDED: MetricRow = MetricRow {
    name: "lipschitz",
    summary: "How fast the map moves where the picture hardly does",
    family: Family::Robustness,
    range: [0.0, f64::INFINITY],
    better: Better::Lower,
    needs: Needs::Maps,
    per_class: true,
    paper: "made up for this test",
    parameters: &[],
};

/// Title, spec, rows and columns, signed.
const METHODS: [(&str, &str, usize, bool); 6] = [
    ("Grad-CAM", "grad-cam@features", 7, false),
    ("Gradient", "gradient", 64, true),
    ("Guided backprop", "guided-backprop", 64, true),
    ("Occlusion", "occlusion:window=9", 14, true),
    ("RISE", "rise:masks=256", 32, false),
    ("Random map", "random-map", 64, false),
];

/// Numbers from 0 to 1, the same every time (Steele et al. 2014, SplitMix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ z >> 31) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// Scenes after which a run's pictures repeat, with other numbers.
const DRAWN: u32 = 128;

/// Pictures and maps of [`run`].
pub struct Painted {
    /// Whether nothing can be fetched.
    pub blind: bool,
    scenes: Vec<Scene>,
    /// Where the evidence of each sample lies, as shares of the sides.
    centres: Vec<[f64; 2]>,
}

impl Pictures for Painted {
    fn map(&self, sample: usize, answer: usize, method: usize) -> Result<MapValues, FetchError> {
        if self.blind || sample % 23 == 5 && method == 4 {
            return Err(FetchError {
                what: String::from("maps-0003.parquet"),
                reason: String::from("checksum differs"),
            });
        }
        let (_, _, side, signed) = METHODS[method];
        let [cx, cy] = self.centres[sample];
        let mut dice = Dice((sample * 64 + answer * 8 + method) as u64);
        let values = (0..side * side).map(|i| {
            let (x, y) = ((i % side) as f64, (i / side) as f64);
            let (dx, dy) = ((x + 0.5) / side as f64 - cx, (y + 0.5) / side as f64 - cy);
            let hill = (-(dx * dx * 60.0 + dy * dy * 9.0)).exp();
            let noise = dice.roll() - 0.5;
            let sign = if answer == 0 { 1.0 } else { -0.6 };
            (match (signed, side) {
                (true, 64) => hill * 4.0 * noise + 0.2 * noise,
                (true, _) => sign * hill - 0.3 * (1.0 - hill) * dice.roll(),
                _ => hill + 0.12 * noise + 0.2,
            }) as f32
        });
        Ok(MapValues {
            grid: [side, side],
            values: values.collect(),
        })
    }

    fn picture(&self, sample: usize) -> Result<image::RgbImage, FetchError> {
        let scene = &self.scenes[sample % self.scenes.len()];
        let side = if self.blind { 0 } else { SIDE as u32 };
        let whole = (side > 0).then(|| image::RgbImage::from_raw(side, side, scene.pixels.clone()));
        whole.flatten().ok_or_else(|| FetchError {
            what: String::from("picture"),
            reason: String::from("its size is wrong"),
        })
    }

    /// Those whose names end in 3 are gone, and all that were not made up here.
    fn training(&self, name: &str) -> Result<image::RgbImage, FetchError> {
        let number = name.strip_prefix("train/").and_then(|n| n.get(..3));
        let number = number.and_then(|n| n.parse::<usize>().ok());
        match number {
            Some(number) if !name.ends_with("-3.png") => self.picture(number),
            _ => Err(FetchError {
                what: String::from(name),
                reason: String::from("it is gone"),
            }),
        }
    }
}

/// A run of `pictures` pictures. What data sets and networks can say is
/// `words`, cut up, where there are any.
pub fn run(pictures: u32, words: &[&str]) -> (Run, Painted) {
    let word = |i: usize, plain: String| match words {
        [] => plain,
        _ => String::from(words[i % words.len()]),
    };
    let mut labels: Vec<String> = ["wood", "concrete", "steel"].map(String::from).to_vec();
    labels = (0..).zip(labels).map(|(i, l)| word(i, l)).collect();
    labels.extend((3..words.len()).map(|i| word(i, String::new())));
    let mut painted = Painted {
        blind: false,
        scenes: Vec::new(),
        centres: Vec::new(),
    };
    // Drawing takes longer than all the rest.
    let drawn = (0..pictures.min(DRAWN)).map(|i| draw(7, i, Snow::Anywhere));
    let drawn: Vec<Scene> = drawn.collect();
    let samples = (0..pictures as usize).map(|i| {
        let scene = &drawn[i % drawn.len()];
        sample(i, scene, labels.len(), &word, &mut painted)
    });
    let samples = samples.collect();
    painted.scenes = drawn;
    let run = Run {
        provenance: provenance(&word),
        labels,
        threshold: 0.5,
        methods: METHODS.iter().map(method).collect(),
        metrics: metrics(),
        samples,
    };
    (run, painted)
}

fn provenance(word: &dyn Fn(usize, String) -> String) -> Provenance {
    Provenance {
        unit: None,
        tool: String::from("0.1.0"),
        model: word(1, String::from("poles.onnx")),
        model_hash: "3f9a".repeat(16),
        data: word(2, String::from("scenes/validation")),
        data_hash: "71c4".repeat(16),
        config_hash: "be02".repeat(16),
        seed: u64::MAX,
        backend: String::from("core, strict"),
        command: word(
            3,
            String::from("foveola run poles.onnx scenes/validation -o out"),
        ),
    }
}

fn method(&(title, spec, side, signed): &(&str, &str, usize, bool)) -> MethodInfo {
    MethodInfo {
        spec: String::from(spec),
        title: String::from(title),
        passes: (side * side) as u64,
        signed,
        baseline: spec == "random-map",
    }
}

fn metrics() -> Vec<MetricInfo> {
    let rows = METRICS.iter().take(7).chain([&UNBOUNDED]);
    rows.map(|row| MetricInfo {
        spec: String::from(row.name),
        row,
    })
    .collect()
}

fn sample(
    i: usize,
    scene: &Scene,
    classes: usize,
    word: &dyn Fn(usize, String) -> String,
    painted: &mut Painted,
) -> Sample {
    let mut dice = Dice(1_000_003 * i as u64 + 17);
    let truth = scene.kind as usize;
    let label = scene.kind.label();
    let pole = scene.pole;
    let share = |v: usize| v as f32 / SIDE as f32;
    let area = [pole.x, pole.y, pole.w, pole.h].map(share);
    let cheats = dice.roll() < 0.25;
    let middle = [
        f64::from(area[0] + area[2] / 2.0),
        f64::from(area[1] + area[3] / 2.0),
    ];
    painted
        .centres
        .push(if cheats { [0.5, 0.93] } else { middle });
    let mut sample = Sample {
        id: i as u64,
        file: word(i, format!("{label}/scene-{i:05}.png")),
        size: [640, 480],
        truth: vec![truth],
        boxes: vec![LabelledBox { label: truth, area }],
        ..Sample::default()
    };
    if i % 31 == 11 {
        sample.failure = Some(word(i, String::from("not a PNG: the signature is wrong")));
        sample.boxes.clear();
        return sample;
    }
    let wrong = dice.roll() < 0.18;
    let top = if wrong { (truth + 1) % 3 } else { truth };
    let sure = 0.52 + 0.47 * dice.roll();
    let second = (1.0 - sure) * (0.3 + 0.6 * dice.roll());
    sample.probabilities = vec![0.0; classes];
    sample.probabilities[top] = sure as f32;
    sample.probabilities[(top + 1) % 3] = second as f32;
    sample.probabilities[(top + 2) % 3] = (1.0 - sure - second) as f32;
    sample.margin = Some(sure - second);
    sample.entropy = Some(-sure * sure.ln() - second * second.ln());
    let mut explained = vec![truth];
    if wrong {
        explained.push(top);
    }
    sample.answers = explained
        .into_iter()
        .map(|label| answer(i, label, &sample, cheats, word, &mut dice))
        .collect();
    sample
}

fn answer(
    i: usize,
    label: usize,
    sample: &Sample,
    cheats: bool,
    word: &dyn Fn(usize, String) -> String,
    dice: &mut Dice,
) -> Answer {
    let p = f64::from(sample.probabilities[label]);
    let (truth, predicted) = (sample.truth.contains(&label), p > 0.5);
    let flag = match (truth, predicted) {
        (true, true) => Flag::TruePositive,
        (true, false) => Flag::FalseNegative,
        _ => Flag::FalsePositive,
    };
    let deviation = 0.02 + 0.12 * dice.roll() * (1.0 - p);
    let maps: Vec<MapInfo> = (0..METHODS.len())
        .map(|m| map(i, m, p, cheats, word, dice))
        .collect();
    Answer {
        label,
        flag,
        verdict: Some(match (flag, cheats) {
            (Flag::TruePositive, false) => Verdict::Right,
            (Flag::TruePositive, true) => Verdict::RightWrongReason,
            _ => Verdict::Wrong,
        }),
        looked_at: Some((
            if cheats { (label + 1) % 3 } else { label },
            0.4 + 0.5 * dice.roll(),
        )),
        uncertainty: Some(Uncertainty {
            deviation,
            low: (p - 1.9 * deviation).max(0.0),
            high: (p + 1.9 * deviation).min(1.0),
        }),
        maps,
        agreement: agreement(dice),
        region: Some(match p > 0.5 {
            true => Ok(region(sample, p as f32)),
            false => Err(word(
                i,
                String::from("the probability 0.31 is not above the threshold 0.5"),
            )),
        }),
        nearest: (0..5)
            .map(|n| {
                (
                    word(i + n, format!("train/{i:03}-{n}.png")),
                    0.2 + 0.1 * n as f64,
                )
            })
            .collect(),
    }
}

fn agreement(dice: &mut Dice) -> Vec<Agreement> {
    let mut all = Vec::new();
    for a in 0..5 {
        for b in a + 1..5 {
            all.push(Agreement {
                methods: [a, b],
                spearman: (dice.roll() > 0.05).then(|| 1.4 * dice.roll() - 0.4),
                overlap: dice.roll(),
            });
        }
    }
    all
}

fn region(sample: &Sample, p: f32) -> Region {
    let [x, y, w, h] = sample.boxes[0].area.map(|v| (v * SIDE as f32) as usize);
    let corner = |v: usize, side: usize| v.min(SIDE - side);
    let coarse = vec![
        [corner(x.saturating_sub(8), 32), 0, 32, 32],
        [corner(x.saturating_sub(12), 32), 32, 32, 32],
    ];
    let fine = (0..4)
        .map(|i| [corner(x, 16), corner(y + i * h / 4, 16), 16, 16])
        .collect();
    let layer = |probability, boxes| Layer { probability, boxes };
    let step = |area, probability| Step {
        layer: 0,
        area,
        probability,
        change: 0.1,
        children: Vec::new(),
    };
    Region {
        tree: vec![step(coarse[0], 0.4), step(coarse[1], p)],
        layers: vec![
            layer(0.97 * p, coarse),
            layer(0.88 * p, fine),
            layer(0.8 * p, vec![[x, y, w.max(4), h.max(4)]]),
        ],
        reveal: true,
        score: Score::Probability,
        picture: [SIDE, SIDE],
    }
}

fn map(
    i: usize,
    method: usize,
    p: f64,
    cheats: bool,
    word: &dyn Fn(usize, String) -> String,
    dice: &mut Dice,
) -> MapInfo {
    let outcome = match (i % 17, method) {
        (3, 0) => Outcome::Flat,
        (4, 3) => Outcome::Undefined("the score of the picture is not finite"),
        (6, 4) => Outcome::Partial {
            done: 96,
            total: 256,
        },
        _ => Outcome::Ok,
    };
    let good = [0.75, 0.5, 0.55, 0.68, 0.66, 0.4][method] - if cheats { 0.25 } else { 0.0 };
    let scores = (0..8).map(|k| {
        let value = (good + 0.3 * (dice.roll() - 0.5)).clamp(0.0, 1.0);
        match (&outcome, k, method) {
            (Outcome::Flat | Outcome::Undefined(_), ..) => {
                Err(word(i, String::from("the map is flat")))
            }
            // One metric has no score at all for one method.
            (_, 5, 2) => Err(word(i, String::from("no pixel is ranked"))),
            (_, 0, _) => Ok(1.0 - value),
            (_, 7, _) => Ok(9.0 * (1.0 - value)),
            (_, _, _) => Ok(value),
        }
    });
    let scores = scores.collect();
    let points = |keep: bool| {
        (0..=20).map(move |n| {
            let x = f64::from(n) / 20.0;
            let rise = 1.0 - (-x * (3.0 + 6.0 * good)).exp();
            [x, p * if keep { rise } else { 1.0 - rise }]
        })
    };
    let curve = |name: &str, keep| Curve {
        name: String::from(name),
        points: points(keep).collect(),
    };
    MapInfo {
        grid: [METHODS[method].2; 2],
        outcome,
        scores,
        curves: vec![curve("insertion", true), curve("deletion", false)],
    }
}
