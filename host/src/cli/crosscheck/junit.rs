//! JUnit's XML, as pipelines read it: one test case a picture, device and method.

use std::fmt::Write as _;

use super::record::{DEVICE_ERROR, Entry, Tensor};
use crate::crosscheck::Kind;

/// What became of a case.
enum Outcome {
    Passed,
    Failed(String, String),
    Error(String),
    Skipped(String),
}

struct Case<'e> {
    name: String,
    entry: &'e Entry,
    seconds: f64,
    outcome: Outcome,
}

/// All entries, one suite a device.
pub fn xml(entries: &[Entry]) -> String {
    let mut boards: Vec<&str> = Vec::new();
    for entry in entries {
        if !boards.contains(&entry.question.board.as_str()) {
            boards.push(&entry.question.board);
        }
    }
    let mut text = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let all: Vec<Case<'_>> = entries.iter().flat_map(cases).collect();
    text += &format!(
        "<testsuites name=\"foveola crosscheck\" {}>\n",
        counts(&all)
    );
    for board in boards {
        suite(&mut text, board, &all);
    }
    text + "</testsuites>\n"
}

fn suite(text: &mut String, board: &str, all: &[Case<'_>]) {
    let mine = || all.iter().filter(|case| case.entry.question.board == board);
    // A `String` takes whatever is written.
    let _ = writeln!(
        text,
        "  <testsuite name=\"{}\" {}>",
        escaped(board),
        counts(mine())
    );
    let device = mine().find_map(|case| case.entry.device.as_ref());
    if let Some(device) = device {
        let properties = [
            ("board", &device.board),
            ("firmware", &device.firmware),
            ("firmware_sha256", &device.firmware_sha256),
            ("model_sha256", &device.model),
        ];
        *text += "    <properties>\n";
        for (name, value) in properties {
            let value = escaped(value);
            let _ = writeln!(text, "      <property name=\"{name}\" value=\"{value}\"/>");
        }
        *text += "    </properties>\n";
    }
    mine().for_each(|case| case.write(text));
    *text += "  </testsuite>\n";
}

/// Attributes of a suite.
fn counts<'c>(cases: impl IntoIterator<Item = &'c Case<'c>>) -> String {
    let [mut tests, mut failures, mut errors, mut skipped] = [0; 4];
    let mut seconds = 0.0;
    for case in cases {
        tests += 1;
        seconds += case.seconds;
        match case.outcome {
            Outcome::Passed => {}
            Outcome::Failed(..) => failures += 1,
            Outcome::Error(_) => errors += 1,
            Outcome::Skipped(_) => skipped += 1,
        }
    }
    format!(
        "tests=\"{tests}\" failures=\"{failures}\" errors=\"{errors}\" skipped=\"{skipped}\" time=\"{seconds:.3}\""
    )
}

/// One case a method: those that were compared, those that could not be.
fn cases(entry: &Entry) -> Vec<Case<'_>> {
    let compared = entry.tensors.iter().filter(|t| t.kind == Kind::Map);
    let mut all: Vec<(String, Outcome)> = compared
        .map(|map| (map.name.clone(), outcome(entry, map)))
        .collect();
    let missing = |name: &&String| !all.iter().any(|(known, _)| known == *name);
    let missing = entry.question.methods.iter().filter(missing);
    let missing = missing.filter(|name| !entry.left_out.contains_key(*name));
    let missing: Vec<(String, Outcome)> = missing
        .map(|name| (name.clone(), without_map(entry)))
        .collect();
    all.extend(missing);
    let left_out = entry.left_out.iter();
    all.extend(left_out.map(|(name, why)| (name.clone(), Outcome::Skipped(why.clone()))));
    let seconds = entry.seconds / all.len().max(1) as f64;
    let case = |(method, outcome)| Case {
        name: format!("{}: {method}", entry.picture),
        entry,
        seconds,
        outcome,
    };
    all.into_iter().map(case).collect()
}

fn outcome(entry: &Entry, map: &Tensor) -> Outcome {
    let verdict = map.verdict.as_deref().unwrap_or(&entry.verdict);
    let passes = |word: &str| matches!(word, "BIT-EXACT" | "WITHIN-TOLERANCE");
    // What a gate lets pass, or not, holds for the whole entry.
    if entry.passes || passes(verdict) && !passes(&entry.verdict) {
        return Outcome::Passed;
    }
    let number = |value: Option<f64>| value.map_or(String::from("none"), |v| format!("{v:.4}"));
    let text = format!(
        "{} of {} values differ, Spearman {}, top 10 % {}\n{}",
        map.different,
        map.values,
        number(map.spearman),
        number(map.top_tenth),
        entry.reason()
    );
    Outcome::Failed(verdict.to_owned(), text)
}

/// A verdict that was clear before any map was asked for.
fn without_map(entry: &Entry) -> Outcome {
    match entry.verdict == DEVICE_ERROR {
        true => Outcome::Error(entry.reason()),
        false => Outcome::Failed(entry.verdict.clone(), entry.reason()),
    }
}

impl Case<'_> {
    fn write(&self, text: &mut String) {
        let head = format!(
            "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\"",
            escaped(&self.entry.question.board),
            escaped(&self.name),
            self.seconds
        );
        let inside = match &self.outcome {
            Outcome::Passed => {
                *text += &format!("{head}/>\n");
                return;
            }
            Outcome::Failed(verdict, why) => format!(
                "<failure type=\"{0}\" message=\"{0}\">{1}</failure>",
                escaped(verdict),
                escaped(why)
            ),
            Outcome::Error(why) => format!(
                "<error type=\"{DEVICE_ERROR}\" message=\"{DEVICE_ERROR}\">{}</error>",
                escaped(why)
            ),
            Outcome::Skipped(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
        };
        *text += &format!("{head}>{inside}</testcase>\n");
    }
}

/// Text as XML takes it: what it has no characters for becomes a question mark.
fn escaped(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' => out += "&#10;",
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('?'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_character_is_one_that_xml_has() {
        assert_eq!(
            super::escaped("a<b>&\"c\"\u{1b}\n\u{ffff}ä"),
            "a&lt;b&gt;&amp;&quot;c&quot;?&#10;?ä"
        );
    }
}
