//! `report.html` of the demo.

use super::audit::{Audit, Finding, MethodFindings, SceneSet};
use super::evidence::{Estimate, Part};
use super::gallery::{Example, Gallery};
use super::scene::Kind;
use super::verdict::{DECIDING_METHOD, LEAST_LIFT};
use crate::report::files::png;
use crate::report::html::{escape, page, picture};

const STYLE: &str = include_str!("page.css");
const TITLE: &str = "Equal on paper, told apart by evidence";

/// The whole page.
pub fn render(audits: &[Audit], set: &SceneSet, gallery: &Gallery) -> String {
    let mut body = format!("<main>\n<h1>{TITLE}</h1>\n");
    body += &lead(audits, set);
    body += &verdicts(audits);
    body += "<h2>How much of the evidence lies on the pole</h2>\n";
    body += &charts(audits);
    body += "<h2>What they look at</h2>\n";
    body += &gallery.examples.iter().map(example).collect::<String>();
    body += "<h2>All seven methods</h2>\n";
    body += &format!(
        "<figure class=\"wide\">{}<figcaption>{}</figcaption></figure>\n",
        picture(&png(&gallery.sheet), &gallery.sheet_heading),
        escape(&gallery.sheet_heading)
    );
    body += &numbers(audits);
    body += &method(set);
    body += "</main>\n";
    page(TITLE, STYLE, &body)
}

fn lead(audits: &[Audit], set: &SceneSet) -> String {
    let least = audits.iter().map(|a| a.cue).fold(1.0, f64::min);
    format!(
        "<p class=\"lead\">Three networks of one architecture tell utility poles of wood, concrete and steel apart. \
         On these {} scenes every one of them is right at least {} of the time. \
         Snow lies exactly under the concrete poles here. Who looks at the pole, and who at the snow?</p>\n",
        set.scenes.len(),
        percent(least)
    )
}

fn verdicts(audits: &[Audit]) -> String {
    let card = |a: &Audit| {
        let (class, sign) = match a.verdict.passes() {
            true => ("pass", "\u{2714}"),
            false => ("fail", "\u{2718}"),
        };
        format!(
            "<section class=\"card {class}\"><h3>{}</h3><p class=\"verdict\"><span aria-hidden=\"true\">{sign}</span> {}</p>\
             <p>{}.</p><p class=\"past\">Trained with {}.</p><dl><dt>right, snow as in training</dt><dd>{}</dd>\
             <dt>right, snow under concrete</dt><dd>{}</dd><dt>right, snow swapped</dt><dd>{}</dd></dl></section>\n",
            escape(a.network.name),
            a.verdict.word(),
            escape(&capital(&a.verdict.to_string())),
            escape(a.network.training),
            percent(a.own),
            percent(a.cue),
            percent(a.swapped)
        )
    };
    let cards: String = audits.iter().map(card).collect();
    format!("<div class=\"cards\">\n{cards}</div>\n")
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

/// Grad-CAM by class, then every method for concrete.
fn charts(audits: &[Audit]) -> String {
    let mut by_class = String::new();
    for kind in Kind::ALL {
        let rows = audits.iter().filter_map(|a| {
            let deciding = a.methods.iter().find(|m| m.method == DECIDING_METHOD)?;
            Some((a.network.name, &deciding.classes[kind as usize]))
        });
        by_class += &chart(&format!("{} poles", kind.label()), rows, true);
    }
    let mut by_method = String::new();
    let methods = audits.first().map_or(&[][..], |a| &a.methods);
    for (m, first) in methods.iter().enumerate() {
        let rows = audits.iter().filter_map(|a| {
            Some((
                a.network.name,
                &a.methods.get(m)?.classes[Kind::Concrete as usize],
            ))
        });
        by_method += &chart(first.title, rows, false);
    }
    format!(
        "<p>Bars: mean share of the evidence inside the pole\u{2019}s box, with its 95 % interval. \
         Dotted: the share that an even map would have there. Dashed: what a network needs to pass.</p>\n\
         <h3>Grad-CAM, which decides</h3>\n<div class=\"charts\">{by_class}</div>\n\
         <h3>Every method, concrete poles</h3>\n<div class=\"charts\">{by_method}</div>\n"
    )
}

const ROW: f64 = 24.0;
const LEFT: f64 = 62.0;
const PER_PERCENT: f64 = 2.2;

/// Where a share lies across a chart.
fn across(share: f64) -> f64 {
    LEFT + 100.0 * share * PER_PERCENT
}

/// One small chart: a bar for each network.
fn chart<'a>(
    title: &str,
    rows: impl Iterator<Item = (&'a str, &'a Finding)>,
    threshold: bool,
) -> String {
    let rows: Vec<(&str, &Finding)> = rows.collect();
    let height = ROW * rows.len() as f64;
    let mut inside = String::new();
    let mut words = Vec::new();
    for (i, (name, found)) in rows.iter().enumerate() {
        inside += &bar(ROW * i as f64, name, &found.pole);
        words.push(format!("{name} {:.0} %", 100.0 * found.pole.mean));
    }
    let mut line = |class: &str, share: f64| {
        let x = across(share);
        inside += &format!("<path class=\"{class}\" d=\"M{x:.1} 0V{height}\"/>");
    };
    if let Some((_, first)) = rows.first() {
        let chance = first.areas[Part::Pole as usize];
        line("chance", chance);
        if threshold {
            line("least", LEAST_LIFT * chance);
        }
    }
    format!(
        "<figure><figcaption>{}</figcaption><svg viewBox=\"0 0 300 {height}\" role=\"img\" aria-label=\"{}\">{inside}</svg></figure>\n",
        escape(title),
        escape(&words.join(", "))
    )
}

