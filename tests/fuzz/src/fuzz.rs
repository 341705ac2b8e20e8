//! The loop over inputs.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use foveola_core::net::model::Model;

use crate::aligned::Aligned;
use crate::file::File;
use crate::mutate;
use crate::number::Random;
use crate::run::{Finding, Runner};
use crate::tally::Tally;
use crate::watch::Watch;

/// Inputs that a thread takes at a time.
const BATCH: u64 = 512;
/// Findings after which the loop ends.
const ENOUGH: usize = 20;

thread_local! {
    static PANIC: RefCell<String> = const { RefCell::new(String::new()) };
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// What to feed.
#[derive(Clone, Debug)]
pub struct Options {
    /// First input.
    pub first: u64,
    /// How many.
    pub inputs: u64,
    /// Seed.
    pub seed: u64,
    /// Threads.
    pub threads: usize,
    /// Where inputs go that find something.
    pub found: PathBuf,
    /// How often to say how far it is.
    pub every: Duration,
}

/// What one thread needs.
#[derive(Debug, Default)]
pub struct Feeder {
    file: File,
    buffer: Aligned,
    runner: Runner,
    /// What became of its inputs.
    pub tally: Tally,
}

/// Makes panics of what is [`guarded`] silent and keeps what they say.
pub fn quiet_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| match GUARDED.get() {
        true => PANIC.with_borrow_mut(|text| *text = info.to_string()),
        false => loud(info),
    }));
}

/// Runs something; a panic becomes a finding.
///
/// # Errors
/// What must not happen.
pub fn guarded<R>(work: impl FnOnce() -> Result<R, Finding>) -> Result<R, Finding> {
    GUARDED.set(true);
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(false);
    result.unwrap_or_else(|_| Err(Finding::Panic(PANIC.with_borrow(String::clone))))
}

impl Feeder {
    /// Feeds one input.
    ///
    /// # Errors
    /// What must not happen.
    pub fn feed(&mut self, corpus: &[File], seed: u64, index: u64) -> Result<(), Finding> {
        let Self {
            file,
            buffer,
            runner,
            tally,
        } = self;
        let (bytes, hashed) = mutate::input(corpus, seed, index, file, buffer);
        guarded(|| {
            let read = match hashed {
                true => Model::from_bytes(bytes),
                false => Model::from_bytes_unhashed(bytes),
            };
            match read {
                Err(error) => tally.reject(file, error),
                Ok(_) if hashed => return Err(Finding::Unnoticed),
                Ok(model) => {
                    let mut random = Random::new(!seed, index);
                    tally.accept(runner.run(&model, &mut random)?);
                }
            }
            Ok(())
        })
    }
}

/// The bytes of one input.
pub fn bytes(corpus: &[File], seed: u64, index: u64) -> Vec<u8> {
    let mut buffer = Aligned::default();
    let (bytes, _) = mutate::input(corpus, seed, index, &mut File::default(), &mut buffer);
    bytes.to_vec()
}

/// Writes an input to the folder of findings; the path, or why it is not there.
fn keep(folder: &Path, corpus: &[File], seed: u64, index: u64) -> String {
    let path = folder.join(format!("seed{seed}-input{index}.fov"));
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, bytes(corpus, seed, index)));
    match written {
        Ok(()) => path.display().to_string(),
        Err(error) => format!("not written: {error}"),
    }
}

/// What the threads share.
struct Shared<'a> {
    corpus: &'a [File],
    options: &'a Options,
    next: AtomicU64,
    done: AtomicU64,
    stop: AtomicBool,
    findings: Mutex<Vec<String>>,
}

