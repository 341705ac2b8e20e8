//! What Chromium makes of the page.

use std::path::Path;

use foveola::report::page::{Card, Entry, Lead, Limits, render};
use foveola::run::view::{Flag, Run};
use foveola_core::metric::Better;
use foveola_tests::browser::Browser;
use foveola_tests::synthetic_run::{HOSTILE, run};
use serde_json::{Value, json};

use crate::{page, screenshots};

pub const PAGES: [&str; 5] = [
    "overview",
    "gallery",
    "sample",
    "evaluation",
    "counterfactual",
];

/// A browser with a page in a file.
pub fn opened(html: &str) -> Option<(Browser, tempfile::TempDir, std::path::PathBuf)> {
    let browser = Browser::start()?;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, html).unwrap();
    Some((browser, folder, file))
}

/// Nothing was complained about, nothing but the file asked for.
pub fn quiet(browser: &mut Browser, file: &Path) {
    assert_eq!(browser.complaints(), [""; 0]);
    let asked: Vec<&String> = browser.requests().iter().collect();
    for url in asked {
        assert!(
            url.starts_with(&format!("file://{}", file.display())),
            "{url}"
        );
    }
}

/// Name, width, height, medium, preferences.
type Form = (
    &'static str,
    u32,
    u32,
    &'static str,
    &'static [(&'static str, &'static str)],
);

#[test]
fn every_page_is_quiet_in_every_form() {
    let html = page(60, &[], Limits::default()).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    let forms: [Form; 5] = [
        ("light", 1400, 950, "", &[]),
        ("dark", 1400, 950, "", &[("prefers-color-scheme", "dark")]),
        ("narrow", 320, 900, "", &[]),
        ("forced", 1400, 950, "", &[("forced-colors", "active")]),
        ("print", 800, 1100, "print", &[]),
    ];
    for (form, width, height, medium, features) in forms {
        browser.size(width, height);
        browser.media(medium, features);
        for name in PAGES {
            browser.open(&file, &format!("#page={name}"));
            browser.settle();
            quiet(&mut browser, &file);
            let title = browser.evaluate("document.title");
            assert!(
                title.as_str().unwrap().to_lowercase().starts_with(name),
                "{title}"
            );
            // Nothing reaches over the window's edge but what scrolls by itself.
            if form != "print" {
                let over = browser.evaluate("document.documentElement.scrollWidth - innerWidth");
                assert!(
                    over.as_f64().unwrap() <= 0.0,
                    "{form}, {name}: {over} px too wide"
                );
            }
            browser.screenshot(&screenshots().join(format!("{name}-{form}.png")));
        }
    }
}

/// Elements and names of attributes, from the top down.
pub const SHAPE: &str = "[...document.body.querySelectorAll('*')].map(e => e.tagName + ' ' + \
    [...e.attributes].map(a => a.name).sort().join(' ')).join('\\n')";

#[test]
fn hostile_words_stay_words() {
    let plain: Vec<String> = (0..HOSTILE.len())
        .map(|i| format!("plain word {i:02}"))
        .collect();
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    let html = page(110, &HOSTILE, Limits::default()).html;
    let harmless = page(110, &plain, Limits::default()).html;
    let Some((mut browser, folder, file)) = opened(&html) else {
        return;
    };
    let other = folder.path().join("harmless.html");
    std::fs::write(&other, harmless).unwrap();
    browser.size(1400, 12_000);
    for name in PAGES {
        for more in ["", "&sample=3", "&sample=11", "&sample=65"] {
            let hash = format!("#page={name}{more}");
            browser.open(&other, &hash);
            let expected = browser.evaluate(SHAPE);
            browser.open(&file, &hash);
            assert!(browser.evaluate(SHAPE) == expected, "{hash}");
            assert_eq!(browser.evaluate("window.broken === undefined"), json!(true));
            quiet(&mut browser, &file);
        }
    }
    let seen = browser
        .evaluate("document.body.textContent.includes('<img src=x onerror=window.broken=3>')");
    assert_eq!(seen, json!(true), "the words are on the page");
}

/// An address is hostile, too.
#[test]
fn any_address_opens_a_page() {
    let html = page(6, &[], Limits::default()).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    for hash in [
        "#page=<script>",
        "#page=__proto__&run=99&run=-3",
        "#page=gallery&sort=score.99.99&labels=1e9.x.-1&threshold=NaN&size=1e9&columns=0.1.2.3.4",
        "#page=sample&sample=1e99&label=-7&method=77&share=9",
        "#page=evaluation&weights=a_b__-1_1e999&locks=..&by=constructor&klass=55&metric=99",
        "#page=evaluation&weights=0_0_0_0_0_0_0_0",
        "#page=counterfactual&sample=99&layer=-99",
        "#constructor=1&__proto__=2&palette=toString&range=x",
    ] {
        browser.open(&file, hash);
        quiet(&mut browser, &file);
        let text = browser.evaluate("document.getElementById('main').textContent.length");
        assert!(text.as_u64().unwrap() > 20, "{hash}");
    }
}

