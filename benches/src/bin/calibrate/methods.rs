//! What methods beyond the first seven do themselves, on networks that are
//! little beside it; and how far these prices are off on others.

use std::collections::BTreeMap;
use std::path::Path;

use foveola::budget::{Board, Counts, Errors, MethodBudget, stand_in};
use foveola::crosscheck::Answer;
use foveola::model::{OpenModel, OpenOptions};

use super::fit::{Row, fit};
use super::grid::{Family, points, scene};
use super::measure::{Case, Program};
use super::nets::{Net, nets};
use super::{MARGIN, Result, STACK, measure};

/// Each method twice, with different numbers of passes and segments.
const ASKED: [[&str; 2]; 34] = [
    ["input-x-gradient", "input-x-gradient"],
    ["smooth-grad:samples=3", "smooth-grad:samples=8"],
    ["var-grad:samples=8", "var-grad:samples=4"],
    ["square-grad:samples=4", "square-grad:samples=9"],
    [
        "integrated-gradients:steps=9",
        "integrated-gradients:steps=4",
    ],
    ["guided-grad-cam", "guided-grad-cam"],
    ["cam", "cam"],
    ["grad-cam-plus-plus", "grad-cam-plus-plus"],
    ["hires-cam", "hires-cam"],
    ["x-grad-cam", "x-grad-cam"],
    ["layer-cam", "layer-cam"],
    ["score-cam", "score-cam"],
    ["ablation-cam", "ablation-cam"],
    ["eigen-cam", "eigen-cam:centred=true"],
    ["recipro-cam", "recipro-cam"],
    [
        "grad-cam:counterfactual=true",
        "grad-cam:counterfactual=true",
    ],
    ["full-grad", "full-grad"],
    ["lrp", "lrp"],
    [
        "feature-ablation:segments=grid,count=9",
        "feature-ablation:segments=grid,count=25",
    ],
    [
        "lime:segments=grid,count=30,samples=20",
        "lime:segments=grid,count=12,samples=60",
    ],
    [
        "kernel-shap:segments=grid,count=12,samples=50",
        "kernel-shap:segments=grid,count=30,samples=20",
    ],
    [
        "anchors:segments=grid,count=9,passes=150",
        "anchors:segments=grid,count=16,passes=300",
    ],
    [
        "sobol:segments=grid,count=9,designs=4",
        "sobol:segments=grid,count=25,designs=2",
    ],
    [
        "hsic:segments=grid,count=25,samples=30",
        "hsic:segments=grid,count=9,samples=90",
    ],
    [
        "meaningful-perturbation:steps=3",
        "meaningful-perturbation:steps=8",
    ],
    [
        "meaningful-perturbation:steps=8,grid=5",
        "meaningful-perturbation:steps=4,grid=7",
    ],
    ["aise:samples=12", "aise:samples=5"],
    [
        "activation-maximisation:steps=4",
        "activation-maximisation:steps=11",
    ],
    [
        "rise:masks=20,sequence=sobol",
        "rise:masks=8,sequence=sobol,grid=5",
    ],
    [
        "rise:masks=8,estimator=centred",
        "rise:masks=20,estimator=centred",
    ],
    [
        "rise:masks=16,estimator=centred,sequence=sobol",
        "rise:masks=8,estimator=centred,sequence=sobol,grid=4",
    ],
    [
        "hoc:windows=4,strides=3,beam=2,baseline=black",
        "hoc:windows=5,strides=4,beam=3,baseline=black",
    ],
    [
        "hoc:windows=5,strides=3,minimal=true,baseline=black",
        "hoc:windows=4,strides=4,minimal=true,baseline=black",
    ],
    [
        "hoc:windows=4,strides=4,beam=2,minimal=true,baseline=black",
        "hoc:windows=5,strides=4,beam=3,minimal=true,baseline=black",
    ],
];

/// Prices that are further off than this are left out: a bound says more.
const USEFUL: f64 = 0.5;

/// Networks that a price is checked on, at least.
const CHECKS: usize = 2;

/// Instructions of a job that is run: the emulator takes minutes for as many.
const MOST: f64 = 1.2e11;

/// Methods of one job.
const AT_ONCE: usize = 12;

/// What tells how far the network's own prices are off.
const WHOLE: &str = "gradient";

/// A network that is asked about some methods.
pub struct Asked {
    case: Case,
    /// Whether it checks prices instead of making them.
    held: bool,
}

impl Asked {
    /// What the whole job takes on a board, at least.
    fn instructions(&self, board: &Board) -> f64 {
        let methods = self.case.budget.methods.iter().flatten();
        methods.map(|method| method.instructions(board)).sum()
    }
}

