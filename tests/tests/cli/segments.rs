//! Methods over segments from the command line: figures, seeds, removal, files.

use ndarray::{Array2, ArrayD};
use ndarray_npy::{ReadNpyExt, WriteNpyExt};
use serde_json::{Value, json};

use super::room::{Room, model, scene};

fn map<'v>(record: &'v Value, method: &str) -> &'v Value {
    let maps = record["maps"].as_array().expect("maps");
    let found = maps.iter().find(|map| map["method"] == method);
    found.expect("the method's map")
}

fn number(value: &Value) -> f64 {
    value.as_f64().expect("a number")
}

/// Shapley values sum to what the picture gains over the fill, whoever draws
/// the seeds; taking away what speaks against the class is what the map says.
#[test]
fn figures_stability_and_removal() {
    let room = Room::new();
    let out = room.succeed(&[
        "explain",
        &model(),
        &scene(),
        "-m",
        "kernel-shap:segments=grid,count=8",
        "-m",
        "lime:samples=120,count=12",
        "-m",
        "feature-ablation",
        "--score",
        "logit",
        "--stability",
        "--remove-opposing",
        "-o",
        "out",
    ]);
    let record = room.record("out");
    let shap = map(&record, "kernel-shap");
    let figures = &shap["figures"];
    assert_eq!(figures["exact"], 1.0);
    let file = room.bytes(&format!("out/{}", shap["npy"].as_str().expect("a name")));
    let values = ArrayD::<f32>::read_npy(file.as_slice()).expect("an array");
    let mut seen: Vec<f32> = values.iter().copied().collect();
    seen.sort_by(f32::total_cmp);
    seen.dedup();
    let sum: f64 = seen.iter().map(|v| f64::from(*v)).sum();
    let gain = number(&figures["local_prediction"]) - number(&figures["intercept"]);
    assert!(seen.len() == 8 && (sum - gain).abs() < 1e-4, "{sum} {gain}");
    let r2 = number(&map(&record, "lime")["figures"]["r2"]);
    assert!(
        (0.0..=1.0).contains(&r2) && out.contains("(R2)"),
        "{r2} {out}"
    );
    // All coalitions are asked, so seeds make no difference; ablation has none.
    let stability = record["stability"].as_array().expect("certificates");
    let told = |i: usize, name: &str| number(&stability[i][name]);
    assert_eq!(stability.len(), 2);
    assert_eq!((told(0, "rank_agreement"), told(0, "overlap")), (1.0, 1.0));
    assert_eq!((told(0, "maps"), told(1, "maps")), (9.0, 9.0));
    assert!(told(1, "least_overlap") <= told(1, "overlap"));
    let removals = record["removals"].as_array().expect("removals");
    let against = values.iter().filter(|v| **v < 0.0).count() as f64 / values.len() as f64;
    if against > 0.0 {
        assert!((number(&removals[0]["removed"]) - against).abs() < 1e-9);
        let target = shap["target"].as_u64().expect("a class") as usize;
        let before = number(&removals[0]["before"][target]);
        assert!((before - number(&record["probabilities"][target])).abs() < 1e-6);
        assert!(
            room.path("out")
                .join(format!("kernel-shap.{target}.without.png"))
                .is_file()
        );
    }
}

/// Segments and a design of one's own; what does not fit is refused.
#[test]
fn files_of_segments_and_designs() {
    let room = Room::new();
    let bytes = |array: &Array2<i32>| {
        let mut bytes = Vec::new();
        array.write_npy(&mut bytes).expect("an array");
        bytes
    };
    let halves = Array2::from_shape_fn((96, 96), |(y, _)| if y < 30 { 7 } else { -2 });
    room.put("halves.npy", &bytes(&halves));
    let design = Array2::from_shape_fn((4, 2), |(i, s)| (i >> s & 1) as i32);
    room.put("z.npy", &bytes(&design));
    room.put("wide.npy", &bytes(&Array2::zeros((4, 3))));
    let explain = |method: &str| {
        let args = ["explain", &model(), &scene(), "-m", method, "-o", "out"];
        args.map(String::from)
    };
    let args = explain("lime:segments=halves.npy,design=z.npy");
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    room.succeed(&args);
    let lime = room.record("out");
    let lime = map(&lime, "lime");
    assert_eq!(
        (&lime["parameters"]["pieces"], &lime["passes"]),
        (&json!(2), &json!(4))
    );
    for (method, reason) in [
        (
            "lime:segments=halves.npy,design=wide.npy",
            "3 columns, the picture 2 segments",
        ),
        ("lime:segments=z.npy", "the picture is 96x96"),
        ("lime:segments=none.npy", "none.npy"),
    ] {
        let args = explain(method);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        room.refuse(&args, reason);
    }
}
