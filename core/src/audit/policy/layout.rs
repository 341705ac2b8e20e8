//! The records of a policy.

use zerocopy::little_endian::{F32, U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// First bytes of a policy.
pub const MAGIC: [u8; 4] = *b"FVP1";
/// In [`CaseRecord::rule`]: no map is held to anything.
pub const NO_RULE: u16 = u16::MAX;
/// Most rules: a verdict's number has room for so many.
pub const MAX_RULES: usize = 254;
/// Most boxes of one rule.
pub const MAX_BOXES: usize = 64;
/// Most cells of a reference map.
pub const MAX_CELLS: usize = 256;

/// Start of the policy.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct Head {
    /// [`MAGIC`].
    pub magic: [u8; 4],
    /// Bytes of the whole policy.
    pub length: U32,
    /// Number of rules.
    pub rules: U16,
    /// Number of boxes.
    pub boxes: U16,
    /// Number of classes.
    pub classes: U16,
    /// Number of self-test cases.
    pub cases: U16,
    /// 0 report only, 1 withhold the answer, 2 halt.
    pub on_failure: u8,
    /// Zeros.
    pub reserved: [u8; 3],
    /// Bytes of RAM for arena, map and scratch; 0 for no limit.
    pub ram: U32,
    /// Milliseconds a judgement; 0 for no limit.
    pub milliseconds: U32,
    /// Instructions a judgement; 0 for no limit.
    pub instructions: U64,
    /// Zeros.
    pub unused: [u8; 28],
}

/// One rule.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct RuleRecord {
    /// First byte of the method, a `wire::message::Call` in postcard.
    pub call: U32,
    /// Its bytes.
    pub call_length: U16,
    /// 0 the best class, 1 each class of the list.
    pub target: u8,
    /// Score that is explained: 0 the method's own, 1 logit, 2 probability.
    pub score: u8,
    /// Index of the first class of the list.
    pub first_class: U16,
    /// Classes of the list; 0 with `target` 0.
    pub classes: U16,
    /// Index of the first box of the region.
    pub first_box: U16,
    /// Boxes of the region; 0 for no region.
    pub boxes: U16,
    /// Unit of boxes and border: 0 pixels of the input, 1 fractions of the
    /// picture's width and height (the border: of its shorter side).
    pub unit: u8,
    /// Measure of agreement: 0 none, 1 Spearman, 2 overlap of the strongest tenth.
    pub measure: u8,
    /// Rows of the reference map.
    pub rows: u8,
    /// Columns of the reference map.
    pub columns: u8,
    /// Width of the border; 0 for none.
    pub border: F32,
    /// Most of the evidence that the border may hold, 0 to 1.
    pub most_border: F32,
    /// Least of the evidence that the region must hold, 0 to 1.
    pub least_inside: F32,
    /// Least agreement, 0 to 1.
    pub least_agreement: F32,
    /// First byte of the reference map, row by row.
    pub reference: U32,
    /// Its numbers: 0 f32, 1 u8.
    pub reference_type: u8,
    /// Zeros.
    pub reserved: [u8; 3],
    /// Key of every random number.
    pub seed: U64,
    /// Zeros.
    pub unused: [u8; 12],
}

/// A box of a region.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct BoxRecord {
    /// Left edge.
    pub x: F32,
    /// Upper edge.
    pub y: F32,
    /// Width.
    pub w: F32,
    /// Height.
    pub h: F32,
}

/// A picture whose answer is known.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CaseRecord {
    /// First byte of the picture, HWC, channels in the model's order.
    pub picture: U32,
    /// Its bytes.
    pub picture_length: U32,
    /// Height, width, channels.
    pub shape: [U32; 3],
    /// Its numbers: 0 u8 pixels, 1 f32 in model space.
    pub format: u8,
    /// The scores: 0 logits, 1 probabilities.
    pub score: u8,
    /// Index of the rule whose method makes the map, or [`NO_RULE`].
    pub rule: U16,
    /// First byte of the expected scores, f32.
    pub scores: U32,
    /// Number of the scores: one a class.
    pub classes: U16,
    /// The class that the map explains.
    pub target: U16,
    /// SHA-256 of the map (see `audit::output_hash`); zeros without a rule.
    pub map: [u8; 32],
    /// Zeros.
    pub unused: [u8; 16],
}

const _: () = assert!(size_of::<Head>() == 64 && size_of::<RuleRecord>() == 64);
const _: () = assert!(size_of::<BoxRecord>() == 16 && size_of::<CaseRecord>() == 80);
