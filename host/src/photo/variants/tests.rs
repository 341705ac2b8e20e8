use super::pixels::{covered, through_565};
use super::*;
use crate::card::OutputActivation;
use crate::graph::Layout;
use crate::photo::Photo;

fn card(channels: Channels) -> Card {
    Card {
        size: [6, 5],
        resize: Resize::Crop,
        channels,
        mean: vec![10.0, 20.0, 30.0],
        scale: vec![0.5, 0.25, 0.125],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}

fn photo() -> RgbImage {
    RgbImage::from_fn(13, 9, |x, y| {
        image::Rgb([(x * 19) as u8, (y * 28) as u8, (x * y * 2) as u8])
    })
}

/// The plain variant is what the rest of the program makes of a photo.
#[test]
fn the_cards_variant_is_the_photo_itself() {
    for channels in [Channels::Rgb, Channels::Bgr, Channels::Gray] {
        let card = card(channels);
        let intake = Intake {
            shape: Shape::new(6, 5, channels.count()),
            layout: Layout::Nchw,
            input_type: InputType::F32,
            card: &card,
        };
        let image = photo();
        let made = Photo::from_image(&image.clone().into(), &intake).unwrap();
        let foveola_core::Picture::Pixels { data, .. } = made.picture() else {
            panic!("a photo has pixels");
        };
        let mut preparation = Preparation::new(&image, intake).unwrap();
        let pixels = preparation.pixels(Colour::Card, Rule::Card, Order::Model);
        assert_eq!(pixels.as_slice(), data, "{channels:?}");
        let input = preparation.input(&Variant::CARD);
        let n = card.normalisation();
        let wanted = |i: usize| {
            let c = i % channels.count();
            (f32::from(data[i]) - n.mean[c]) * n.scale[c]
        };
        assert!((0..data.len()).all(|i| input[i] == wanted(i)));
    }
}

#[test]
fn the_fewest_changes_come_first_and_all_have_words() {
    let card = card(Channels::Rgb);
    let all = variants(&card);
    assert_eq!(all[0], Variant::CARD);
    assert!(all.is_sorted_by_key(Variant::count));
    assert!(all.iter().all(|v| v.changes(&card).len() == v.count()));
    assert_eq!(all.len(), 9 * 10 * 5 * 12);
}

/// Pure red is 0xF800; its bytes swapped, 0x00F8, are green 7 and blue 24.
#[test]
fn swapped_bytes_of_rgb565() {
    let red = [255, 0, 0];
    assert_eq!(through_565(red, true, Widening::Zeros), [0, 28, 192]);
    assert_eq!(through_565(red, false, Widening::Zeros), [248, 0, 0]);
    assert_eq!(through_565(red, false, Widening::Repeated), [255, 0, 0]);
    assert_eq!(through_565(red, false, Widening::Scaled), [255, 0, 0]);
}

#[test]
fn an_area_is_covered_once() {
    for (from, to) in [(13, 5), (5, 13), (96, 96), (7, 1)] {
        for i in 0..to {
            let sum: f64 = covered(i, from, to).iter().map(|(_, share)| share).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{from} {to} {i}");
        }
    }
}
