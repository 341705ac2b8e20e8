//! What would fit where a method does not.

use foveola_core::net::format::ALIGNMENT;

use super::{Board, Budget, Lent, Memory, MethodBudget, boards};
use crate::method_spec::Parameters;

/// A smaller plan of the forward pass.
fn arena(budget: &Budget, method: &MethodBudget, board: &Board) -> Option<String> {
    let smallest = budget.smallest.filter(|_| !method.spec.needs_gradients())?;
    let fits = |arena: usize| {
        let mut with = method.clone();
        with.memory.arena = arena;
        with.place(board).is_some()
    };
    let (mut least, mut most) = (smallest, method.memory.arena);
    if least >= most || !fits(least) {
        return None;
    }
    while most - least > ALIGNMENT {
        let middle = (least + most) / 2 / ALIGNMENT * ALIGNMENT;
        let middle = middle.max(least + 1);
        match fits(middle) {
            true => least = middle,
            false => most = middle,
        }
    }
    Some(format!("a smaller plan (--arena {least})"))
}

/// What helps a method that does not fit the board's RAM: one phrase each.
pub fn advice(budget: &Budget, method: &MethodBudget, board: &Board) -> Vec<String> {
    let mut all: Vec<String> = arena(budget, method, board).into_iter().collect();
    match &method.spec.parameters {
        Parameters::Occlusion {
            window: Some([channels, ..]),
            ..
        } if *channels > 0 => {
            all.push(String::from("windows over all channels (a map of one)"));
        }
        Parameters::Rise {
            by_coverage: true, ..
        } => all.push(String::from("rise:divisor=keep")),
        _ => {}
    }
    let unblurred = MethodBudget {
        memory: Memory {
            lent: Lent::default(),
            ..method.memory
        },
        ..method.clone()
    };
    if method.memory.lent.making > 0 && unblurred.place(board).is_some() {
        all.push(format!("{}:baseline=black", method.spec.row.name));
    }
    let others = budget.methods.iter().flatten();
    let fitting = others.filter(|other| other.place(board).is_some());
    let names: Vec<&str> = fitting.map(|other| other.spec.row.name).collect();
    if names.contains(&"grad-cam") && method.reaches_input() {
        all.push(String::from("a map of a layer (grad-cam)"));
    }
    let names: Vec<&str> = names.into_iter().filter(|n| *n != "grad-cam").collect();
    if !names.is_empty() {
        all.push(format!("another method ({})", names.join(", ")));
    }
    let room = |other: &&Board| method.place(other).is_some() && budget.fits_flash(other);
    let larger: Vec<&str> = boards()
        .iter()
        .filter(room)
        .map(|b| b.name.as_str())
        .collect();
    if !larger.is_empty() {
        all.push(format!("another board ({})", larger.join(", ")));
    }
    if all.is_empty() {
        all.push(String::from("a smaller network or picture"));
    }
    all
}
