//! A device with more and less memory: pictures are computed only where they
//! changed as soon as there is room, and the map is always the same.

use foveola::link::{LinkError, Session};
use foveola_core::wire::message::{
    Baseline, Call, End, Ended, Explain, Format, Reply, Request, Source,
};
use foveola_tests::root;

use super::world::{self, Ram, World};

/// How it ended, how many pictures were computed so, and the map.
type Answer = (Ended<'static>, Option<u32>, Vec<u8>);

/// One explanation of a picture that is there.
fn explained(
    session: &mut Session<world::End<'_, '_>>,
    request: &Request<'_>,
) -> Result<Answer, LinkError> {
    session.ask(request)?;
    let (ended, edits) = match session.ask(&Request::Poll)? {
        Reply::Ended(ended) => (ended, None),
        Reply::Edited(ended, count) => (ended, Some(count)),
        _ => return Err(LinkError::Unexpected),
    };
    let end = match ended.end {
        End::Ok | End::Flat => End::Ok,
        End::Failed(fault) => return Err(fault.into()),
        _ => return Err(LinkError::Unexpected),
    };
    let ended = Ended { end, ..ended };
    let Reply::Part(_, bytes) = session.ask(&Request::Read(Source::Result, 0))? else {
        return Err(LinkError::Unexpected);
    };
    Ok((ended, edits, bytes.to_vec()))
}

/// The same explanation in full and by edits, with `work` bytes and boxes of
/// some rows and columns.
fn both(model: &[u8], work: usize, [rows, columns]: [u32; 2]) -> Result<[Answer; 2], LinkError> {
    let mut ram = Ram::with(work);
    let world = World::new(vec![&mut ram], Some(model), None);
    let mut session = Session::open(world::End(&world), 7)?;
    let pixels: Vec<u8> = (0..126).map(|i| (i * 37 % 251) as u8).collect();
    session.ask(&Request::BeginPicture(Format::Pixels, [7, 6, 3]))?;
    session.ask(&Request::PictureChunk(0, &pixels))?;
    let explain = Explain {
        method: Call::Occlusion {
            window: Some([0, rows, columns]),
            stride: Some([0, 1, 1]),
            baseline: Baseline::Number(0.0),
            mindspore: false,
        },
        target: Some(1),
        score: None,
        seed: 3,
    };
    Ok([
        explained(&mut session, &Request::Explain(explain))?,
        explained(&mut session, &Request::ExplainEdits(explain))?,
    ])
}

#[test]
fn room_decides_and_the_map_stays() {
    let model = std::fs::read(root().join("core/fixtures/small.fov")).expect("the fixture");
    let model = foveola::aligned::AlignedBytes::copy_of(&model);
    let mut seen = Vec::new();
    let mut map = None;
    for work in (1..=32).map(|i| 512 * i) {
        let Ok([full, edited]) = both(&model, work, [2, 2]) else {
            assert!(seen.is_empty(), "{work} bytes are less than fewer bytes");
            continue;
        };
        assert_eq!(full.1, None);
        assert_eq!(edited.2, full.2, "{work} bytes");
        assert_eq!(map.get_or_insert(full.2.clone()), &full.2, "{work} bytes");
        assert_eq!(edited.0.passes, full.0.passes);
        let count = edited.1.expect("it is said how");
        assert_eq!(edited.0.arena > full.0.arena, count > 0, "{work} bytes");
        seen.push(u64::from(count));
        assert!(count == 0 || u64::from(count) == full.0.passes - 1);
    }
    println!("{seen:?}");
    assert!(seen.is_sorted() && seen.first() == Some(&0));
    assert!(seen.last() > Some(&0), "{seen:?}");
    // Where there is room: boxes of which each reaches most of every layer, and few of them.
    for boxes in [[7, 6], [6, 5], [5, 6], [7, 3]] {
        let [full, edited] = both(&model, 16_384, boxes).expect("there is room");
        assert_eq!((edited.1, edited.2), (Some(0), full.2), "{boxes:?}");
    }
}