/// All networks with all methods, some at a time.
pub fn asked() -> Result<Vec<Asked>> {
    let mut all = Vec::new();
    let mut number = 0;
    let mut add = |name: String, model: &OpenModel, int8: bool, held: bool| {
        number += 1;
        for some in ASKED.chunks(AT_ONCE) {
            let mut specs = vec![WHOLE];
            specs.extend(some.iter().map(|pair| pair[usize::from(number % 2 == 1)]));
            let photo = stand_in(model);
            let mut case = Case::of(name.clone(), model, &photo, (&specs, int8))?;
            case.laps = false;
            all.push(Asked { case, held });
        }
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    for (i, net) in networks().into_iter().enumerate() {
        let int8 = net.int8.is_some();
        let model = measure::compiled(&net)?;
        add(format!("own{i}"), &model, int8, i % 4 == 3)?;
    }
    for (name, model) in real()? {
        let int8 = name.ends_with("int8");
        add(name, &model, int8, true)?;
    }
    Ok(all)
}

/// Small networks, and pictures that are large beside theirs, in f32 and int8.
fn networks() -> Vec<Net> {
    let families: [(Family, usize); 2] = [(scene, 3), (points, 2)];
    let mut all = Vec::new();
    for int8 in [false, true] {
        let mut nets: Vec<Net> = nets().into_iter().step_by(9).collect();
        for (family, count) in families {
            nets.extend((0..count).map(|i| family(2 * i, foveola::compile::Goal::Fast)));
        }
        all.extend(nets.into_iter().map(|net| Net {
            tensor: false,
            int8: int8.then_some(foveola::compile::Goal::Fast),
            ..net
        }));
    }
    all
}

/// The demo's network, and the real ones as far as they are there.
fn real() -> Result<Vec<(String, OpenModel)>> {
    let demo = foveola_tests::root().join("host/demo");
    let options = OpenOptions {
        card_file: Some(demo.join("poles.card.toml")),
        ..OpenOptions::default()
    };
    let honest = OpenModel::open(&demo.join("honest.onnx"), &options)?;
    let mut all = vec![(String::from("honest"), honest)];
    let Some(zoo) = foveola_tests::zoo() else {
        return Ok(all);
    };
    for name in [
        "resnet8_cifar10_int8.tflite",
        "resnet8_cifar10_float.tflite",
    ] {
        let path = zoo.join("models/tinyml").join(name);
        let name = name.split('.').next().unwrap_or_default().to_owned();
        all.push((name, OpenModel::open(&path, &OpenOptions::default())?));
    }
    Ok(all)
}

/// What a method took on a network.
struct Measured<'c> {
    method: &'c MethodBudget,
    own: &'c str,
    network: &'c str,
    instructions: f64,
    held: bool,
    /// Instructions of the network's passes as they were predicted, and how many
    /// times as many such passes take.
    passes: f64,
    ratio: f64,
}

/// Prices of methods' own work, their errors, and their stacks.
#[derive(Default)]
pub struct Prices {
    pub instructions: BTreeMap<String, f64>,
    pub errors: BTreeMap<String, Errors>,
    pub stack: BTreeMap<String, usize>,
}

/// Runs everything on a board whose other prices and stacks are known.
pub fn prices(
    (firmware, program, elf): (&Path, &Program, &Path),
    asked: &[Asked],
    known: (&BTreeMap<String, f64>, &BTreeMap<String, usize>),
) -> Result<Prices> {
    let board = foveola::budget::board(program.board)?;
    let (asked, left): (Vec<&Asked>, Vec<&Asked>) = asked
        .iter()
        .partition(|asked| asked.instructions(board) < MOST);
    for asked in left {
        println!("{}: {} takes too long", program.board, asked.case.name);
    }
    let cases: Vec<&Case> = asked.iter().map(|asked| &asked.case).collect();
    let answers = super::run(firmware, program, elf, &cases)?;
    let mut all = Vec::new();
    let mut found = Prices::default();
    for (asked, answer) in asked.iter().zip(&answers) {
        let Some(answer) = answer else {
            println!("{}: {} does not fit", program.board, asked.case.name);
            continue;
        };
        take(asked, answer, known.0, &mut all)?;
        stacks(asked, answer, known.1, &mut found.stack)?;
    }
    let mut names: Vec<&str> = all.iter().map(|measured| measured.own).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let rows: Vec<&Measured<'_>> = all.iter().filter(|row| row.own == name).collect();
        let prices = price(&rows);
        let errors = errors(&rows, &prices, (known.0, program.soft));
        println!(
            "{}: {name}: {:.1} % rms, worst {:.1} %",
            program.board,
            100.0 * errors.rms,
            100.0 * errors.worst
        );
        let checks = rows.iter().filter(|row| row.held).count();
        if errors.worst <= USEFUL && checks >= CHECKS {
            found.errors.insert(name.to_owned(), errors);
            found.instructions.extend(prices);
        }
    }
    Ok(found)
}

