//! A page that keeps pictures, maps and curves in files beside it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use foveola::report::page::{DATA, Limits};
use foveola_tests::browser::Browser;
use foveola_tests::synthetic_run::HOSTILE;
use serde_json::{Value, json};

use crate::browser::{PAGES, SHAPE, opened};
use crate::{page, screenshots, split};

/// What a file of data hands to the page.
fn handed(text: &str) -> Value {
    let inside = text.strip_prefix("window.foveola.push(");
    let inside = inside.and_then(|t| t.strip_suffix(");\n"));
    serde_json::from_str(inside.expect("one call")).expect("JSON")
}

/// The data of a page.
fn run_of(html: &str) -> Value {
    let from = "<script type=\"application/json\" id=\"run-0\">";
    let rest = html.split_once(from).expect("a run").1;
    serde_json::from_str(rest.split_once("</script>").expect("its end").0).expect("JSON")
}

/// Puts back what lies beside the page.
fn joined(index: &Value, files: &[(String, String)]) -> Value {
    let mut whole = index.clone();
    for sample in whole["samples"].as_array_mut().unwrap() {
        let part = sample.as_object_mut().unwrap().remove("part").unwrap();
        let name = format!("{}.js", part[0].as_str().unwrap());
        let text = &files
            .iter()
            .find(|(file, _)| *file == name)
            .expect("a file")
            .1;
        let all = handed(text);
        assert_eq!(all[0], part[0]);
        let own = &all[1][part[1].as_u64().unwrap() as usize];
        sample["picture"]["src"] = own[0].clone();
        for (answer, own) in sample["answers"]
            .as_array_mut()
            .unwrap()
            .iter_mut()
            .zip(own[1].as_array().unwrap())
        {
            for (map, own) in answer["maps"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .zip(own[0].as_array().unwrap())
            {
                assert_eq!(map["src"] == true, own[0].is_string());
                map["src"] = own[0].clone();
                map["curves"] = own[1].clone();
            }
            for (near, own) in answer["nearest"]
                .as_array_mut()
                .unwrap()
                .iter_mut()
                .zip(own[1].as_array().unwrap())
            {
                near[2] = own.clone();
            }
        }
    }
    whole
}

#[test]
fn page_and_files_are_the_single_page() {
    let (index, files) = split(40, &[]);
    let single = page(40, &[], Limits::default()).html;
    assert!(files.len() > 3, "{}", files.len());
    assert_eq!(joined(&run_of(&index.html), &files), run_of(&single));
    let (again, same) = split(40, &[]);
    assert!(again.html == index.html && same == files);
    // No picture, map or curve is left in the page.
    assert!(!index.html.contains("data:image"));
    assert!(index.html.len() < single.len() / 3);
    for (_, text) in &files {
        assert!(text.len() < 1 << 20, "{}", text.len());
    }
}

#[test]
fn only_a_split_page_may_load_scripts() {
    let policy = |html: &str| {
        let rest = html.split_once("script-src ").expect("a policy").1;
        String::from(rest.split_once(';').expect("its end").0)
    };
    let single = policy(&page(3, &[], Limits::default()).html);
    let own = policy(&split(3, &[]).0.html);
    assert_eq!(own, format!("{single} 'self' file:"));
    assert_eq!(single.split(' ').count(), 1, "{single}");
}

#[test]
fn hostile_words_stay_data() {
    let (_, files) = split(60, &HOSTILE);
    for (name, text) in &files {
        assert!(
            !text.contains(['<', '>', '&', '\u{2028}', '\u{2029}']),
            "{name}"
        );
        assert_eq!(
            handed(text)[0].as_str().map(|n| format!("{n}.js")),
            Some(name.clone())
        );
        assert_eq!(text.lines().count(), 1);
    }
}

/// A browser, a folder with a page that is split, and the page.
fn opened_split(pictures: u32, words: &[&str]) -> Option<(Browser, tempfile::TempDir, PathBuf)> {
    let (index, files) = split(pictures, words);
    let (browser, folder, file) = opened(&index.html)?;
    let data = folder.path().join(DATA);
    std::fs::create_dir(&data).unwrap();
    for (name, text) in files {
        std::fs::write(data.join(name), text).unwrap();
    }
    Some((browser, folder, file))
}

/// Elements, words, addresses of pictures and what is painted.
fn seen(browser: &mut Browser) -> Value {
    // What scrolls by itself is seen whole.
    browser.evaluate(
        "document.querySelectorAll('.tall').forEach(e => { e.style.maxHeight = 'none'; })",
    );
    let script = "[document.body.innerText, \
         [...document.images].map(i => i.src), \
         [...document.querySelectorAll('canvas')].map(c => c.toDataURL())]";
    json!([browser.evaluate(SHAPE), browser.evaluate(script)])
}

/// Names of the files beside the page that were asked for.
fn asked(browser: &Browser, folder: &Path) -> Vec<String> {
    let data = format!("file://{}/", folder.join(DATA).display());
    let page = format!("file://{}", folder.join("report.html").display());
    let mut names = Vec::new();
    for url in browser.requests() {
        match url.strip_prefix(&data) {
            Some(name) => names.push(String::from(name)),
            None => assert!(url.starts_with(&page), "{url}"),
        }
    }
    names
}

#[test]
fn it_shows_what_the_single_page_shows() {
    let single = page(24, &[], Limits::default()).html;
    let Some((mut browser, folder, file)) = opened_split(24, &[]) else {
        return;
    };
    let other = folder.path().join("single.html");
    std::fs::write(&other, single).unwrap();
    browser.size(1400, 7000);
    let more = ["sample&sample=7", "sample&sample=3"];
    for name in PAGES.into_iter().chain(more) {
        let hash = format!("#page={name}");
        browser.open(&other, &hash);
        let expected = seen(&mut browser);
        browser.open(&file, &hash);
        let begun = Instant::now();
        while seen(&mut browser) != expected {
            assert!(begun.elapsed() < Duration::from_secs(10), "{hash}");
            browser.settle();
        }
        assert_eq!(browser.complaints(), [""; 0], "{hash}");
        asked(&browser, folder.path());
    }
    browser.size(1400, 950);
    browser.open(&file, "#page=gallery");
    browser.settle();
    browser.screenshot(&screenshots().join("gallery-split.png"));
}

#[test]
fn files_are_loaded_when_they_are_looked_at() {
    let Some((mut browser, folder, file)) = opened_split(150, &[]) else {
        return;
    };
    let all = std::fs::read_dir(folder.path().join(DATA)).unwrap().count();
    browser.size(1400, 950);
    browser.open(&file, "#page=evaluation");
    assert_eq!(asked(&browser, folder.path()), [""; 0]);
    browser.open(&file, "#page=gallery");
    browser.settle();
    let first = asked(&browser, folder.path());
    assert!(
        (1..4).contains(&first.len()) && all > 8,
        "{first:?} of {all}"
    );
    // Scrolled to its end, and painted there.
    browser.evaluate(
        "(() => { const g = document.querySelector('.grid'); g.scrollTop = g.scrollHeight; })()",
    );
    let painted = "[...[...document.querySelectorAll('.space .row')].pop().querySelectorAll('canvas.map')].map(c => c.width)";
    let last = format!("0-{}.js", all - 1);
    let begun = Instant::now();
    let then = loop {
        let widths = browser.evaluate(painted);
        let widths: Vec<u64> = (widths.as_array().unwrap().iter())
            .map(|w| w.as_u64().unwrap())
            .collect();
        let then = asked(&browser, folder.path());
        // A canvas that nothing was painted on is 300 wide.
        if then.contains(&last) && !widths.is_empty() && !widths.contains(&300) {
            break then;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "{then:?} {widths:?}"
        );
        browser.settle();
    };
    assert!(then.len() < all, "{then:?}");
    let mut once = then.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), then.len(), "each is asked for once");
    assert_eq!(browser.complaints(), [""; 0]);
}

