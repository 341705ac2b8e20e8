//! Programs of boards to hold in the hand: nothing here runs one. They are
//! linked; their images are read as the chips' boot loaders read them, and held
//! against the sizes in the datasheets.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use foveola_tests::elf::Program;
use foveola_tests::root;
use object::elf::{FileHeader32, PT_LOAD};
use object::read::elf::{FileHeader, ProgramHeader};
use object::{File, LittleEndian, Object, ObjectSection, ObjectSymbol};

/// Bytes of stack that every method needs, with a third to spare.
const STACK: u64 = 16 << 10;

/// Bytes of RP2350's flash on a Raspberry Pi Pico 2, and of the SRAM in the chip
/// (RP2350 datasheet, section 2.2).
const FLASH: Range<u64> = 0x1000_0000..0x1040_0000;
const SRAM: Range<u64> = 0x2000_0000..0x2008_2000;

/// Where ESP32-C3 sees flash as constants and as code, and its SRAM as data and as
/// code, less what its boot loader keeps (its technical reference manual, chapter 3).
const DROM: Range<u64> = 0x3c00_0000..0x3c40_0000;
const IROM: Range<u64> = 0x4200_0000..0x4240_0000;
const DRAM: Range<u64> = 0x3fc8_0000..0x3fcc_e400;
const IRAM: Range<u64> = 0x4038_0000..0x403c_e400;

/// Functions that every ESP32-C3 brings along.
const ROM: Range<u64> = 0x4000_0000..0x4006_0000;

/// Bytes that the cache maps to an address at once.
const PAGE: u64 = 0x1_0000;

/// Whether a target can be built for. Where `CI` is set it must be.
fn available(target: &str) -> bool {
    let said = Command::new("rustc").args(["--print", "sysroot"]).output();
    let sysroot = said.expect("rustc runs").stdout;
    let sysroot = String::from_utf8(sysroot).expect("a path");
    let there = Path::new(sysroot.trim()).join("lib/rustlib").join(target);
    let there = there.is_dir();
    assert!(
        there || std::env::var_os("CI").is_none(),
        "CI is set and a target is missing: rustup target add {target}"
    );
    if !there {
        println!("skipped: target {target} is not there");
    }
    there
}

/// Runs cargo in a folder of the firmware.
fn cargo(folder: &str, arguments: &[&str]) {
    let status = Command::new("cargo")
        .args(arguments)
        .current_dir(root().join("firmware").join(folder))
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("FOVEOLA_MODEL")
        .env_remove("RUSTFLAGS")
        .status();
    assert!(status.expect("cargo runs").success(), "cargo in {folder}");
}

/// The program of a chip, as `cargo run --release` flashes it.
fn build(chip: &str, target: &str) -> (PathBuf, Vec<u8>) {
    cargo(chip, &["build", "--locked", "--quiet", "--release"]);
    let built = root().join("firmware").join(chip);
    let elf = built.join(format!("target/{target}/release/{chip}"));
    let bytes = std::fs::read(&elf).expect("the program");
    (elf, bytes)
}

fn symbol(file: &File<'_>, name: &str) -> u64 {
    let mut all = file.symbols();
    let found = all.find(|symbol| symbol.name() == Ok(name));
    found.unwrap_or_else(|| panic!("no {name}")).address()
}