impl Shared<'_> {
    fn work(&self, watch: &Watch) -> Tally {
        watch.this_thread();
        let mut feeder = Feeder::default();
        let Options {
            first,
            inputs,
            seed,
            ..
        } = *self.options;
        while !self.stop.load(Ordering::Relaxed) {
            let start = self.next.fetch_add(BATCH, Ordering::Relaxed);
            let end = (start + BATCH).min(inputs);
            if start >= end {
                break;
            }
            for index in first + start..first + end {
                watch.start(index);
                if let Err(finding) = feeder.feed(self.corpus, seed, index) {
                    self.found(index, &finding);
                    // What was left half done must not reach the next input.
                    feeder.runner = Runner::default();
                }
            }
            watch.stop();
            self.done.fetch_add(end - start, Ordering::Relaxed);
        }
        feeder.tally
    }

    fn found(&self, index: u64, finding: &Finding) {
        let seed = self.options.seed;
        let path = keep(&self.options.found, self.corpus, seed, index);
        let line = format!("seed {seed} input {index}: {finding:?} ({path})");
        println!("{line}");
        if let Ok(mut findings) = self.findings.lock() {
            findings.push(line);
            self.stop.store(findings.len() >= ENOUGH, Ordering::Relaxed);
        }
    }

    /// Says how far it is, and ends the program if an input takes too long.
    fn supervise(&self, watches: &[Watch], running: impl Fn() -> bool) {
        let begin = Instant::now();
        let mut said = begin;
        while running() {
            std::thread::sleep(Duration::from_millis(20));
            if let Some(index) = watches.iter().find_map(Watch::overdue) {
                let seed = self.options.seed;
                let path = keep(&self.options.found, self.corpus, seed, index);
                println!("seed {seed} input {index}: takes too long ({path})");
                std::process::abort();
            }
            if said.elapsed() >= self.options.every {
                said = Instant::now();
                let done = self.done.load(Ordering::Relaxed);
                let rate = done as f64 / begin.elapsed().as_secs_f64();
                println!(
                    "{done} of {} inputs, {rate:.0} a second",
                    self.options.inputs
                );
            }
        }
    }
}

/// Feeds all inputs.
///
/// # Errors
/// The findings, a line each, and files of the corpus that are not accepted.
pub fn fuzz(corpus: &[File], options: &Options) -> Result<Tally, String> {
    sound(corpus)?;
    quiet_panics();
    let shared = Shared {
        corpus,
        options,
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        stop: AtomicBool::new(false),
        findings: Mutex::default(),
    };
    let watches: Vec<Watch> = (0..options.threads).map(|_| Watch::default()).collect();
    let (mut tally, mut broken) = (Tally::default(), false);
    std::thread::scope(|scope| {
        let shared = &shared;
        let work = |watch| scope.spawn(move || shared.work(watch));
        let threads: Vec<_> = watches.iter().map(work).collect();
        shared.supervise(&watches, || threads.iter().any(|t| !t.is_finished()));
        for thread in threads {
            match thread.join() {
                Ok(counts) => tally.add(&counts),
                Err(_) => broken = true,
            }
        }
    });
    let _ = std::panic::take_hook();
    if broken {
        return Err("the fuzzer itself is broken".to_owned());
    }
    let findings = shared.findings.into_inner().unwrap_or_default();
    match findings.is_empty() {
        true => Ok(tally),
        false => Err(findings.join("\n")),
    }
}

/// Every file of the corpus must be accepted, hashes and all, and run.
///
/// # Errors
/// Which one is not.
pub fn sound(corpus: &[File]) -> Result<(), String> {
    let (mut buffer, mut runner) = (Aligned::default(), Runner::default());
    for (i, file) in corpus.iter().enumerate() {
        let bytes = file.write(&mut buffer, true);
        let made = "the format has changed: make the corpus anew";
        let model = Model::from_bytes(bytes).map_err(|e| format!("file {i}: {e}; {made}"))?;
        let ran = guarded(|| runner.run(&model, &mut Random::new(0, i as u64)));
        ran.map_err(|finding| format!("file {i} of the corpus: {finding:?}"))?;
    }
    Ok(())
}
