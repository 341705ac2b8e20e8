//! What the emulated OLED shows.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use foveola_tests::root;

use super::board::available;
use super::display::{failure, shown};

/// Panel pixels are drawn by QEMU as squares of 4 x 4.
const ZOOM: usize = 4;

/// Waits until `ready`, at most a minute.
fn wait_for(what: &str, mut ready: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !ready() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "{what} does not come"
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Grey 0 to 15 of every panel pixel in a PPM of 512 x 256.
fn greys(ppm: &[u8]) -> Vec<u8> {
    let (w, h) = (128 * ZOOM, 64 * ZOOM);
    let pixels = &ppm[ppm.len() - 3 * w * h..];
    let pixel = |x: usize, y: usize| pixels[3 * (y * ZOOM * w + x * ZOOM)];
    let all = (0..64).flat_map(|y| (0..128).map(move |x| (x, y)));
    all.map(|(x, y)| pixel(x, y) >> 4).collect()
}

/// Runs a job that ends with `last`, looks at the panel then, and answers the
/// exit code and the greys.
fn panel(at: &Path, job: &str, last: &str) -> (i32, Vec<u8>) {
    std::fs::write(at.join("job.txt"), job).expect("a file");
    let mut board = Command::new(root().join("firmware/run.sh"))
        .arg("lm3s6965evb")
        .arg(at)
        .env("FOVEOLA_MONITOR", "unix:monitor,server=on,wait=off")
        .env_remove("FOVEOLA_MODEL")
        .stdout(Stdio::null())
        .spawn()
        .expect("run.sh runs");
    let answer = || std::fs::read_to_string(at.join("answer.txt")).unwrap_or_default();
    wait_for("the answer", || answer().contains(last));
    // What is drawn after the last line of the answer.
    std::thread::sleep(Duration::from_millis(500));
    let mut monitor = UnixStream::connect(at.join("monitor")).expect("the monitor");
    monitor
        .write_all(b"screendump panel.ppm\n")
        .expect("it listens");
    let length = 3 * 512 * 256;
    let written = || std::fs::metadata(at.join("panel.ppm")).is_ok_and(|m| m.len() > length);
    wait_for("the picture", written);
    let code = board.wait().expect("it ends").code().expect("a code");
    (
        code,
        greys(&std::fs::read(at.join("panel.ppm")).expect("the picture")),
    )
}

/// FAIL and the reason with its numbers.
#[test]
fn a_failure_on_the_oled() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("p.bin"), [9; 7 * 6 * 3]).expect("a file");
    let job = "picture=p.bin\nshow=4000\narena=1680\n";
    let (code, greys) = panel(folder.path(), job, "error=");
    assert_eq!(code, 1);
    let white: Vec<bool> = greys.iter().map(|grey| *grey == 15).collect();
    let wanted = failure("the arena is too small: 1696 bytes needed, 1680 there");
    assert!(white == wanted, "{}", shown(&white));
}

/// The HOC map (layers 0 to 2) over the picture: (grey + 2 heat) / 3, 4 bits of
/// it; beside it, letters.
#[test]
fn a_map_on_the_oled() {
    if !available() {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let at = |name: &str| folder.path().join(name);
    let data: Vec<u8> = (0..7 * 6 * 3).map(|i| (i * 37 % 256) as u8).collect();
    std::fs::write(at("p.bin"), &data).expect("a file");
    let method = "hoc:windows=5/3,strides=1/1,baseline=black,threshold=0.1";
    let job = format!("picture=p.bin\nshow=4000\nmethod={method}\n");
    let (code, shown) = panel(folder.path(), &job, "done=1");
    assert_eq!(code, 0);
    let map = std::fs::read(at("map0.bin")).expect("the map");
    let map: Vec<f32> = map
        .as_chunks()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    let high = map.iter().copied().fold(0.0, f32::max);
    let low = map.iter().copied().fold(f32::INFINITY, f32::min);
    for (i, (value, pixel)) in map.iter().zip(data.chunks_exact(3)).enumerate() {
        let grey = pixel.iter().map(|v| u32::from(*v)).sum::<u32>() / 3;
        let heat = ((value - low) / (high - low) * 255.0).round() as u32;
        let wanted = (grey + 2 * heat) / 3 / 16;
        let found = shown[i / 6 * 128 + i % 6];
        assert_eq!(u32::from(found), wanted, "pixel {i}");
    }
    let white = shown.iter().skip(8).filter(|v| **v == 15).count();
    assert!(
        (60..600).contains(&white),
        "{white} white pixels of letters"
    );
}