/// What one answer says of the methods beyond the first seven.
fn take<'c>(
    asked: &'c Asked,
    answer: &Answer,
    known: &BTreeMap<String, f64>,
    all: &mut Vec<Measured<'c>>,
) -> Result<()> {
    let budget = &asked.case.budget;
    let classify = answer.cost("classify")?.instructions as f64 / budget.work.counts.at(known);
    let mut gradient = classify;
    for (k, method) in budget.methods.iter().flatten().enumerate() {
        let cost = answer.cost(&format!("cost.{k}"))?;
        let (took, passes) = (cost.instructions as f64, method.work.counts.at(known));
        let Some(own) = &method.work.own else {
            gradient = took / passes;
            continue;
        };
        let told = answer.text(&format!("cost.{k}"))?;
        let told = told
            .split(' ')
            .find_map(|pair| pair.strip_prefix("passes="));
        let back = method
            .work
            .counts
            .iter()
            .any(|(name, _)| name == "gradient");
        // Boards count a way there and back as one.
        if !back && told.is_none_or(|told| told.parse() != Ok(method.work.passes)) {
            println!(
                "{}: {}: {told:?} passes, not {}",
                asked.case.name, method.spec, method.work.passes
            );
        }
        all.push(Measured {
            method,
            own,
            network: &asked.case.name,
            instructions: took,
            held: asked.held,
            passes,
            ratio: if back { gradient } else { classify },
        });
    }
    Ok(())
}

/// Stacks: what a method takes more than a gradient, on top of the deepest that
/// a gradient took on networks that use every operator.
fn stacks(
    asked: &Asked,
    answer: &Answer,
    known: &BTreeMap<String, usize>,
    stack: &mut BTreeMap<String, usize>,
) -> Result<()> {
    let mut least = answer.cost("classify")?.stack as usize;
    let base = known.get(WHOLE).copied().unwrap_or(0);
    for (k, method) in asked.case.budget.methods.iter().flatten().enumerate() {
        let depth = answer.cost(&format!("cost.{k}"))?.stack as usize;
        if method.work.own.is_none() {
            least = depth;
            continue;
        }
        let more = base + depth.saturating_sub(least);
        let deepest = stack.entry(method.spec.row.name.to_owned()).or_insert(0);
        *deepest = (*deepest)
            .max(more.next_multiple_of(STACK))
            .max((depth + MARGIN).next_multiple_of(STACK));
    }
    Ok(())
}

/// The counts that are the method's own.
fn own(measured: &Measured<'_>) -> Counts {
    let mut own = Counts::default();
    let prefix = format!("{}.", measured.own);
    for (name, n) in measured.method.work.counts.iter() {
        if name.starts_with(&prefix) {
            own.add(name, n);
        }
    }
    own
}

/// Prices of a method's own work: what it takes more than the network's passes.
fn price(rows: &[&Measured<'_>]) -> BTreeMap<String, f64> {
    const PASSES: &str = "passes";
    let fitted = rows.iter().filter(|row| !row.held);
    let fitted: Vec<Row> = fitted
        .map(|row| {
            let mut counts = own(row);
            counts.add(PASSES, row.passes * row.ratio);
            Row {
                name: row.network.to_owned(),
                counts,
                instructions: row.instructions,
            }
        })
        .collect();
    let known = BTreeMap::from([(PASSES.to_owned(), Some(1.0))]);
    let rows: Vec<&Row> = fitted.iter().collect();
    fit(&rows, &known, |_| true)
}

/// The error that is stated where `worst` was measured, in whole percent. A program
/// built in another folder takes up to 0.1 % more or less; without floating point in
/// hardware a sum takes as many instructions as its digits ask for.
fn stated(worst: f64, soft: bool) -> f64 {
    let room = if soft { 2.5 } else { 0.5 };
    (100.0 * worst + room).ceil() / 100.0
}

/// How far the prediction is off on networks that no price was fitted on.
fn errors(
    rows: &[&Measured<'_>],
    prices: &BTreeMap<String, f64>,
    (known, soft): (&BTreeMap<String, f64>, bool),
) -> Errors {
    let mut all = known.clone();
    all.extend(prices.iter().map(|(name, price)| (name.clone(), *price)));
    let error = |row: &Measured<'_>| row.method.work.counts.at(&all) / row.instructions - 1.0;
    if std::env::var_os("VERBOSE").is_some() {
        for row in rows {
            println!(
                "{:7.1} % (passes {:5.1} % of it, off {:5.1} %) {} {}{} {:?}",
                100.0 * error(row),
                100.0 * row.passes / row.instructions,
                100.0 * (1.0 / row.ratio - 1.0),
                row.network,
                row.method.spec,
                if row.held { " held" } else { "" },
                own(row)
            );
        }
    }
    let held: Vec<f64> = rows.iter().filter(|r| r.held).map(|r| error(r)).collect();
    let squares: f64 = held.iter().map(|error| error * error).sum();
    Errors {
        rms: (squares / held.len().max(1) as f64).sqrt(),
        worst: stated(
            held.iter().fold(0.0, |most, error| error.abs().max(most)),
            soft,
        ),
    }
}