/// Whoever takes the page away without its files is told which are missing.
#[test]
fn a_file_that_is_missing_is_named() {
    let Some((mut browser, folder, file)) = opened_split(12, &[]) else {
        return;
    };
    std::fs::remove_dir_all(folder.path().join(DATA)).unwrap();
    for name in PAGES {
        browser.open(&file, &format!("#page={name}"));
        browser.settle();
        for complaint in browser.complaints() {
            assert!(complaint.contains("ERR_FILE_NOT_FOUND"), "{complaint}");
        }
        if name == "gallery" || name == "sample" {
            let badges = browser.evaluate(
                "[...document.querySelectorAll('.badge.fault')].map(e => e.textContent).join()",
            );
            assert!(badges.as_str().unwrap().contains("data/0-0.js"), "{badges}");
        }
    }
}

/// Milliseconds until something was painted, and megabytes of the page.
fn first_paint(browser: &mut Browser, file: &Path) -> [f64; 2] {
    browser.size(1400, 950);
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        browser.open(file, "#page=gallery");
        browser.settle();
        let paint = "performance.getEntriesByName('first-contentful-paint')[0].startTime";
        best = best.min(browser.evaluate(paint).as_f64().expect("milliseconds"));
    }
    [
        best,
        std::fs::metadata(file).unwrap().len() as f64 / f64::from(1 << 20),
    ]
}

/// A page of 25 MB, and one that is split. Only with nothing else running:
/// `cargo test --release -p foveola-tests --test report -- --ignored --nocapture`.
#[test]
#[ignore = "a time: with nothing else running"]
fn the_first_paint_takes_less_than_a_second() {
    let single = page(500, &[], Limits::default()).html;
    let Some((mut browser, folder, file)) = opened_split(10_000, &[]) else {
        return;
    };
    let other = folder.path().join("single.html");
    std::fs::write(&other, single).unwrap();
    for (name, file, least) in [("single", &other, 20.0), ("split", &file, 1.0)] {
        let [took, size] = first_paint(&mut browser, file);
        println!("{name}, {size:.1} MB: first paint after {took:.0} ms");
        assert!(size > least, "{name}: {size} MB");
        assert!(took < 1000.0, "{name}: {took} ms");
    }
}
