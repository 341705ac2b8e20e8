//! The page: what is in the file, and what a browser makes of it.

use foveola::report::page::{Entry, Limits, render};
use foveola_tests::synthetic_run::run;

#[test]
fn fixture() {
    let (run, pictures) = run(120, &[]);
    let entry = Entry {
        name: "poles",
        run: &run,
        pictures: &pictures,
    };
    let page = render(&[entry], None, Limits::default());
    std::fs::write("/tmp/f/fixture.html", page.html).unwrap();
}
