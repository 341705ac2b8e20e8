//! A session of about fifty messages that uses everything.

use foveola::link::{LinkError, Session};
use foveola_core::Score;
use foveola_core::net::model::Model;
use foveola_core::wire::message::{Baseline, Call, Explain, Format, Reply, Request, Source};

use super::world::{End, World};

/// Bytes of a chunk; small ones make more messages.
const CHUNK: usize = 128;

/// Works that a script begins.
pub const WORKS: u32 = 6;

/// One run of the script.
pub struct Script<'e, 'w> {
    session: Session<End<'e, 'w>>,
    /// What matters of the replies.
    pub said: Vec<String>,
    pub messages: usize,
}

impl<'e, 'w> Script<'e, 'w> {
    /// Runs it; what was said, or the error that ended it.
    pub fn run(world: &'e World<'w>, number: u32, model: &[u8]) -> Result<Self, LinkError> {
        let mut script = Self {
            session: Session::open(End(world), number)?,
            said: Vec::new(),
            messages: 1,
        };
        script.all(model)?;
        Ok(script)
    }

    fn ask(&mut self, request: Request<'_>) -> Result<String, LinkError> {
        self.messages += 1;
        Ok(format!("{:?}", self.session.ask(&request)?))
    }

    /// Asks, and the reply matters.
    fn note(&mut self, request: Request<'_>) -> Result<(), LinkError> {
        let reply = self.ask(request)?;
        self.said.push(reply);
        Ok(())
    }

    fn send(
        &mut self,
        bytes: &[u8],
        begin: Request<'_>,
        chunk: fn(u32, &[u8]) -> Request<'_>,
    ) -> Result<(), LinkError> {
        let mut at = self.have(begin)?;
        while at < bytes.len() {
            let end = bytes.len().min(at + CHUNK);
            at = self.have(chunk(at as u32, &bytes[at..end]))?;
        }
        Ok(())
    }

    fn have(&mut self, request: Request<'_>) -> Result<usize, LinkError> {
        self.messages += 1;
        match self.session.ask(&request)? {
            Reply::Have(bytes) => Ok(bytes as usize),
            _ => Err(LinkError::Unexpected),
        }
    }

    /// A work: how it ended, and the first part of its result.
    fn work(&mut self, request: Request<'_>) -> Result<(), LinkError> {
        self.note(request)?;
        self.messages += 1;
        let Reply::Ended(ended) = self.session.ask(&Request::Poll)? else {
            return Err(LinkError::Unexpected);
        };
        let (end, shape) = (format!("{:?}", ended.end), ended.shape);
        self.said.push(format!("{end} {shape:?} {}", ended.target));
        if shape.iter().product::<u32>() > 0 {
            self.note(Request::Read(Source::Result, 0))?;
        }
        Ok(())
    }

    fn all(&mut self, model: &[u8]) -> Result<(), LinkError> {
        self.ask(Request::Info)?;
        let file = foveola::aligned::AlignedBytes::copy_of(model);
        let sha256 = *Model::from_bytes(&file).map_err(LinkError::Core)?.digest();
        let begin = Request::BeginModel(model.len() as u32, sha256);
        self.send(model, begin, |at, part| Request::ModelChunk(at, part))?;
        self.note(Request::FinishModel)?;
        let pixels: Vec<u8> = (0..126).map(|i| (i * 37 % 251) as u8).collect();
        let begin = Request::BeginPicture(Format::Pixels, [7, 6, 3]);
        self.send(&pixels, begin, |at, part| Request::PictureChunk(at, part))?;
        self.work(Request::Classify(Score::Logit))?;
        self.note(Request::Time(Some(1_800_000_000)))?;
        let explain = |method| {
            Request::Explain(Explain {
                method,
                target: Some(1),
                score: None,
                seed: 3,
            })
        };
        self.work(explain(Call::Gradient))?;
        self.work(explain(Call::Occlusion {
            window: Some([0, 2, 2]),
            stride: None,
            baseline: Baseline::Number(0.0),
            mindspore: false,
        }))?;
        self.work(Request::Tensor(0))?;
        self.note(Request::Read(Source::Result, 100))?;
        self.note(Request::Read(Source::Picture, 0))?;
        self.work(Request::SelfTest)?;
        self.note(Request::Cancel)?;
        self.note(Request::TakeFrame)?;
        self.note(Request::Read(Source::Picture, 120))?;
        self.work(Request::Classify(Score::Probability))?;
        self.note(Request::Time(None))
    }
}
