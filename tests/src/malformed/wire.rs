//! Bytes that are no protobuf of a model, or that end too early.

use super::{Case, classifier};
use crate::onnx::Onnx;

/// A length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    let mut length = content.len();
    while length >= 128 {
        bytes.push(length as u8 | 128);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend(content);
    bytes
}

pub fn cases() -> Vec<Case> {
    let mut cases = truncated();
    cases.extend(others());
    cases.extend(wires());
    cases.extend(texts());
    cases.extend(nested());
    cases
}

fn truncated() -> Vec<Case> {
    let whole = classifier().bytes();
    let step = whole.len() / 36;
    let lengths = (1..whole.len()).step_by(step.max(1));
    let cut = |length| {
        let what = format!("cut off after {length} of {} bytes", whole.len());
        Case::new("truncated ONNX", what, whole[..length].to_vec(), &[])
    };
    lengths.map(cut).collect()
}

fn others() -> Vec<Case> {
    let png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0";
    let files: [(&str, &[u8]); 12] = [
        ("nothing", b""),
        ("a text", b"This is a text file, not a network.\n"),
        ("HTML", b"<!DOCTYPE html><html><body>404</body></html>"),
        (
            "a pointer of git-lfs",
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 1\n",
        ),
        ("JSON", b"{\"format\": \"layers-model\"}"),
        ("a picture", png),
        ("a zip archive", b"PK\x03\x04\x14\0\0\0\x08\0"),
        ("gzip", b"\x1f\x8b\x08\0\0\0\0\0\0\x03"),
        ("HDF5", b"\x89HDF\r\n\x1a\n\0\0\0\0"),
        ("zeros", &[0; 300]),
        ("ones", &[0xff; 300]),
        ("half a model file of our own", b"FVLA\x02\0\0\0\x40\0\0\0"),
    ];
    let words: &[&str] = &[];
    files
        .map(|(what, bytes)| Case::new("no model at all", what, bytes.to_vec(), words))
        .to_vec()
}

fn wires() -> Vec<Case> {
    let whole = classifier().bytes();
    let with = |what, bytes: &[u8]| {
        let bytes = [&whole, bytes].concat();
        Case::new("protobuf", what, bytes, &["not an ONNX model"])
    };
    let ten = [0xff_u8; 11];
    vec![
        with("a key of 11 bytes", &ten),
        with("a field of type 6", &[0x0e]),
        with("a field of type 7", &[0x0f]),
        with("a field of number 0", &[0x00, 0x01]),
        with(
            "a length of 2^63",
            &[
                0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01,
            ],
        ),
        with("a length of 2^32", &[0x3a, 0x80, 0x80, 0x80, 0x80, 0x10]),
        with("a group that does not end", &[0xa3, 0x06]),
        with("a group that did not begin", &[0xa4, 0x06]),
        with("groups in groups", &[0xa3, 0x06].repeat(100_000)),
        with("a graph that is a number", &[0x38, 0x01]),
        with("a version that is a text", &[0x0a, 0x01, b'7']),
        with("half a fixed number", &[0xa5, 0x06, 0x01]),
    ]
}

/// Names that are not UTF-8, at the places where a protobuf has names.
fn texts() -> Vec<Case> {
    let bad = b"\xff\xfe\xc3(";
    let places: [(&str, &[u8]); 9] = [
        ("name of the producer", &[2]),
        ("name of the graph", &[7, 2]),
        ("name of an initialiser", &[7, 5, 8]),
        ("name of a node", &[7, 1, 3]),
        ("operator of a node", &[7, 1, 4]),
        ("input of a node", &[7, 1, 1]),
        ("name of an attribute", &[7, 1, 5, 1]),
        ("name of an input", &[7, 11, 1]),
        ("domain of an operator set", &[8, 1]),
    ];
    let whole = classifier().bytes();
    let case = |(what, path): (&str, &[u8])| {
        let content = path
            .iter()
            .rev()
            .fold(bad.to_vec(), |inner, &n| field(n, &inner));
        let what = format!("{what} is not UTF-8");
        Case::new(
            "text that is not UTF-8",
            what,
            [whole.clone(), content].concat(),
            &["not an ONNX model"],
        )
    };
    places.map(case).to_vec()
}

/// Graphs inside attributes of nodes of graphs.
fn nested() -> Vec<Case> {
    let case = |depth: usize, says: &[&'static str]| {
        // Attribute 5 of node 1 of graph 6 of the attribute.
        let mut inner = Vec::new();
        for _ in 0..depth {
            inner = field(6, &field(1, &[field(4, b"If"), field(5, &inner)].concat()));
        }
        let node = [
            field(1, b"x"),
            field(2, b"y"),
            field(4, b"If"),
            field(5, &inner),
        ]
        .concat();
        let mut model = Onnx::new(13, &[1, 3, 5, 4]);
        model.output("y");
        let bytes = [model.bytes(), field(7, &field(1, &node))].concat();
        Case::new(
            "deep nesting",
            format!("{depth} graphs in each other"),
            bytes,
            says,
        )
    };
    vec![
        case(1, &["If"]),
        case(10, &["If"]),
        case(24, &["If"]),
        case(40, &["recursion limit"]),
        case(100, &["recursion limit"]),
        case(1000, &["recursion limit"]),
        case(20_000, &["recursion limit"]),
    ]
}