/// What has the focus: an element's words.
fn focus(browser: &mut Browser) -> String {
    let script = "(e => /^(MAIN|BODY)$/.test(e.tagName) ? '' : (e.getAttribute('aria-label') || e.textContent).trim())(document.activeElement)";
    String::from(browser.evaluate(script).as_str().unwrap_or_default())
}

fn hash(browser: &mut Browser) -> String {
    browser.evaluate("new Promise(r => setTimeout(r, 400))");
    String::from(browser.evaluate("location.hash").as_str().unwrap())
}

/// Presses Tab until something with these words has the focus.
fn tab_to(browser: &mut Browser, words: &str) {
    for _ in 0..80 {
        if focus(browser).contains(words) {
            let outline = "getComputedStyle(document.activeElement).outlineStyle";
            assert_ne!(
                browser.evaluate(outline),
                json!("none"),
                "{words} shows its focus"
            );
            return;
        }
        browser.key("Tab");
    }
    panic!("Tab never comes to {words}");
}

#[test]
fn every_page_is_walked_by_keyboard() {
    let html = page(40, &[], Limits::default()).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    let b = &mut browser;
    b.size(1400, 950);
    b.open(&file, "");
    // Overview: to the list, into a sample, and back.
    b.key("Tab");
    assert_eq!(focus(b), "Skip to the page");
    b.key("Enter");
    tab_to(b, "Right, wrong reason");
    b.key("Enter");
    assert!(hash(b).contains("verdicts=reason"));
    // Help opens and closes, and the focus comes back.
    b.key("?");
    assert_eq!(
        b.evaluate("document.querySelector('dialog[open]').className"),
        json!("help")
    );
    b.key("Escape");
    assert_eq!(
        b.evaluate("document.querySelectorAll('dialog').length"),
        json!(0)
    );
    // The palette goes anywhere.
    b.key("Control+k");
    for letter in "reset f".chars() {
        b.key(&letter.to_string());
    }
    b.key("Enter");
    assert!(!hash(b).contains("verdicts"));
    walk_gallery(b);
    walk_sample(b);
    walk_evaluation(b);
    walk_counterfactual(b);
    quiet(b, &file);
}

fn walk_gallery(b: &mut Browser) {
    b.key("g");
    b.key("g");
    assert!(hash(b).contains("page=gallery"));
    let cell = "document.activeElement.getAttribute('role') === 'gridcell'";
    for _ in 0..60 {
        if b.evaluate(cell) == json!(true) {
            break;
        }
        b.key("Tab");
    }
    let at = "[document.activeElement.row, document.activeElement.column]";
    assert_eq!(b.evaluate(at), json!([0, 0]));
    for (key, place) in [
        ("ArrowDown", [1, 0]),
        ("j", [2, 0]),
        ("ArrowRight", [2, 1]),
        ("3", [2, 4]),
        ("k", [1, 4]),
        ("Home", [1, 0]),
        ("End", [1, 6]),
    ] {
        b.key(key);
        assert_eq!(b.evaluate(at), json!(place), "{key}");
    }
    b.key("o");
    assert_eq!(
        b.evaluate("document.documentElement.classList.contains('no-overlay')"),
        json!(true)
    );
    b.key("o");
    let before = b.evaluate("document.querySelector('canvas.map').toDataURL()");
    b.key("c");
    assert_ne!(
        b.evaluate("document.querySelector('canvas.map').toDataURL()"),
        before
    );
    let row = "document.activeElement.closest('.row').querySelectorAll('.chip[aria-pressed=true]').length";
    assert_eq!(b.evaluate(row), json!(1));
    // The whole grid is one stop of Tab.
    b.key("Tab");
    assert_eq!(b.evaluate(cell), json!(false));
    b.key("Shift+Tab");
    assert_eq!(b.evaluate(at), json!([1, 6]));
    b.key("Enter");
    assert!(hash(b).contains("page=sample"));
}

