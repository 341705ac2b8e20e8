//! Faults planted in a device: the device's own server in another thread, a
//! cable between.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use foveola::aligned::AlignedBytes;
use foveola::bisect::cause::Kind;
use foveola::bisect::{Board, Report, Stage, Subject, TOLERANCE, Verdict, walk};
use foveola::compile::{CompileOptions, compile};
use foveola::link::{Cable, Remote};
use foveola::photo::Photo;
use foveola_core::explain::hoc::{Step, UNUSED_WINDOW};
use foveola_core::wire::server::{Facts, Memory, Platform, Server, Spent};
use foveola_core::{Picture, Shape};
use image::{DynamicImage, RgbImage};

use super::engine::{Deviation, compute, run};
use super::networks::{Network, Random};
use super::pictures::{Wrong, input, photo, pixels};

/// The device's end of the cable.
struct Station {
    incoming: std::collections::VecDeque<u8>,
    outgoing: Sender<Vec<u8>>,
}

impl Platform for Station {
    fn read(&mut self) -> Option<u8> {
        self.incoming.pop_front()
    }

    fn write(&mut self, bytes: &[u8]) {
        // A host that has gone away hears nothing.
        let _ = self.outgoing.send(bytes.to_vec());
    }

    fn feed(&mut self) {}

    fn facts(&self) -> Facts<'_> {
        Facts {
            board: "bench",
            firmware: "0",
            sha256: &[7; 32],
            overruns: 0,
        }
    }

    fn begin(&mut self) {}

    fn end(&mut self) -> Spent {
        Spent::default()
    }

    fn time(&mut self) -> Option<u64> {
        None
    }

    fn set_time(&mut self, _seconds: u64) -> bool {
        false
    }

    fn take_frame(&mut self, _shape: Shape, _out: &mut [u8]) -> bool {
        false
    }
}

/// The host's end.
struct Line {
    to_device: Sender<Vec<u8>>,
    to_host: Receiver<Vec<u8>>,
    waiting: Vec<u8>,
    begun: Instant,
}

impl Cable for Line {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let gone = |_| io::ErrorKind::BrokenPipe.into();
        self.to_device.send(bytes.to_vec()).map_err(gone)
    }

    fn receive(&mut self, into: &mut [u8], patience: Duration) -> io::Result<usize> {
        if self.waiting.is_empty() {
            match self.to_host.recv_timeout(patience) {
                Ok(bytes) => self.waiting = bytes,
                Err(RecvTimeoutError::Timeout) => return Ok(0),
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
        let count = into.len().min(self.waiting.len());
        into[..count].copy_from_slice(&self.waiting[..count]);
        self.waiting.drain(..count);
        Ok(count)
    }

    fn now(&mut self) -> Duration {
        self.begun.elapsed()
    }
}

/// A device that was just switched on.
fn device() -> Remote {
    let (to_device, from_host) = channel::<Vec<u8>>();
    let (outgoing, to_host) = channel();
    std::thread::spawn(move || {
        let [mut first, mut second] = [(); 2].map(|()| AlignedBytes::zeros(128 << 10));
        let mut work = AlignedBytes::zeros(256 << 10);
        let (mut steps, mut boxes) = (vec![Step::UNUSED; 32], vec![UNUSED_WINDOW; 32]);
        let mut server = Server::new(Memory {
            slots: [&mut first, &mut second],
            linked: None,
            work: &mut work,
            steps: &mut steps,
            boxes: &mut boxes,
        });
        let mut station = Station {
            incoming: Default::default(),
            outgoing,
        };
        while let Ok(bytes) = from_host.recv() {
            station.incoming.extend(bytes);
            server.step(&mut station);
        }
    });
    let line = Line {
        to_device,
        to_host,
        waiting: Vec::new(),
        begun: Instant::now(),
    };
    Remote::open(Box::new(line)).expect("it answers")
}

/// A network, and a picture that the device gets.
struct Bench {
    network: Network,
    images: [RgbImage; 2],
}

impl Bench {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let network = Network::made_up(random.word());
        let shape = network.intake().shape;
        let mut shot = || photo(&mut random, shape.w as u32, shape.h as u32);
        let images = [shot(), shot()];
        Self { network, images }
    }

    fn photo(&self, image: &RgbImage) -> Photo {
        let image = DynamicImage::from(image.clone());
        Photo::from_image(&image, &self.network.intake()).expect("a photo")
    }

    /// Compares with a device that has this model and this picture.
    fn compare(&self, file: &[u8], picture: &Picture<'_>) -> Report {
        let mut remote = device();
        remote
            .put_model(file, &mut |_, _| true)
            .expect("it takes the model");
        remote.put_picture(picture).expect("it takes the picture");
        let [photo, previous] = self.images.each_ref().map(|image| self.photo(image));
        let model = self.network.file.model();
        let intake = self.network.intake();
        let subject = Subject {
            model,
            intake,
            photo: &photo,
            file: &[],
            image: Some(&self.images[0]),
            previous: Some(&previous),
            tolerance: TOLERANCE,
        };
        let mut board = Board::new(&mut remote, intake, *model.digest());
        walk(&subject, &mut board).expect("both sides can be compared")
    }

    fn right_file(&self) -> &[u8] {
        &self.network.compiled.bytes
    }
}