/// Name, bar, interval and number of one network, from `y` down.
fn bar(y: f64, name: &str, share: &Estimate) -> String {
    let (middle, text, top) = (y + 0.5 * ROW, y + 0.5 * ROW + 4.0, y + 5.0);
    let name = escape(name);
    let [low, mean, high] = [share.low, share.mean, share.high].map(across);
    format!(
        "<text x=\"0\" y=\"{text}\">{name}</text>\
         <rect class=\"bar {name}\" x=\"{LEFT}\" y=\"{top}\" width=\"{:.1}\" height=\"14\"/>\
         <path class=\"range\" d=\"M{low:.1} {middle}H{high:.1}\"/>\
         <text x=\"{:.1}\" y=\"{text}\">{:.0} %</text>",
        mean - LEFT,
        high + 6.0,
        100.0 * share.mean
    )
}

fn example(example: &Example) -> String {
    let mut panels = String::new();
    for panel in &example.panels {
        panels += &format!(
            "<figure>{}<figcaption><b>{}</b><br>{}</figcaption></figure>\n",
            picture(&panel.png, &format!("{}; {}", panel.title, panel.caption)),
            escape(&panel.title),
            escape(&panel.caption)
        );
    }
    format!("<div class=\"row\">\n{panels}</div>\n")
}

/// Every number as a table.
fn numbers(audits: &[Audit]) -> String {
    let mut rows = String::new();
    for audit in audits {
        for method in &audit.methods {
            rows += &table_row(audit.network.name, method);
        }
    }
    let kinds: String = Kind::ALL
        .iter()
        .map(|k| format!("<th>{}</th>", k.label()))
        .collect();
    format!(
        "<h2>The numbers</h2>\n<p>Share of the evidence inside the pole\u{2019}s box in percent [95 % interval], beside \
         it the box\u{2019}s share of the picture.</p>\n<div class=\"wide\"><table><thead><tr><th>network</th><th>method</th>\
         <th>scenes</th><th>all</th>{kinds}</tr></thead>\n<tbody>\n{rows}</tbody></table></div>\n"
    )
}

fn table_row(network: &str, method: &MethodFindings) -> String {
    let cell = |f: &Finding| {
        let [mean, low, high] = [f.pole.mean, f.pole.low, f.pole.high].map(|v| 100.0 * v);
        let area = 100.0 * f.areas[Part::Pole as usize];
        format!("<td>{mean:.0} [{low:.0}, {high:.0}] <small>of {area:.0}</small></td>")
    };
    let classes: String = method.classes.iter().map(cell).collect();
    format!(
        "<tr><th scope=\"row\">{}</th><td>{}</td><td>{}</td>{}{classes}</tr>\n",
        escape(network),
        escape(method.title),
        method.all.scenes,
        cell(&method.all)
    )
}

fn method(set: &SceneSet) -> String {
    format!(
        "<h2>How this was measured</h2>\n<ul>\n\
         <li>Scenes 0 to {} of seed {}; training used seed 1, its validation seed 2. The generator knows the pole\u{2019}s true box.</li>\n\
         <li>Each network is asked why it named the class that it named. What counts as evidence: the positive part of Grad-CAM, \
         Occlusion and HOC, the magnitude of gradients, what RISE puts above its least value. A map without evidence counts as 0 on the pole.</li>\n\
         <li>PASS: for every class, Grad-CAM puts at least {LEAST_LIFT} times as much evidence into the box as an even map would, at the lower \
         end of the 95 % interval (bootstrap over scenes). The threshold was fixed before any network was audited.</li>\n\
         <li>Snow swapped: the same scenes, with snow under the poles of wood and steel and none under concrete. It takes no part in the verdict; it checks it.</li>\n\
         <li>A map is evidence about the model, not proof that the decision is right.</li>\n</ul>\n",
        set.scenes.len().saturating_sub(1),
        set.seed
    )
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}