fn walk_sample(b: &mut Browser) {
    let name = "document.querySelector('h1').textContent";
    let first = b.evaluate(name);
    b.key("j");
    assert_ne!(b.evaluate(name), first);
    b.key("k");
    assert_eq!(b.evaluate(name), first);
    tab_to(b, "Panes");
    b.key("+");
    assert_eq!(
        b.evaluate("document.querySelector('.panes').style.getPropertyValue('--zoom')"),
        json!("1.5")
    );
    b.key("0");
    b.key("ArrowRight");
    let read = b.evaluate(
        "[...document.querySelectorAll('.readout')].filter(e => / at /.test(e.textContent)).length",
    );
    assert!(read.as_u64().unwrap() >= 3, "{read}");
    tab_to(b, "Strongest share");
    let words = "document.querySelector('.topk .num').textContent";
    let before = b.evaluate(words);
    b.key("ArrowRight");
    b.key("ArrowRight");
    assert_ne!(b.evaluate(words), before);
}

fn walk_evaluation(b: &mut Browser) {
    b.key("Control+k");
    for letter in "evalu".chars() {
        b.key(&letter.to_string());
    }
    b.key("Enter");
    assert!(hash(b).contains("page=evaluation"));
    tab_to(b, "Weight of");
    for _ in 0..5 {
        b.key("ArrowRight");
    }
    assert!(hash(b).contains("weights=1.5_1_"), "{}", hash(b));
    tab_to(b, "Overall");
    b.key("Enter");
    assert!(hash(b).contains("rising=1"));
    tab_to(b, "Show as table");
    b.key("Enter");
    assert_eq!(focus(b), "Show as chart");
}

fn walk_counterfactual(b: &mut Browser) {
    b.key("g");
    b.key("c");
    assert!(hash(b).contains("page=counterfactual"));
    tab_to(b, "Step");
    let words = "document.querySelector('.hoc-big .words').textContent";
    let before = b.evaluate(words);
    for _ in 0..40 {
        if b.evaluate("document.activeElement.type") == json!("range") {
            break;
        }
        b.key("Tab");
    }
    b.key("Home");
    assert_ne!(b.evaluate(words), before);
    tab_to(b, "Enlarge");
    b.key("Enter");
    assert_eq!(
        b.evaluate("document.querySelector('dialog[open]').className"),
        json!("enlarged")
    );
    b.key("Escape");
    assert_eq!(focus(b), "Enlarge");
}

/// Flags in the gallery at a threshold, counted in the page and here.
#[test]
fn a_threshold_recomputes_the_flags() {
    let html = page(40, &[], Limits::default()).html;
    let (run, _) = run(40, &[]);
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    browser.size(1400, 12_000);
    for threshold in [0.02_f32, 0.5, 0.8] {
        browser.open(&file, &format!("#page=gallery&threshold={threshold}"));
        for (flag, word) in [
            (Flag::TruePositive, "tp"),
            (Flag::FalsePositive, "fp"),
            (Flag::FalseNegative, "fn"),
        ] {
            let script = format!("document.querySelectorAll('.chip .flag-{word}').length");
            assert_eq!(
                browser.evaluate(&script),
                json!(flags(&run, flag, threshold)),
                "{word} at {threshold}"
            );
        }
    }
}

fn flags(run: &Run, flag: Flag, threshold: f32) -> usize {
    let answers = run.samples.iter().flat_map(|s| {
        s.answers.iter().map(|a| {
            (
                s.truth.contains(&a.label),
                s.probabilities[a.label] > threshold,
            )
        })
    });
    let wanted = match flag {
        Flag::TruePositive => (true, true),
        Flag::FalsePositive => (false, true),
        _ => (true, false),
    };
    answers.filter(|found| *found == wanted).count()
}

/// Overall scores by weights in the address, against sums written out here.
#[test]
fn weights_are_reproduced() {
    let html = page(60, &[], Limits::default()).html;
    let (run, _) = run(60, &[]);
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    for weights in [
        [1.0; 8],
        [3.0, 0.0, 1.0, 2.5, 1.0, 1.0, 7.0, 0.3],
        [0.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.001, 0.0],
    ] {
        let text: Vec<String> = weights.iter().map(f64::to_string).collect();
        browser.open(
            &file,
            &format!("#page=evaluation&weights={}", text.join("_")),
        );
        for method in 0..run.methods.len() {
            let script =
                format!("document.querySelector('[data-method=\"{method}\"]').dataset.value");
            let shown = browser.evaluate(&script);
            let shown: f64 = shown.as_str().expect("a score").parse().unwrap();
            let (expected, partial) = overall(&run, method, &weights);
            assert!((shown - expected).abs() < 1e-9, "{shown} is not {expected}");
            let script = format!(
                "document.querySelector('[data-method=\"{method}\"]').parentNode.querySelector('.partial') !== null"
            );
            assert_eq!(browser.evaluate(&script), json!(partial), "{method}");
        }
    }
}

