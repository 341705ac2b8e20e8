//! What is in the file, without a browser.

use foveola::report::page::Limits;
use foveola::run::view::Pictures;
use foveola_tests::browser::decode;
use foveola_tests::synthetic_run::run;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::page;

/// The text between two others.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let rest = text.split_once(from).expect(from).1;
    rest.split_once(to).expect(to).0
}

/// A block of data.
fn block(html: &str, id: &str) -> Value {
    let from = format!("<script type=\"application/json\" id=\"{id}\">");
    serde_json::from_str(between(html, &from, "</script>")).expect("a block is JSON")
}

#[test]
fn the_same_run_gives_the_same_bytes() {
    let pages = [(); 2].map(|()| page(8, &[], Limits::default()));
    assert!(pages[0].html == pages[1].html);
}

#[test]
fn the_page_names_nothing_outside_itself() {
    let html = page(3, &[], Limits::default()).html;
    let mut rest = html.as_str();
    let mut own = String::new();
    while let Some((before, after)) = rest.split_once("<script type=\"application/json\"") {
        own += before;
        rest = after.split_once("</script>").expect("an end").1;
    }
    own += rest;
    let policy = between(&own, "Content-Security-Policy\" content=\"", "\"");
    let own = own.replace(policy, "");
    for token in [
        "http:",
        "https:",
        "//",
        "url(",
        "@import",
        "eval(",
        "innerHTML",
        " style=\"",
    ] {
        assert!(!own.contains(token), "{token}");
    }
    assert!(
        policy.starts_with("default-src 'none'; img-src data: blob:;"),
        "{policy}"
    );
    for word in ["unsafe", "*", "http"] {
        assert!(!policy.contains(word), "{policy}");
    }
    for (kind, from, to) in [
        ("style", "<style>", "</style>"),
        ("script", "<script>", "</script>"),
    ] {
        let named = between(policy, &format!("{kind}-src 'sha256-"), "'");
        let digest = Sha256::digest(between(&html, from, to));
        assert_eq!(decode(named), digest.to_vec(), "{kind}");
    }
}

#[test]
fn the_numbers_are_the_runs() {
    let html = page(20, &[], Limits::default()).html;
    let data = block(&html, "run-0");
    let (run, _) = run(20, &[]);
    assert_eq!(data["provenance"]["seed"], "18446744073709551615");
    for (shown, sample) in data["samples"].as_array().unwrap().iter().zip(&run.samples) {
        assert_eq!(shown["file"], sample.file);
        for pair in shown["probabilities"].as_array().unwrap() {
            let class = pair[0].as_u64().unwrap() as usize;
            assert_eq!(
                pair[1].as_f64().unwrap() as f32,
                sample.probabilities[class]
            );
        }
        let answers = shown["answers"].as_array().unwrap();
        assert_eq!(answers.len(), sample.answers.len());
        for (shown, answer) in answers.iter().zip(&sample.answers) {
            for (shown, map) in shown["maps"].as_array().unwrap().iter().zip(&answer.maps) {
                for (shown, score) in shown["scores"].as_array().unwrap().iter().zip(&map.scores) {
                    match score {
                        // serde_json reads the last bit as it likes.
                        Ok(value) => {
                            let off = (shown.as_f64().unwrap() - value).abs();
                            assert!(off <= 4e-16 * value.abs(), "{shown} is not {value}");
                        }
                        Err(reason) => assert_eq!(shown.as_str(), Some(&reason[..])),
                    }
                }
            }
        }
    }
}

/// Half a step of 255, or of 127 for signed maps.
#[test]
fn maps_read_back_within_half_a_step() {
    let html = page(6, &[], Limits::default()).html;
    let data = block(&html, "run-0");
    let (_, painted) = run(6, &[]);
    let mut maps = 0;
    for (s, sample) in data["samples"].as_array().unwrap().iter().enumerate() {
        for (a, answer) in sample["answers"].as_array().unwrap().iter().enumerate() {
            for (m, map) in answer["maps"].as_array().unwrap().iter().enumerate() {
                let Some(src) = map["src"].as_str() else {
                    continue;
                };
                let coded = src.strip_prefix("data:image/png;base64,").expect("a PNG");
                let grey = image::load_from_memory(&decode(coded)).expect("a PNG");
                let exact = painted.map(s, a, m).unwrap();
                assert_eq!([grey.height() as usize, grey.width() as usize], exact.grid);
                let (low, high) = (map["low"].as_f64().unwrap(), map["high"].as_f64().unwrap());
                let signed = map["signed"] == true;
                for (g, value) in grey.into_luma8().into_raw().iter().zip(&exact.values) {
                    let g = f64::from(*g);
                    let (read, step) = match signed {
                        true => ((g - 128.0) / 127.0 * high, high / 127.0),
                        false => (low + g / 255.0 * (high - low), (high - low) / 255.0),
                    };
                    let error = (read - f64::from(*value)).abs();
                    assert!(error <= 0.5001 * step, "{error} of {step}");
                }
                maps += 1;
            }
        }
    }
    assert!(maps > 20, "{maps}");
}

#[test]
fn a_page_keeps_to_its_limits() {
    let few = Limits {
        samples: 12,
        ..Limits::default()
    };
    let shown = page(60, &[], few);
    assert_eq!(shown.shown, [12]);
    let data = block(&shown.html, "run-0");
    assert_eq!(data["counts"]["pictures"], 60);
    let classes: Vec<u64> = (data["samples"].as_array().unwrap().iter())
        .map(|s| s["truth"][0].as_u64().unwrap())
        .collect();
    for class in 0..3 {
        assert_eq!(classes.iter().filter(|c| **c == class).count(), 4);
    }
    // Mistakes come before what is right.
    for sample in data["samples"].as_array().unwrap() {
        let bad = (sample["answers"].as_array().unwrap().iter()).any(|a| a["verdict"] != "right");
        assert!(bad, "{}", sample["file"]);
    }
    let small = Limits {
        bytes: 300_000,
        ..Limits::default()
    };
    let shown = page(60, &[], small);
    assert!(
        shown.shown[0] > 2 && shown.shown[0] < 40,
        "{:?}",
        shown.shown
    );
    assert!(shown.html.len() < 900_000, "{}", shown.html.len());
}