fn inside(outer: &Range<u64>, inner: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// What is loaded: where it lies in memory, and where it is loaded from.
fn segments(elf: &[u8]) -> Vec<(Range<u64>, Range<u64>)> {
    let file = FileHeader32::<LittleEndian>::parse(elf).expect("an ELF file");
    let headers = file.program_headers(LittleEndian, elf).expect("segments");
    let loaded = headers.iter().filter(|h| h.p_type(LittleEndian) == PT_LOAD);
    let [place, from]: [fn(u64, u64) -> Range<u64>; 2] = [|a, n| a..a + n; 2];
    loaded
        .map(|h| {
            let [vaddr, paddr, memsz, filesz] = [
                h.p_vaddr(LittleEndian),
                h.p_paddr(LittleEndian),
                h.p_memsz(LittleEndian),
                h.p_filesz(LittleEndian),
            ]
            .map(u64::from);
            (place(vaddr, memsz), from(paddr, filesz))
        })
        .collect()
}

/// What flash holds from an address on, section by section: those of flash where
/// they are, `.data` where the program copies it from.
fn flash_of(file: &File<'_>, flash: &Range<u64>) -> Vec<u8> {
    let mut all: Vec<u8> = Vec::new();
    for section in file.sections() {
        let bytes = section.data().expect("its bytes");
        let name = section.name().expect("its name");
        let start = match name {
            ".data" => symbol(file, "__sidata"),
            _ => section.address(),
        };
        let is_loaded = !bytes.is_empty() && flash.contains(&start);
        if is_loaded {
            let start = (start - flash.start) as usize;
            all.resize(all.len().max(start + bytes.len()), 0);
            all[start..start + bytes.len()].copy_from_slice(bytes);
        }
    }
    all
}

fn words(bytes: &[u8]) -> Vec<u32> {
    let (words, _) = bytes.as_chunks();
    words.iter().map(|word| u32::from_le_bytes(*word)).collect()
}

/// The RP2350: the boot ROM finds a program, and the program finds its handlers.
#[test]
fn rp2350() {
    const TARGET: &str = "thumbv8m.main-none-eabihf";
    if !available(TARGET) {
        return;
    }
    let (path, elf) = build("rp2350", TARGET);
    let file = File::parse(elf.as_slice()).expect("an ELF file");
    for (place, from) in segments(&elf) {
        let is_bare = from.is_empty();
        assert!(is_bare || inside(&FLASH, &from), "loaded from {from:x?}");
        let is_there = inside(&FLASH, &place) || inside(&SRAM, &place);
        assert!(is_there, "lies at {place:x?}");
    }
    let flash = flash_of(&file, &FLASH);
    let vectors = words(&flash[..4 * (16 + 52)]);
    assert_eq!(u64::from(vectors[0]), SRAM.end, "the stack's top");
    let handler = |name| symbol(&file, name) as u32 | 1;
    assert_eq!(vectors[1], handler("Reset"));
    assert_eq!(vectors[15], handler("SysTick"));
    assert_eq!(vectors[16 + 33], handler("DefaultHandler"), "UART0_IRQ");
    // The smallest IMAGE_DEF of an Arm program in the secure state, as the
    // datasheet prints it (section 5.9.5.1), within the first 4 KB.
    let image_def = [0xffff_ded3, 0x1021_0142, 0x0000_01ff, 0, 0xab12_3579];
    let first = words(&flash[..4096]);
    assert!(
        first.windows(5).any(|five| five == image_def),
        "no IMAGE_DEF"
    );
    let room = SRAM.end - symbol(&file, "__sheap");
    assert!(room >= STACK, "{room} bytes of stack");
    println!("rp2350: {} bytes of flash, {room} of stack", flash.len());
    blocks_of_uf2(&path, &flash);
    super::elf::no_surprises("rp2350", &Program::read(&elf));
}

/// What the USB boot loader gets is what flash should hold.
fn blocks_of_uf2(elf: &Path, flash: &[u8]) {
    let folder = tempfile::TempDir::new().expect("a folder");
    let uf2 = folder.path().join("rp2350.uf2");
    let [from, to] = [elf, &uf2].map(|path| path.to_str().expect("a path"));
    let run = ["run", "--locked", "--quiet", "-p", "uf2", "--", from, to];
    cargo("", &run);
    let file = std::fs::read(&uf2).expect("the file");
    let (blocks, rest) = file.as_chunks::<512>();
    assert!(rest.is_empty());
    let mut written: Vec<u8> = Vec::new();
    for (number, block) in blocks.iter().enumerate() {
        let head = words(&block[..32]);
        let address = FLASH.start as u32 + written.len() as u32;
        // First magic, second magic, flags, address, bytes, number, count, family.
        let (number, count) = (number as u32, blocks.len() as u32);
        let want = [
            0x0a32_4655,
            0x9e5d_5157,
            0x2000,
            address,
            256,
            number,
            count,
            0xe48b_ff59,
        ];
        assert_eq!(head, want, "block {number}");
        assert_eq!(words(&block[508..]), [0x0ab1_6f30]);
        assert!(block[32 + 256..508].iter().all(|byte| *byte == 0));
        written.extend(&block[32..32 + 256]);
    }
    assert!(written.len().is_multiple_of(4096), "a part of a sector");
    let (program, behind) = written.split_at(flash.len());
    assert_eq!(program, flash);
    assert!(behind.len() < 4096 && behind.iter().all(|byte| *byte == 0));
}

/// The ESP32-C3: the boot loader finds a description, maps flash, copies to RAM.
#[test]
fn esp32c3() {
    const TARGET: &str = "riscv32imc-unknown-none-elf";
    if !available(TARGET) {
        return;
    }
    let (_, elf) = build("esp32c3", TARGET);
    let file = File::parse(elf.as_slice()).expect("an ELF file");
    let mut bytes = 0;
    for (place, from) in segments(&elf) {
        let regions = [&DROM, &IROM, &DRAM, &IRAM];
        let is_there = regions.iter().any(|region| inside(region, &place));
        assert!(is_there || place.is_empty(), "lies at {place:x?}");
        bytes += from.end - from.start;
    }
    // The application's partition, of 4 MB less boot loader and partition table.
    assert!(bytes <= (4 << 20) - PAGE, "{bytes} bytes of flash");
    let section = |name| {
        file.section_by_name(name)
            .unwrap_or_else(|| panic!("no {name}"))
    };
    let range = |name| {
        let section = section(name);
        section.address()..section.address() + section.size()
    };
    let description = section(".flash.appdesc");
    assert_eq!(
        description.address(),
        DROM.start + 0x20,
        "first in the image"
    );
    let description = description.data().expect("its bytes");
    assert_eq!(description.len(), 256);
    assert_eq!(
        words(description)[0],
        0xabcd_5432,
        "esp_app_desc_t's magic word"
    );
    assert!(description[48..].starts_with(b"foveola-esp32c3\0"));
    assert!(IROM.contains(&file.entry()));
    // One page of flash is mapped as constants or as code, never both.
    let (constants, code) = (
        range(".rodata").end - DROM.start,
        range(".text").start - IROM.start,
    );
    assert!((constants - 1) / PAGE < code / PAGE);
    // Code in RAM and data are the same bytes at two addresses.
    let code = range(".rwtext").end.max(range(".trap").end) - IRAM.start;
    assert!(code <= range(".data").start - DRAM.start);
    let room = symbol(&file, "_stack_start") - symbol(&file, "__sheap");
    assert!(room >= STACK, "{room} bytes of stack");
    println!("esp32c3: {bytes} bytes of flash, {room} of stack");
    super::elf::no_surprises("esp32c3", &Program::read_beside(&elf, &ROM));
}