#[test]
fn a_device_without_a_fault_is_equal() {
    for seed in [1, 2] {
        let bench = Bench::new(seed);
        let photo = bench.photo(&bench.images[0]);
        let report = bench.compare(bench.right_file(), &photo.picture());
        assert_eq!(report.verdict, Verdict::Equal, "{:?}", report.faults);
        let layers = |r: &foveola::bisect::Rung| matches!(r.stage, Stage::Layer(_));
        let compared = report.rungs.iter().filter(|r| layers(r)).count();
        assert_eq!(compared, bench.network.file.model().node_count());
    }
}

#[test]
fn a_flipped_weight_bit_is_named() {
    let bench = Bench::new(3);
    let mut graph = bench.network.graph.clone();
    // The first weight of the third layer whose bit 6 shows for this picture.
    let values = input(&bench.network, &bench.images[0], None);
    let right = run(&graph, &values, usize::MAX, &Deviation::None);
    let node = graph.nodes[3].clone();
    let shows = |index: &usize| {
        let deviation = Deviation::WeightBit {
            index: *index,
            bit: 6,
        };
        let wrong = compute(&graph, &node, &right, &deviation);
        Some(wrong) != right[usize::from(node.output.0)]
    };
    let index = (0..16).find(shows).expect("a weight that shows");
    let weights = &mut graph.nodes[3].quantised.as_mut().expect("weights").weights;
    weights[index] = (weights[index].cast_unsigned() ^ 0x40).cast_signed();
    let name = node.name;
    let compiled = compile(graph, &bench.network.card, &CompileOptions::default());
    let file = compiled.expect("it compiles").bytes;
    let photo = bench.photo(&bench.images[0]);
    let report = bench.compare(&file, &photo.picture());
    // The device says by itself that it runs another file; the layer says which bit.
    assert_eq!(report.verdict, Verdict::ModelDiffers);
    let fault = &report.faults[1];
    assert_eq!(report.rungs[fault.rung].name, name);
    let cause = &fault.causes[0];
    assert_eq!(cause.kind, Kind::WeightBit, "{cause:?}");
    let wanted = format!("bit 6 of weight {index} ");
    assert!(cause.text.contains(&wanted), "{cause:?}");
}

#[test]
fn a_stale_picture_is_named() {
    let bench = Bench::new(4);
    let previous = bench.photo(&bench.images[1]);
    let report = bench.compare(bench.right_file(), &previous.picture());
    assert_eq!(report.verdict, Verdict::PreprocessingDiffers);
    let cause = &report.faults[0].causes[0];
    assert_eq!(cause.kind, Kind::StaleBuffer, "{cause:?}");
    assert!(cause.text.contains("previous picture"), "{cause:?}");
}

#[test]
fn swapped_channels_are_named() {
    for (wrong, kind) in [
        (Wrong::Bgr, Kind::ChannelOrder),
        (Wrong::ByteSwap { widen: true }, Kind::ByteSwap),
    ] {
        let bench = Bench::new(5);
        let shape = bench.network.intake().shape;
        let swapped = pixels(&bench.images[0], shape, wrong);
        let photo = bench.photo(&swapped);
        let report = bench.compare(bench.right_file(), &photo.picture());
        assert_eq!(report.verdict, Verdict::PreprocessingDiffers);
        let cause = &report.faults[0].causes[0];
        assert_eq!(cause.kind, kind, "{cause:?}");
    }
}
