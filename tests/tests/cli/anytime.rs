//! Methods that are stopped: at a number of passes, at a deadline.

use foveola_core::explain::METHODS;
use serde_json::Value;

use super::room::{Room, model, scene};

/// Asks methods in turn; the folder `out`.
fn ask(room: &Room, out: &str, methods: &[&str], extra: &[&str]) -> Value {
    let (model, scene) = (model(), scene());
    let named = methods.iter().flat_map(|method| ["-m", method]);
    let first = ["explain", &model, &scene, "--raw", "--out", out];
    let args: Vec<&str> = first.into_iter().chain(named).collect();
    room.succeed(&[&args[..], extra].concat());
    room.record(out)
}

/// A method, its limit in passes, the same method asked for no more than that,
/// and how many passes the first wanted.
const CUT: [(&str, u64, &str, u64); 13] = [
    ("rise:masks=40", 23, "rise:masks=23", 40),
    (
        "rise:masks=40,estimator=centred",
        23,
        "rise:masks=23,estimator=centred",
        40,
    ),
    // A forward and a backward pass a sample; half a sample is finished.
    ("smooth-grad:samples=8", 9, "smooth-grad:samples=5", 16),
    ("var-grad:samples=8", 10, "var-grad:samples=5", 16),
    ("square-grad:samples=8", 10, "square-grad:samples=5", 16),
    // Nine segments: ten passes a row, of which the whole ones count.
    ("sobol:count=9,designs=8", 43, "sobol:count=9,designs=4", 80),
    ("hsic:count=9,samples=60", 33, "hsic:count=9,samples=33", 60),
    (
        "lime:segments=grid,count=9,samples=60",
        33,
        "lime:segments=grid,count=9,samples=33",
        60,
    ),
    // The whole picture and the hidden one come first.
    (
        "kernel-shap:segments=grid,count=25,samples=90",
        62,
        "kernel-shap:segments=grid,count=25,samples=60",
        92,
    ),
    (
        "anchors:segments=grid,count=9,passes=900",
        130,
        "anchors:segments=grid,count=9,passes=130",
        900,
    ),
    (
        "meaningful-perturbation:steps=12,grid=7",
        10,
        "meaningful-perturbation:steps=5,grid=7",
        24,
    ),
    (
        "rise:masks=40,max-passes=23",
        9999,
        "rise:masks=23,deadline=3600",
        40,
    ),
    ("rise:masks=23", 23, "rise:masks=23", 23),
];

/// A map that was cut short is the map of a method that wanted no more, on one
/// thread and on three.
#[test]
fn what_is_cut_short_is_the_map_of_fewer_passes() {
    let room = Room::new();
    let (mut cut, mut few) = (Vec::new(), Vec::new());
    for (method, passes, fewer, _) in &CUT {
        let key = if method.contains(':') { ',' } else { ':' };
        let limited = method.contains("max-passes");
        cut.push(match limited {
            true => method.to_string(),
            false => format!("{method}{key}max-passes={passes}"),
        });
        few.push(*fewer);
    }
    let cut: Vec<&str> = cut.iter().map(String::as_str).collect();
    let record = ask(&room, "cut", &cut, &["--threads", "1"]);
    ask(&room, "cut3", &cut, &["--threads", "3"]);
    let whole = ask(&room, "few", &few, &[]);
    let maps = record["maps"].as_array().expect("maps");
    let others = whole["maps"].as_array().expect("maps");
    for (((method, passes, _, total), map), other) in CUT.iter().zip(maps).zip(others) {
        let name = map["npy"].as_str().expect("a name");
        let bytes = |folder: &str| room.bytes(&format!("{folder}/{name}"));
        assert!(bytes("cut") == bytes("few"), "{method}: {name}");
        assert!(bytes("cut") == bytes("cut3"), "{method}: threads");
        let sentence = map["sentence"].as_str().expect("a sentence");
        if passes == total {
            assert_eq!(map["outcome"], "ok", "{method}: {sentence}");
            assert!(map.get("stopped_by").is_none(), "{method}");
            continue;
        }
        assert_eq!(map["outcome"], "partial", "{method}: {sentence}");
        assert_eq!(map["stopped_by"], "passes", "{method}");
        assert_eq!(map["partial"]["total"], *total, "{method}");
        let done = map["partial"]["done"].as_u64().expect("a number");
        assert!(done <= (*passes).min(*total) + 1 && done < *total, "{map}");
        assert!(sentence.contains("its passes were used up"), "{sentence}");
        let anchors = method.starts_with("anchors");
        assert!(other["outcome"] == "ok" || anchors, "{other}");
    }
}

/// No method crashes or claims a whole map when its time is up at once: what
/// asks one thing only is through, the others are partial or say that they have
/// nothing.
#[test]
fn no_time_at_all() {
    let room = Room::new();
    let names: Vec<&str> = METHODS.iter().map(|row| row.name).collect();
    let record = ask(&room, "o", &names, &["--deadline", "0"]);
    let maps = record["maps"].as_array().expect("maps");
    assert_eq!(maps.len(), METHODS.len());
    for map in maps {
        let (name, outcome) = (&map["method"], map["outcome"].as_str());
        let through = map["passes"].as_u64() <= Some(2);
        match outcome {
            Some("ok") => assert!(through, "{map}"),
            Some("partial") => assert_eq!(map["stopped_by"], "deadline", "{name}"),
            Some("undefined") => {
                let reason = map["reason"].as_str().expect("a reason");
                let says = reason.contains("stopped") || reason.contains("too few");
                assert!(says, "{name}: {reason}");
                assert_eq!(map["stopped_by"], "deadline", "{name}");
            }
            _ => panic!("{map}"),
        }
    }
    assert_eq!(record["stopped"], false, "nobody interrupted it");
}

/// A search of two halves that agree says that it was its tolerance.
#[test]
fn a_tolerance_is_named() {
    let room = Room::new();
    let centred = "rise:estimator=centred,masks=20000,tolerance=0.6";
    let path = "integrated-gradients:tolerance=1000";
    let record = ask(&room, "o", &[centred, path], &[]);
    for map in record["maps"].as_array().expect("maps") {
        assert_eq!(map["outcome"], "ok", "{map}");
        assert_eq!(map["stopped_by"], "tolerance", "{map}");
    }
}

#[test]
fn limits_that_are_none() {
    let (model, scene) = (model(), scene());
    for (flag, value, part) in [
        ("--max-passes", "0", "from 1"),
        ("--max-passes", "few", "from 1"),
        ("--deadline", "soon", "seconds"),
        ("--deadline", "nan", "seconds"),
    ] {
        Room::new().refuse(&["explain", &model, &scene, flag, value], part);
    }
}