/// The weighted mean of what is defined, and whether something is not.
fn overall(run: &Run, method: usize, weights: &[f64; 8]) -> (f64, bool) {
    let (mut sum, mut total, mut partial) = (0.0, 0.0, false);
    for (k, weight) in weights.iter().enumerate().filter(|(_, w)| **w > 0.0) {
        let answers = run.samples.iter().flat_map(|s| &s.answers);
        let scores: Vec<f64> = answers
            .filter_map(|a| a.maps[method].scores[k].as_ref().ok().copied())
            .collect();
        let row = run.metrics[k].row;
        if scores.is_empty() || !row.range[1].is_finite() {
            partial = true;
            continue;
        }
        let mean = scores.iter().sum::<f64>() / scores.len() as f64;
        let share = (mean - row.range[0]) / (row.range[1] - row.range[0]);
        let good = match row.better {
            Better::Higher => share,
            Better::Lower => 1.0 - share,
        };
        sum += weight * good;
        total += weight;
    }
    (sum / total, partial)
}

#[test]
fn ten_thousand_rows_scroll() {
    let (mut run, mut painted) = run(10_000, &[]);
    painted.blind = true;
    // Intervals of all scores are not what takes time here.
    run.metrics.truncate(1);
    let entry = Entry {
        name: "many",
        run: &run,
        pictures: &painted,
    };
    let limits = Limits {
        samples: 10_000,
        bytes: usize::MAX,
    };
    let html = render(&[entry], None, limits).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    browser.size(1400, 950);
    browser.open(&file, "#page=gallery");
    assert_eq!(
        browser.evaluate("document.querySelector('.grid').getAttribute('aria-rowcount')"),
        json!("10001")
    );
    let last = browser.evaluate(
        "new Promise(done => { const g = document.querySelector('.grid'); g.scrollTop = g.scrollHeight; \
         setTimeout(() => done([document.querySelectorAll('.space .row').length, \
         [...document.querySelectorAll('.space .file')].pop().textContent]), 300); })",
    );
    assert!(last[0].as_u64().unwrap() < 20, "{last}");
    assert_eq!(last[1], run.samples[9_999].file);
    quiet(&mut browser, &file);
}

/// One key gives all maps in view other colours; how long that takes is printed.
#[test]
fn colours_change_at_once() {
    let html = page(60, &[], Limits::default()).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    browser.size(1800, 3000);
    browser.open(&file, "#page=gallery");
    browser.settle();
    let took = browser.evaluate(
        "(() => { const times = []; for (let i = 0; i < 5; i++) { const t = performance.now(); \
         document.dispatchEvent(new KeyboardEvent('keydown', {key: 'c', bubbles: true, cancelable: true})); \
         times.push(performance.now() - t); } \
         return [Math.min(...times), document.querySelectorAll('canvas.map').length]; })()",
    );
    assert!(took[1].as_u64().unwrap() >= 60, "{took}");
    println!("{} maps recoloured in {} ms", took[1], took[0]);
}

#[test]
fn runs_are_switched_and_a_lead_comes_first() {
    let [(a, seen_a), (b, seen_b)] = [run(9, &[]), run(12, &[])];
    let entry = |name, run, pictures| Entry {
        name,
        run,
        pictures,
    };
    let card = |title: &str, passes| Card {
        title: String::from(title),
        passes,
        word: String::from(if passes { "PASS" } else { "FAIL" }),
        sentence: String::from("What it looks at."),
        facts: vec![(String::from("right"), String::from("98 %"))],
    };
    let lead = Lead {
        title: String::from("Told apart by evidence"),
        text: String::from("Who looks at the pole?"),
        cards: vec![card("honest", true), card("cheat", false)],
    };
    let entries = [entry("honest", &a, &seen_a), entry("cheat", &b, &seen_b)];
    let html = render(&entries, Some(&lead), Limits::default()).html;
    let Some((mut browser, _folder, file)) = opened(&html) else {
        return;
    };
    browser.size(1400, 950);
    browser.open(&file, "");
    browser.screenshot(&screenshots().join("lead.png"));
    let words = browser.evaluate("[...document.querySelectorAll('.card .word')].map(e => e.textContent.trim().split(' ').pop())");
    assert_eq!(words, json!(["PASS", "FAIL"]));
    browser.open(&file, "#page=gallery&run=1");
    let shown: Value = browser.evaluate("document.querySelector('.found').textContent");
    assert_eq!(shown, "12 of 12 pictures");
    quiet(&mut browser, &file);
}
