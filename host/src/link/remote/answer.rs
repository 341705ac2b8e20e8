//! What devices answer, in words of the host.

use foveola_core::audit::judge::split_code;
use foveola_core::wire::message::{End, Ended, Keeping, Reply, Request, Slot};
use foveola_core::{Saturation, Shape};

use crate::link::{LinkError, Session};

/// What a device is.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The board's name.
    pub board: String,
    /// The firmware's version.
    pub firmware: String,
    /// SHA-256 of the program.
    pub firmware_sha256: [u8; 32],
    /// Bytes of memory for picture, result, scratch and arena.
    pub ram: u32,
    /// The two slots, then the model in flash.
    pub slots: [Slot; 3],
    /// Which one is active; 3 for none.
    pub active: u8,
    /// Input of the active model.
    pub input: Shape,
    /// Its classes.
    pub classes: usize,
    /// Its nodes.
    pub nodes: u32,
    /// Frames that arrived whole, frames that did not, bytes that were lost.
    pub line: [u32; 3],
}

/// What a device keeps when it is switched off.
#[derive(Clone, Debug)]
pub struct Keeps {
    /// Its name, empty before its enrolment.
    pub device: String,
    /// Where records go.
    pub keeping: Keeping,
    /// Whether the log was sound when it started.
    pub sound: bool,
    /// Number and hash of the last record: an anchor.
    pub last: (u64, [u8; 32]),
    /// The oldest release of a model that may run.
    pub release: u32,
    /// Bytes of each of the two slots for models.
    pub room: u32,
    /// Bytes and SHA-256 of the models there.
    pub slots: [Option<(u32, [u8; 32])>; 2],
    /// The slot whose model runs after a start.
    pub active: Option<u8>,
}

/// What a work found.
#[derive(Clone, Debug)]
pub struct Finding {
    /// The result, HWC.
    pub values: Vec<f32>,
    /// Its shape.
    pub shape: Shape,
    /// The class explained; the best one of a classification.
    pub target: usize,
    /// `ok`, `flat`, `undefined REASON`, `partial DONE TOTAL` or `measured`.
    pub outcome: String,
    /// Executed instructions.
    pub instructions: u64,
    /// Deepest stack and arena, in bytes.
    pub stack: u32,
    /// Bytes of arena.
    pub arena: u32,
    /// Passes done.
    pub passes: u64,
    /// What saturated, of an uncertainty.
    pub saturation: Saturation,
    /// Pictures that were computed only where they changed, if it was asked so.
    pub edits: Option<u32>,
}
/// What the device is now.
pub(super) fn facts(session: &mut Session) -> Result<Facts, LinkError> {
    let Reply::Info(info) = session.ask(&Request::Info)? else {
        return Err(LinkError::Unexpected);
    };
    let [h, w, c] = info.input.map(|side| side as usize);
    Ok(Facts {
        board: info.board.to_owned(),
        firmware: info.firmware.to_owned(),
        firmware_sha256: info.firmware_sha256,
        ram: info.ram,
        slots: info.slots,
        active: info.active,
        input: Shape::new(h, w, c),
        classes: info.classes as usize,
        nodes: info.nodes,
        line: [info.frames, info.damaged, info.overruns],
    })
}

/// Little-endian numbers.
pub(super) fn floats(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.as_chunks().0.iter();
    values.map(|v| f32::from_le_bytes(*v)).collect()
}

/// `pass INSIDE`, or `fail RULE` and the reason in words.
fn judged(code: u16, inside: f32) -> String {
    match (code, split_code(code)) {
        (0, _) => format!("pass {inside}"),
        (_, (rule, Some(reason))) => format!("fail {rule} {reason}"),
        (_, (rule, None)) => format!("fail {rule} for a reason that this program does not know"),
    }
}

/// What ended, without its values.
pub(super) fn finding(ended: &Ended<'_>) -> Result<Finding, LinkError> {
    let outcome = match ended.end {
        End::Ok => "ok".to_owned(),
        End::Flat => "flat".to_owned(),
        End::Undefined(why) => format!("undefined {why}"),
        End::Partial(done, total) => format!("partial {done} {total}"),
        End::Failed(fault) => return Err(fault.into()),
        End::Judged(code, inside) => judged(code, inside),
        End::Measured(..) => "measured".to_owned(),
    };
    let saturation = match ended.end {
        End::Measured(saturated, of) => Saturation { saturated, of },
        _ => Saturation::default(),
    };
    let [h, w, c] = ended.shape.map(|side| side as usize);
    Ok(Finding {
        values: Vec::new(),
        shape: Shape::new(h, w, c),
        target: ended.target as usize,
        outcome,
        instructions: ended.instructions,
        stack: ended.stack,
        arena: ended.arena,
        passes: ended.passes,
        saturation,
        edits: None,
    })
}
