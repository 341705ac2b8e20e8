//! The page around the data: one style, one script, and the policy that names
//! both.

use colorous::{CIVIDIS, Gradient, INFERNO, MAGMA, PURPLE_ORANGE, RED_BLUE, VIRIDIS};
use serde::Serialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Lead;
use super::data::RunData;
use crate::report::html::{base64, escape};

const PAGE: &str = include_str!("page.html");
const STYLE: &str = include_str!("style.css");
/// In the order in which they run: each uses only what stands before it, but
/// for what happens after the start.
const SCRIPTS: [&str; 15] = [
    include_str!("words.js"),
    include_str!("dom.js"),
    include_str!("state.js"),
    include_str!("parts.js"),
    include_str!("colour.js"),
    include_str!("pane.js"),
    include_str!("filter.js"),
    include_str!("chart.js"),
    include_str!("overview.js"),
    include_str!("gallery.js"),
    include_str!("sample.js"),
    include_str!("evaluation.js"),
    include_str!("counterfactual.js"),
    include_str!("keys.js"),
    include_str!("start.js"),
];

/// The whole file. A page that was `split` may load scripts beside it.
pub fn html(runs: &[RunData<'_>], lead: Option<&Lead>, split: bool) -> String {
    let script = format!("(function(){{'use strict';\n{}}})();\n", SCRIPTS.concat());
    let names: Vec<String> = (0..runs.len()).map(|i| format!("run-{i}")).collect();
    let mut data = block("colours", &colours()) + &block("lead", &lead);
    for (name, run) in names.iter().zip(runs) {
        data += &block(name, run);
    }
    let title = lead.map_or("Foveola", |l| &l.title);
    let parts = [
        ("{{policy}}", policy(&script, split)),
        ("{{title}}", escape(title)),
        ("{{style}}", String::from(STYLE)),
        ("{{data}}", data),
        ("{{script}}", script),
    ];
    fill(PAGE, &parts)
}

/// Puts parts into the template, from its start to its end: what a part holds
/// is never taken for a place.
fn fill(template: &str, parts: &[(&str, String)]) -> String {
    let (mut out, mut rest) = (String::new(), template);
    for (place, part) in parts {
        if let Some((before, after)) = rest.split_once(place) {
            out += before;
            out += part;
            rest = after;
        }
    }
    out + rest
}

/// What the page may do. Of files beside a page on a disk, browsers disagree
/// whether they are its own: hence `file:`.
fn policy(script: &str, split: bool) -> String {
    let beside = if split { " 'self' file:" } else { "" };
    let digest = |text: &str| base64(&Sha256::digest(text));
    format!(
        "default-src 'none'; img-src data: blob:; style-src 'sha256-{}'; script-src 'sha256-{}'{beside}; base-uri 'none'; form-action 'none'",
        digest(STYLE),
        digest(script)
    )
}

/// A file of data: hands what it holds to the page under the file's name.
pub fn part(name: &str, value: &impl Serialize) -> String {
    format!("window.foveola.push({});\n", escaped(&(name, value)))
}

/// A block of data.
fn block(id: &str, value: &impl Serialize) -> String {
    let text = escaped(value);
    format!("<script type=\"application/json\" id=\"{id}\">{text}</script>\n")
}

/// JSON that no label can end: what could is escaped.
fn escaped(value: &impl Serialize) -> String {
    // Plain data, whose keys are strings, has nothing that can fail.
    let text = serde_json::to_string(value).unwrap_or_default();
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out += &format!("\\u{:04x}", u32::from(c));
            }
            other => out.push(other),
        }
    }
    out
}

/// 256 colours each, six hexadecimal digits a colour.
fn colours() -> serde_json::Value {
    let table = |gradient: Gradient| -> String {
        let colour = |i| {
            let c = gradient.eval_rational(i, 256);
            format!("{:02x}{:02x}{:02x}", c.r, c.g, c.b)
        };
        (0..256).map(colour).collect()
    };
    let grey: String = (0..256).map(|i| format!("{i:02x}{i:02x}{i:02x}")).collect();
    json!({
        "viridis": table(VIRIDIS), "cividis": table(CIVIDIS), "inferno": table(INFERNO),
        "magma": table(MAGMA), "grey": grey,
        "purple-orange": table(PURPLE_ORANGE), "red-blue": table(RED_BLUE),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_cannot_leave_its_block() {
        let hostile = "</script><script>alert(1)</script><!--\u{2028}&";
        let text = block("x", &hostile);
        assert_eq!(text.matches('<').count(), 2);
        let inside = text.split_once('>').unwrap().1;
        let inside = inside.strip_suffix("</script>\n").unwrap();
        assert!(!inside.contains(['>', '&', '\u{2028}']));
        assert_eq!(serde_json::from_str::<String>(inside).unwrap(), hostile);
    }

    #[test]
    fn a_part_is_never_a_place() {
        let parts = [
            ("{{a}}", String::from("{{b}}")),
            ("{{b}}", String::from("2")),
        ];
        assert_eq!(fill("<{{a}}|{{b}}>", &parts), "<{{b}}|2>");
    }

    /// First and last colour of matplotlib's viridis.
    #[test]
    fn colours_are_the_known_ones() {
        let colours = colours();
        let viridis = colours["viridis"].as_str().unwrap();
        assert_eq!(viridis.len(), 6 * 256);
        assert!(viridis.starts_with("440154") && viridis.ends_with("fde725"));
    }
}
