//! What the page of the demo begins with: the verdicts, and why.

use super::audit::{Audit, Finding, SceneSet};
use super::evidence::Part;
use super::scene::Kind;
use super::verdict::{DECIDING_METHOD, LEAST_LIFT};
use crate::report::page::{Card, Lead};

/// One card a network.
pub fn lead(audits: &[Audit], set: &SceneSet) -> Lead {
    let least = audits.iter().map(|a| a.cue).fold(1.0, f64::min);
    Lead {
        title: String::from("Equal on paper, told apart by evidence"),
        text: format!(
            "Three networks of one architecture tell utility poles of wood, concrete and steel apart. \
             On these {} scenes every one of them is right at least {} of the time. Snow lies exactly \
             under the concrete poles here. Who looks at the pole, and who at the snow? To pass, a \
             network must put at least {LEAST_LIFT} times as much of {DECIDING_METHOD}'s evidence into \
             the pole's box as an even map would, for every class, at the lower end of the 95 % interval.",
            set.scenes.len(),
            percent(least)
        ),
        cards: audits.iter().map(card).collect(),
    }
}

fn card(audit: &Audit) -> Card {
    let mut facts = vec![
        (
            String::from("training"),
            String::from(audit.network.training),
        ),
        (String::from("right as trained"), percent(audit.own)),
        (String::from("right here"), percent(audit.cue)),
        (String::from("right, snow swapped"), percent(audit.swapped)),
    ];
    let deciding = audit.methods.iter().find(|m| m.method == DECIDING_METHOD);
    for kind in Kind::ALL {
        let found = deciding.map(|method| &method.classes[kind as usize]);
        let name = format!("on {} poles", kind.label());
        facts.push((name, found.map_or_else(String::new, share)));
    }
    Card {
        title: String::from(audit.network.name),
        passes: audit.verdict.passes(),
        word: String::from(audit.verdict.word()),
        sentence: capital(&audit.verdict.to_string()) + ".",
        facts,
    }
}

/// A share with its interval, and what an even map would have.
fn share(found: &Finding) -> String {
    let [mean, low, high] = [found.pole.mean, found.pole.low, found.pole.high].map(|v| 100.0 * v);
    let even = 100.0 * found.areas[Part::Pole as usize];
    format!("{mean:.0} % [{low:.0}, {high:.0}]; even {even:.0} %")
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let first: String = letters
        .next()
        .into_iter()
        .flat_map(char::to_uppercase)
        .collect();
    first + letters.as_str()
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
