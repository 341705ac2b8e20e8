//! What a mask costs in memory: nothing. The number of allocations of a whole
//! explanation, and the most bytes that it holds at once, are the same for so
//! many masks and for twice as many.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use foveola::explainer::{Explainer, Question};
use foveola::model::{OpenModel, OpenOptions};
use foveola::photo::Photo;
use foveola_core::{Classifier, Masked, Score};
use foveola_tests::root;

/// The system's allocator, counting.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static MOST: AtomicUsize = AtomicUsize::new(0);

fn take(bytes: usize) {
    CALLS.fetch_add(1, Ordering::SeqCst);
    let held = HELD.fetch_add(bytes, Ordering::SeqCst) + bytes;
    MOST.fetch_max(held, Ordering::SeqCst);
}

// SAFETY: every call is handed on to the system's allocator with the arguments
// as they came, and its answer is handed back; counting touches neither.
#[allow(unsafe_code)]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: the caller's promise about `layout` is what `System` asks.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        take(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        // SAFETY: `at` came from `System` with this layout, as all here do.
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        HELD.fetch_sub(layout.size(), Ordering::SeqCst);
        take(size);
        // SAFETY: as above, and `size` is the caller's promise.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Allocations of some work, and the most bytes that it held at once.
fn counted(work: impl FnOnce()) -> (usize, usize) {
    let before = HELD.load(Ordering::SeqCst);
    MOST.store(before, Ordering::SeqCst);
    let calls = CALLS.load(Ordering::SeqCst);
    work();
    let calls = CALLS.load(Ordering::SeqCst) - calls;
    (calls, MOST.load(Ordering::SeqCst) - before)
}

/// The demo's network on so many threads, and its scene.
fn opened(threads: usize) -> (Explainer, Photo) {
    let path = root().join("host/demo/scene.onnx");
    let model = OpenModel::open(&path, &OpenOptions::default()).expect("the demo's network");
    let explainer = Explainer::new(model, threads);
    let scene = root().join("host/demo/scene.png");
    let photo = explainer.photo(scene).expect("the demo's scene");
    (explainer, photo)
}

fn ask(explainer: &mut Explainer, photo: &Photo, method: &str) {
    let question = Question::of([method]).expect("a method");
    let answer = explainer.explain(photo, &question).expect("an answer");
    assert_eq!(answer.maps.len(), 1, "{method}");
}

/// Methods that ask many questions, and two numbers of them, written with as
/// many digits. Anchors draw until the second number is used up.
const METHODS: [(&str, &str, &str); 17] = [
    ("rise:masks=", "200", "400"),
    ("rise:estimator=centred,masks=", "200", "400"),
    ("lime:segments=grid,count=16,samples=", "200", "400"),
    ("kernel-shap:segments=grid,count=25,samples=", "200", "400"),
    (
        "anchors:threshold=0.999,segments=grid,count=16,passes=",
        "200",
        "400",
    ),
    ("sobol:count=9,designs=", "20", "40"),
    ("feature-ablation:segments=grid,count=", "16", "64"),
    ("occlusion:window=16,stride=", "8", "4"),
    ("meaningful-perturbation:grid=7,steps=", "20", "40"),
    ("smooth-grad:samples=", "20", "40"),
    ("var-grad:samples=", "20", "40"),
    ("square-grad:samples=", "20", "40"),
    ("integrated-gradients:steps=", "20", "40"),
    ("score-cam:max-passes=", "3", "9"),
    ("ablation-cam:max-passes=", "3", "9"),
    ("recipro-cam:max-passes=", "3", "9"),
    ("hsic:count=9,samples=", "200", "400"),
];

/// One test, for the harness allocates where another one begins or ends.
#[test]
fn nothing_is_allocated_again_and_again() {
    twice_the_masks_take_the_same_memory();
    threads_take_next_to_nothing();
    a_forward_pass_allocates_nothing();
}

fn a_forward_pass_allocates_nothing() {
    let path = root().join("host/demo/scene.onnx");
    let model = OpenModel::open(&path, &OpenOptions::default()).expect("the demo's network");
    let (_, photo) = opened(1);
    let mut running = model.start(&[], 1).expect("it starts");
    let classifier: &mut dyn Classifier = &mut *running.classifier;
    let mut scores = vec![0.0; classifier.classes()];
    let mut once = || {
        let x = Masked::whole(photo.picture());
        let answered = classifier.classify(&x, Score::Probability, &mut scores);
        answered.expect("scores");
    };
    once();
    // The harness has a thread of its own; what a pass allocates is there each time.
    let tries = (0..5).map(|_| counted(|| (0..10).for_each(|_| once())));
    let found = tries.min();
    assert_eq!(found, Some((0, 0)), "allocations and bytes of ten passes");
}

fn twice_the_masks_take_the_same_memory() {
    let (mut explainer, photo) = opened(1);
    for (method, some, more) in METHODS {
        let [some, more] = [some, more].map(|n| format!("{method}{n}"));
        // The first run fills what is kept between runs.
        ask(&mut explainer, &photo, &more);
        let some = counted(|| ask(&mut explainer, &photo, &some));
        let more = counted(|| ask(&mut explainer, &photo, &more));
        assert_eq!(some.0, more.0, "{method}: allocations");
        // HSIC compares all scores with all: one a mask and half a distance.
        let kept = if method.starts_with("hsic") {
            200 * 6
        } else {
            0
        };
        // Weights of segments wait for their scores, 32 rows at a time; their
        // labels and what lies in one segment take a few words each.
        let rows = if method.starts_with("feature") {
            48 * 200
        } else {
            0
        };
        assert!(
            more.1 <= some.1 + kept + rows,
            "{method}: {some:?} {more:?}"
        );
        assert!(some.0 > 0, "the counter counts");
    }
}

/// With several threads the queue of their work takes a block now and then,
/// which it gives back: less than one allocation for fifty masks.
fn threads_take_next_to_nothing() {
    let (mut explainer, photo) = opened(2);
    for method in ["rise:masks=", "lime:segments=grid,count=16,samples="] {
        let [some, more] = ["200", "800"].map(|n| format!("{method}{n}"));
        ask(&mut explainer, &photo, &more);
        let some = counted(|| ask(&mut explainer, &photo, &some));
        let more = counted(|| ask(&mut explainer, &photo, &more));
        assert!(more.0 <= some.0 + 600 / 50, "{method}: {some:?} {more:?}");
        assert!(more.1 <= some.1 + (64 << 10), "{method}: {some:?} {more:?}");
    }
}
