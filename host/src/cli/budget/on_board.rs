//! The part of `foveola budget` that is about boards.

use std::fmt::Display;

use super::{BudgetArgs, CliError, OpenModel, bytes, lay_out, methods, note, row};
use crate::budget::{
    Board, Bound, Budget, Errors, Lent, Memory, MethodBudget, Placed, advice, boards, stack,
    stand_in,
};
use crate::model::Engine;
use crate::photo::Photo;

/// The boards that are asked for.
pub fn named(names: &[String]) -> Result<Vec<&'static Board>, CliError> {
    if names.iter().any(|name| name == "all") {
        return Ok(boards().iter().collect());
    }
    let named = names.iter().map(|name| crate::budget::board(name));
    named.collect::<Result<_, _>>().map_err(CliError::Usage)
}

/// What the model takes on each of them.
pub fn tell(
    args: &BudgetArgs,
    model: &OpenModel,
    boards: &[&'static Board],
) -> Result<String, CliError> {
    if boards.is_empty() {
        return Ok(String::new());
    }
    if matches!(model.engine, Engine::Tract(_)) {
        note("boards run models that core runs, and this one needs tract");
        return Ok(String::new());
    }
    let photo = match &args.picture {
        Some(path) => Photo::open(path, &model.intake())?,
        None => stand_in(model),
    };
    let budget = Budget::of(model, &methods(args), &photo, !args.no_prune)?;
    for (spec, method) in methods(args).iter().zip(&budget.methods) {
        if let Err(reason) = method {
            note(&format!("{spec} on a board: {reason}"));
        }
    }
    let is_own = args.picture.is_some();
    let told = boards.iter().map(|board| one(&budget, board, is_own));
    Ok(told.collect())
}

fn one(budget: &Budget, board: &Board, is_own: bool) -> String {
    let regions = board.ram.iter();
    let regions: Vec<String> = regions
        .map(|region| format!("{} {}", region.name, bytes(region.bytes)))
        .collect();
    let mut text = format!(
        "\n{} ({}, {}): flash {}, {}\n",
        board.name,
        board.core,
        board.note,
        bytes(board.flash),
        regions.join(" + ")
    );
    text += &flash(budget, board);
    text += &table(budget, board);
    text += &work(budget, board, is_own);
    for (ways, names) in misfits(budget, board) {
        let names = names.join(", ");
        text += &format!("does not fit: {names}. What would: {ways}.\n");
    }
    let missing = |method: &&MethodBudget| !method.is_in_program(board);
    let missing = budget.methods.iter().flatten().filter(missing);
    let names: Vec<&str> = missing.map(|method| method.spec.row.name).collect();
    if !names.is_empty() {
        text += &format!(
            "not in its program, for which {} of flash are too small: {}. Other boards have them.\n",
            bytes(board.flash),
            names.join(", ")
        );
    }
    text
}

/// The methods that do not fit, by what would help them.
fn misfits(budget: &Budget, board: &Board) -> Vec<(String, Vec<&'static str>)> {
    let mut all: Vec<(String, Vec<&'static str>)> = Vec::new();
    for method in in_program(budget, board).filter(|method| method.place(board).is_none()) {
        let ways = advice(budget, method, board).join("; ");
        let name = method.spec.row.name;
        match all.iter_mut().find(|(known, _)| *known == ways) {
            Some((_, names)) => names.push(name),
            None => all.push((ways, vec![name])),
        }
    }
    all
}

/// The methods that the board's program has.
fn in_program<'b>(budget: &'b Budget, board: &'b Board) -> impl Iterator<Item = &'b MethodBudget> {
    let methods = budget.methods.iter().flatten();
    methods.filter(|method| method.is_in_program(board))
}

fn flash(budget: &Budget, board: &Board) -> String {
    let (program, model) = (board.measured().program, budget.model_bytes());
    let verdict = match budget.fits_flash(board) {
        true => format!("{} free", bytes(board.flash - program - model)),
        false => format!(
            "{} too much. What would fit: a smaller network, another board",
            bytes(program + model - board.flash)
        ),
    };
    format!(
        "flash: program {} + model {}: {verdict}\n",
        bytes(program),
        bytes(model)
    )
}

fn table(budget: &Budget, board: &Board) -> String {
    let mut rows = vec![row([
        &"bytes",
        &"arena",
        &"scratch",
        &"map",
        &"picture",
        &"other",
        &"stack, at most",
        &"RAM",
        &"where it lies",
    ])];
    let (own, statics) = (stack(board, "classify"), board.measured().statics);
    let place = budget.classify.place(board, own, statics);
    rows.push(line("classify", &budget.classify, own, statics, place));
    for method in in_program(budget, board) {
        let MethodBudget { spec, memory, .. } = method;
        let (stack, place) = (method.stack(board), method.place(board));
        rows.push(line(spec.row.name, memory, stack, statics, place));
    }
    lay_out(&rows, &[1, 2, 3, 4, 5, 6, 7])
}

/// What stands behind `>=`.
const UNPRICED: &str = "\
behind >=: the passes of the network alone; what the method does itself has no price on this
board, or not with these parameters
";

/// What stands under `within`.
const WITHIN: &str = "\
within: the largest error of a method's instructions on networks that no price was fitted on
";

/// Passes and instructions. Where scores decide what is asked next, it is the most,
/// unless the picture is one's own.
fn work(budget: &Budget, board: &Board, is_own: bool) -> String {
    if budget.has_integers() && board.measured().int8.networks == 0 {
        return String::from("instructions of int8 nodes are not predicted on this board\n");
    }
    let heads: [&dyn Display; 5] = [
        &"executes",
        &"passes",
        &"instructions",
        &"a pass",
        &"within",
    ];
    let mut rows = vec![row(heads)];
    let prices = &board.measured().instructions;
    let classify = budget.work.counts.at(prices);
    let classify = count(classify);
    rows.push(row([&"classify", &1, &classify, &classify, &""]));
    for method in in_program(budget, board) {
        let (passes, all) = (method.work.passes, method.instructions(board));
        let each = all / passes.max(1) as f64;
        let name = method.spec.row.name;
        let most = method.cost.forward + method.cost.backward;
        let within = method.errors(board).map_or(String::new(), |errors| {
            format!("{:.0} %", (100.0 * errors.worst).ceil())
        });
        // What is asked next was found out on a picture that is not the user's.
        let asks_less = method.spec.depends_on_scores() && !is_own;
        rows.push(match method.bound(board) {
            Bound::Least => {
                let [all, each] = [all, each].map(|n| format!(">= {}", count(n)));
                row([&name, &passes, &all, &each, &""])
            }
            bound if bound == Bound::Most || asks_less => {
                let all = format!("<= {}", count(most as f64 * each));
                row([&name, &format!("<= {most}"), &all, &count(each), &within])
            }
            _ => row([&name, &passes, &count(all), &count(each), &within]),
        });
    }
    let mut text = lay_out(&rows, &[1, 2, 3, 4]);
    let methods: Vec<&MethodBudget> = in_program(budget, board).collect();
    if methods.iter().any(|method| method.errors(board).is_some()) {
        text += WITHIN;
    }
    if methods
        .iter()
        .any(|method| method.bound(board) == Bound::Least)
    {
        text += UNPRICED;
    }
    if budget.has_integers() {
        text += &accuracy(board);
    }
    text
}

/// How far instructions of networks in int8 may be off, as it was measured.
fn accuracy(board: &Board) -> String {
    let found = board.measured().int8;
    let percent = |errors: Errors| {
        let [rms, worst] = [errors.rms, errors.worst].map(|error| 100.0 * error);
        format!("within {worst:.0} % (rms {rms:.1} %)")
    };
    format!(
        "instructions in int8: a pass {}, methods {}, on {} networks that no price was fitted on\n",
        percent(found.inference),
        percent(found.methods),
        found.networks
    )
}

/// A number of instructions for people.
fn count(n: f64) -> String {
    match n {
        n if n >= 1e9 => format!("{:.2} G", n / 1e9),
        n if n >= 1e6 => format!("{:.2} M", n / 1e6),
        n => format!("{:.1} k", n / 1e3),
    }
}

fn line(
    name: &str,
    memory: &Memory,
    stack: usize,
    statics: usize,
    place: Option<Vec<Placed>>,
) -> Vec<String> {
    let Lent {
        other,
        labels,
        sums,
        ..
    } = memory.lent;
    let other = memory.tree + other + labels + sums;
    let place = place.map_or_else(|| String::from("does not fit"), |placed| regions(&placed));
    row([
        &name,
        &memory.arena,
        &memory.scratch,
        &memory.map,
        &memory.picture,
        &other,
        &stack,
        &memory.total(stack, statics),
        &place,
    ])
}

/// Regions with what lies in them.
fn regions(placed: &[Placed]) -> String {
    let mut names: Vec<&str> = placed.iter().map(|p| p.region.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    if let [one] = names.as_slice() {
        return (*one).to_owned();
    }
    let of = |name: &str| {
        let here = placed.iter().filter(|p| p.region == name);
        here.map(|p| p.what).collect::<Vec<_>>().join(", ")
    };
    let lists = names.iter().map(|name| format!("{name}: {}", of(name)));
    lists.collect::<Vec<_>>().join("; ")
}
