//! A device on a socket that says something else than it found.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use foveola::aligned::AlignedBytes;
use foveola_core::explain::hoc::{Step, UNUSED_WINDOW};
use foveola_core::wire::fault::Fault;
use foveola_core::wire::frame::{Decoder, Frame};
use foveola_core::wire::message::{Reply, Request, Source, frame, read, split};
use foveola_core::wire::server::{Facts, Memory, Platform, Server, Spent};

/// Instructions and stack that every work takes.
pub const SPENT: (u64, u32) = (4242, 77);

/// How a device lies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lie {
    #[default]
    Never,
    /// One bit of the picture changes on its way.
    Picture,
    /// The last bit of the first score is another.
    Rounding,
    /// The first element of every map is far too large: the code of methods is wrong.
    Map,
    /// As `Map`, but only where the device's own network answers.
    MapAlone,
    /// Scores are refused.
    Refusal,
    /// Scores are never answered.
    Silence,
}

/// What a device is.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// A model in its flash.
    pub linked: Option<Vec<u8>>,
    /// The digest that it states for whatever model runs.
    pub claimed: Option<[u8; 32]>,
    pub lie: Lie,
}

/// A device that listens until it is dropped.
pub struct Device {
    pub name: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Device {
    pub fn new(truth: Truth) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => serve(stream, &truth),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            name: format!("tcp:{address}"),
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the device");
        }
    }
}

fn serve(stream: TcpStream, truth: &Truth) {
    stream.set_nonblocking(true).expect("a stream");
    stream.set_nodelay(true).expect("a stream");
    let linked = truth.linked.as_deref().map(AlignedBytes::copy_of);
    let mut slots = [AlignedBytes::zeros(65_536), AlignedBytes::zeros(65_536)];
    let mut work = AlignedBytes::zeros(262_144);
    let (mut steps, mut boxes) = (vec![Step::UNUSED; 128], vec![UNUSED_WINDOW; 128]);
    let [first, second] = &mut slots;
    let mut server = Server::new(Memory {
        slots: [first, second],
        linked: linked.as_deref(),
        work: &mut work,
        steps: &mut steps,
        boxes: &mut boxes,
    });
    let mut station = Station {
        stream,
        truth,
        decoder: Decoder::default(),
        incoming: VecDeque::new(),
        work: Work::Other,
        source: (Source::Result, 0),
        gone: false,
    };
    while !station.gone {
        server.step(&mut station);
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Work {
    Scores,
    Map,
    MapOfHost,
    Other,
}

struct Station<'t> {
    stream: TcpStream,
    truth: &'t Truth,
    decoder: Decoder,
    incoming: VecDeque<u8>,
    work: Work,
    /// What is read last, and from which byte on.
    source: (Source, u32),
    gone: bool,
}

impl Station<'_> {
    /// Passes a request on, changed where the device lies.
    fn take(&mut self, message: &[u8]) {
        let (session, sequence, rest) = split(message).expect("a message");
        let mut request: Request<'_> = read(rest).expect("a request");
        match request {
            Request::Classify(_) => self.work = Work::Scores,
            Request::Explain(_) => self.work = Work::Map,
            Request::ExplainAsking(_) => self.work = Work::MapOfHost,
            Request::Tensor(_) => self.work = Work::Other,
            Request::Read(source, offset) => self.source = (source, offset),
            _ => {}
        }
        let mut chunk = Vec::new();
        if let (Lie::Picture, Request::PictureChunk(0, bytes)) = (self.truth.lie, request) {
            chunk.extend_from_slice(bytes);
            chunk[0] ^= 1;
            request = Request::PictureChunk(0, &chunk);
        }
        if self.truth.lie == Lie::Silence && matches!(request, Request::Classify(_)) {
            return;
        }
        self.push(session, sequence, &request);
    }

    fn push(&mut self, session: u32, sequence: u32, request: &Request<'_>) {
        let mut bytes = Frame::default();
        frame(session, sequence, request, &mut bytes).expect("a frame");
        self.incoming.extend(bytes.bytes());
    }

    /// The reply that is sent in the place of the true one.
    fn lie(&self, reply: &Reply<'_>, out: &mut dyn FnMut(&Reply<'_>)) {
        let lie = self.truth.lie;
        match *reply {
            Reply::Info(mut info) => {
                let slot = info.slots.get_mut(usize::from(info.active));
                if let (Some(slot), Some(claimed)) = (slot, self.truth.claimed) {
                    slot.sha256 = claimed;
                }
                out(&Reply::Info(info));
            }
            Reply::Part(total, bytes) if self.source == (Source::Result, 0) => {
                let mut bytes = bytes.to_vec();
                let wrong = match self.work {
                    Work::Map => matches!(lie, Lie::Map | Lie::MapAlone),
                    Work::MapOfHost => lie == Lie::Map,
                    _ => false,
                };
                if wrong {
                    bytes[..4].copy_from_slice(&1000.0f32.to_le_bytes());
                }
                if lie == Lie::Rounding && self.work == Work::Scores {
                    bytes[0] ^= 1;
                }
                out(&Reply::Part(total, &bytes));
            }
            Reply::Started if lie == Lie::Refusal && self.work == Work::Scores => {
                out(&Reply::Fault(Fault::NoModel));
            }
            _ => out(reply),
        }
    }
}

impl Platform for Station<'_> {
    fn read(&mut self) -> Option<u8> {
        if self.incoming.is_empty() && !self.gone {
            let mut bytes = [0; 2048];
            match self.stream.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    for byte in &bytes[..count] {
                        if let Some(Ok(message)) = self.decoder.push(*byte) {
                            let message = message.to_vec();
                            self.take(&message);
                        }
                    }
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                // Nobody is there: another session ends what waits for the host.
                _ => {
                    self.gone = true;
                    self.push(0xdead, 1, &Request::Hello(foveola_core::wire::VERSION));
                }
            }
        }
        self.incoming.pop_front()
    }

    fn write(&mut self, bytes: &[u8]) {
        let mut decoder = Decoder::default();
        for byte in bytes {
            let Some(Ok(message)) = decoder.push(*byte) else {
                continue;
            };
            let (session, sequence, rest) = split(message).expect("a message");
            let reply: Reply<'_> = read(rest).expect("a reply");
            let mut sent = Frame::default();
            self.lie(&reply, &mut |reply| {
                frame(session, sequence, reply, &mut sent).expect("a frame");
            });
            // A host that has gone does not hear it.
            let _ = (&self.stream).write_all(sent.bytes());
        }
    }

    fn feed(&mut self) {}

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: "bench",
            firmware: "9.8.7",
            sha256: &[0xab; 32],
            overruns: 0,
        }
    }

    fn begin(&mut self) {}

    fn end(&mut self) -> Spent {
        Spent {
            instructions: SPENT.0,
            stack: SPENT.1,
            ..Spent::default()
        }
    }

    fn time(&mut self) -> Option<u64> {
        None
    }

    fn set_time(&mut self, _seconds: u64) -> bool {
        false
    }
}
