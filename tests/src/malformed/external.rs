//! Values in other files: out of the folder, no files, too large, or not allowed.

use tract_onnx::pb::StringStringEntryProto;
use tract_onnx::pb::tensor_proto::DataLocation;

use super::{Case, Content, classifier};

const KIND: &str = "external data";

/// The weights' bytes.
fn data() -> Vec<u8> {
    let mut model = classifier();
    let values = &model.graph().initializer[0].float_data;
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// The classifier whose weights lie elsewhere.
fn case(what: &str, entries: &[(&str, &str)], beside: &[(&str, Content)]) -> Case {
    let mut model = classifier();
    let weights = &mut model.graph().initializer[0];
    weights.float_data.clear();
    weights.data_location = Some(DataLocation::External as i32);
    let entry = |&(key, value): &(&str, &str)| StringStringEntryProto {
        key: key.into(),
        value: value.into(),
    };
    weights.external_data = entries.iter().map(entry).collect();
    Case {
        beside: beside
            .iter()
            .map(|(n, c)| ((*n).to_owned(), c.clone()))
            .collect(),
        flags: vec!["--allow-external"],
        ..Case::onnx(KIND, what, &model, &["\"w\""])
    }
}

pub fn cases() -> Vec<Case> {
    let mut cases = paths();
    cases.extend(links());
    cases.extend(sizes());
    let good = [("w.bin", Content::Bytes(data()))];
    cases.push(Case {
        flags: vec![],
        says: vec!["\"w\"", "--allow-external"],
        ..case("not allowed", &[("location", "w.bin")], &good)
    });
    cases
}

/// Weights in a file of the folder, as they should be.
pub fn sound() -> Case {
    case(
        "sound",
        &[("location", "w.bin")],
        &[("w.bin", Content::Bytes(data()))],
    )
}

fn paths() -> Vec<Case> {
    let bait = [
        ("../outside.bin", Content::Bytes(data())),
        ("inner/w.bin", Content::Bytes(data())),
    ];
    let places = [
        ("..", "../outside.bin"),
        (".. behind a folder", "inner/../../outside.bin"),
        (".. back into the folder", "inner/../inner/w.bin"),
        (".. behind .", "./../outside.bin"),
        (".. at the end", "inner/.."),
        ("ten times ..", "../../../../../../../../../../etc/passwd"),
        ("an absolute path", "/etc/passwd"),
        ("an absolute path of a device", "/dev/zero"),
        ("standard input", "/dev/stdin"),
        ("the process's environment", "/proc/self/environ"),
        ("a URL", "file:///etc/passwd"),
        ("a URL of this folder", "file://inner/w.bin"),
        ("a URL of the web", "http://127.0.0.1:9/w.bin"),
        ("a path of Windows", "..\\outside.bin"),
        ("a drive", "C:\\Windows\\win.ini"),
        ("%2e%2e", "%2e%2e/outside.bin"),
        ("a home folder", "~/.bashrc"),
        ("no name", ""),
        (".", "."),
        ("a folder", "inner"),
        ("a file that does not exist", "nowhere.bin"),
        ("a name with a zero byte", "inner/w.bin\0.txt"),
        ("a file as a folder", "inner/w.bin/w.bin"),
    ];
    let mut cases: Vec<Case> = places
        .iter()
        .map(|(what, place)| case(what, &[("location", place)], &bait))
        .collect();
    let long = "a".repeat(5000);
    cases.push(case(
        "a name of 5000 letters",
        &[("location", &long)],
        &bait,
    ));
    cases.push(case("no place", &[], &bait));
    cases
}

fn links() -> Vec<Case> {
    let to = |place: &str| Content::Link(place.to_owned());
    let bait = ("../outside.bin", Content::Bytes(data()));
    let through = ("../outside/w.bin", Content::Bytes(data()));
    let at = |name: &'static str| [("location", name)];
    vec![
        case(
            "a link out of the folder",
            &at("w.bin"),
            &[bait.clone(), ("w.bin", to("../outside.bin"))],
        ),
        case(
            "a link to an absolute path",
            &at("w.bin"),
            &[("w.bin", to("/etc/passwd"))],
        ),
        case(
            "a link to a device",
            &at("w.bin"),
            &[("w.bin", to("/dev/zero"))],
        ),
        case(
            "a linked folder",
            &at("d/w.bin"),
            &[through, ("d", to("../outside"))],
        ),
        case(
            "a link to a link",
            &at("w.bin"),
            &[
                bait,
                ("w.bin", to("v.bin")),
                ("v.bin", to("../outside.bin")),
            ],
        ),
        case("a link to itself", &at("w.bin"), &[("w.bin", to("w.bin"))]),
        case(
            "a link to nothing",
            &at("w.bin"),
            &[("w.bin", to("nowhere"))],
        ),
    ]
}

fn sizes() -> Vec<Case> {
    let good = [("w.bin", Content::Bytes(data()))];
    let with = |what, key, value| case(what, &[("location", "w.bin"), (key, value)], &good);
    let mut cases = vec![
        with("a length of 10 GB", "length", "10000000000"),
        with("a length of 2^64 - 1", "length", "18446744073709551615"),
        with("a length of 2^64", "length", "18446744073709551616"),
        with("a length below 0", "length", "-144"),
        with("a length that is a text", "length", "all"),
        with("a length of 0", "length", "0"),
        with("an offset of 10 GB", "offset", "10000000000"),
        with("an offset of 2^64 - 1", "offset", "18446744073709551615"),
        with("an offset below 0", "offset", "-1"),
        with(
            "an offset past the start of the last element",
            "offset",
            "1",
        ),
        with("an offset that is a text", "offset", "0x10"),
    ];
    let sparse = [("w.bin", Content::Sparse(10_000_000_000))];
    let claim = |what, dims: &[i64]| {
        let mut case = case(what, &[("location", "w.bin")], &sparse);
        let mut model = classifier();
        let weights = &mut model.graph().initializer[0];
        weights.float_data.clear();
        weights.dims = dims.to_vec();
        weights.data_location = Some(DataLocation::External as i32);
        weights.external_data = vec![StringStringEntryProto {
            key: "location".into(),
            value: "w.bin".into(),
        }];
        case.bytes = model.bytes();
        case
    };
    cases.push(claim(
        "10 GB of weights in a file of 10 GB",
        &[2_500_000_000],
    ));
    cases.push(claim("2^62 weights", &[1 << 62]));
    cases.push(claim("-1 weights", &[-1]));
    let short = [("w.bin", Content::Bytes(data()[..143].to_vec()))];
    cases.push(case("a byte short", &[("location", "w.bin")], &short));
    let empty = [("w.bin", Content::Bytes(vec![]))];
    cases.push(case("an empty file", &[("location", "w.bin")], &empty));
    cases
}
