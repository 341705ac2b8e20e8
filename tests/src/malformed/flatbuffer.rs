//! TFLite files with wrong offsets, lengths and tables: the bytes of a sound
//! file, walked as a flatbuffer and changed where its structure lies.

use super::Case;
use super::tflite::sound;

/// Indices of fields and their names.
type Fields = &'static [(usize, &'static str)];

/// Fields of the schema's `Model` and `SubGraph` that are offsets.
const MODEL: [(usize, &str); 3] = [(1, "operator_codes"), (2, "subgraphs"), (4, "buffers")];
const SUBGRAPH: [(usize, &str); 4] = [
    (0, "tensors"),
    (1, "inputs"),
    (2, "outputs"),
    (3, "operators"),
];
const TENSOR: [(usize, &str); 2] = [(0, "shape"), (3, "name")];
const OPERATOR: [(usize, &str); 3] = [(1, "inputs"), (2, "outputs"), (4, "builtin_options")];

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Where an offset leads.
fn follow(bytes: &[u8], at: usize) -> usize {
    at + word(bytes, at) as usize
}

/// Where a table's layout lies.
fn layout(bytes: &[u8], table: usize) -> usize {
    table.wrapping_sub(word(bytes, table) as i32 as usize)
}

/// Where field `index` of a table lies; it is there.
fn field(bytes: &[u8], table: usize, index: usize) -> usize {
    let at = layout(bytes, table) + 4 + 2 * index;
    table + usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
}

/// Element `index` of the vector of tables in a field.
fn element(bytes: &[u8], table: usize, vector: usize, index: usize) -> usize {
    let start = follow(bytes, field(bytes, table, vector));
    follow(bytes, start + 4 + 4 * index)
}

pub fn cases() -> Vec<Case> {
    let mut cases = truncated();
    cases.extend(offsets());
    cases.extend(layouts());
    cases.extend(root());
    cases
}

fn truncated() -> Vec<Case> {
    let whole = sound();
    let step = (whole.len() / 28).max(1);
    let cut = |length| {
        let what = format!("cut off after {length} of {} bytes", whole.len());
        Case::tflite("truncated TFLite", what, whole[..length].to_vec(), &[])
    };
    (1..whole.len()).step_by(step).map(cut).collect()
}

/// The sound file with a word changed.
fn patched(what: String, at: usize, value: u32) -> Case {
    let mut bytes = sound();
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    Case::tflite("TFLite offsets and lengths", what, bytes, &[])
}

fn offsets() -> Vec<Case> {
    let bytes = sound();
    let model = follow(&bytes, 0);
    let graph = element(&bytes, model, 2, 0);
    let tensor = element(&bytes, graph, 0, 0);
    let operator = element(&bytes, graph, 3, 0);
    let tables: [(&str, usize, Fields); 4] = [
        ("Model", model, &MODEL),
        ("SubGraph", graph, &SUBGRAPH),
        ("Tensor", tensor, &TENSOR),
        ("Operator", operator, &OPERATOR),
    ];
    let mut cases = Vec::new();
    for (name, table, fields) in tables {
        for &(index, field_name) in fields {
            let at = field(&bytes, table, index);
            let end = (bytes.len() - at) as u32;
            for value in [0x7fff_ffff, u32::MAX, end] {
                let what = format!("{name}.{field_name} leads to {value:#x}");
                cases.push(patched(what, at, value));
            }
            if field_name != "builtin_options" {
                for value in [0x4000_0000, u32::MAX] {
                    let what = format!("{name}.{field_name} has {value:#x} elements");
                    cases.push(patched(what, follow(&bytes, at), value));
                }
            }
        }
    }
    cases
}

fn layouts() -> Vec<Case> {
    let bytes = sound();
    let model = follow(&bytes, 0);
    let graph = element(&bytes, model, 2, 0);
    let operator = element(&bytes, graph, 3, 0);
    let mut cases = Vec::new();
    for (name, table) in [
        ("Model", model),
        ("SubGraph", graph),
        ("Operator", operator),
    ] {
        for (how, value) in [
            ("before the file", 0x7fff_ffff_u32),
            ("behind the file", 0x8000_0001),
            ("in itself", 0),
        ] {
            cases.push(patched(
                format!("the layout of {name} lies {how}"),
                table,
                value,
            ));
        }
        let at = layout(&bytes, table);
        for length in [0xffff_u16, 3, 5] {
            let mut bytes = bytes.clone();
            bytes[at..at + 2].copy_from_slice(&length.to_le_bytes());
            let what = format!("the layout of {name} has {length} bytes");
            cases.push(Case::tflite(
                "TFLite offsets and lengths",
                what,
                bytes,
                &["TFLite"],
            ));
        }
    }
    cases
}

fn root() -> Vec<Case> {
    let length = sound().len() as u32;
    [length, length - 1, 0x7fff_ffff, 0x8000_0000, u32::MAX, 1, 2]
        .map(|value| patched(format!("the root lies at {value:#x}"), 0, value))
        .to_vec()
}
