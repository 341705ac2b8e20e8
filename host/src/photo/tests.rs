use super::*;
use ndarray::{Array, IxDyn};
use ndarray_npy::WriteNpyExt;

fn card(channels: Channels) -> Card {
    Card {
        size: [2, 3],
        resize: Resize::Squash,
        channels,
        mean: vec![0.0; channels.count()],
        scale: vec![1.0; channels.count()],
        activation: OutputActivation::None,
        labels: Vec::new(),
    }
}

fn intake(card: &Card, layout: Layout, input_type: InputType) -> Intake<'_> {
    Intake {
        shape: Shape::new(2, 3, card.channels.count()),
        layout,
        input_type,
        card,
    }
}

fn npy<T: ndarray_npy::WritableElement + Clone>(shape: &[usize], values: Vec<T>) -> Vec<u8> {
    let array = Array::from_shape_vec(IxDyn(shape), values).unwrap();
    let mut bytes = Vec::new();
    array.write_npy(&mut bytes).unwrap();
    bytes
}

fn png(image: &RgbImage) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    image.write_to(&mut bytes, image::ImageFormat::Png).unwrap();
    bytes.into_inner()
}

fn value(photo: &Photo, y: usize, x: usize, c: usize) -> f32 {
    photo.picture().value(y, x, c).unwrap()
}

#[test]
fn channel_order_follows_the_card_and_the_display_does_not() {
    let image = RgbImage::from_pixel(3, 2, Rgb([1, 2, 3]));
    let bytes = png(&image);
    for (channels, first) in [(Channels::Rgb, 1.0), (Channels::Bgr, 3.0)] {
        let card = card(channels);
        let intake = intake(&card, Layout::Nchw, InputType::F32);
        let photo = Photo::from_bytes(&bytes, Path::new("x"), &intake).unwrap();
        assert_eq!(value(&photo, 1, 2, 0), first);
        assert_eq!(photo.display().get_pixel(2, 1), &Rgb([1, 2, 3]));
    }
}

#[test]
fn grey_is_luma() {
    let bytes = png(&RgbImage::from_pixel(3, 2, Rgb([255, 0, 0])));
    let card = card(Channels::Gray);
    let intake = intake(&card, Layout::Nchw, InputType::F32);
    let photo = Photo::from_bytes(&bytes, Path::new("x"), &intake).unwrap();
    // 0.299 * 255 = 76.2
    assert_eq!(value(&photo, 0, 0, 0), 76.0);
}

#[test]
fn exif_orientation_turns_the_photo() {
    let mut image = RgbImage::from_pixel(3, 2, Rgb([0; 3]));
    for y in 0..2 {
        image.put_pixel(0, y, Rgb([255; 3]));
    }
    let mut jpeg = std::io::Cursor::new(Vec::new());
    image.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
    let jpeg = jpeg.into_inner();
    // An APP1 segment with one tag: orientation (0x0112), SHORT, 1, value 6 (turn right).
    let exif =
        b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
    let image = decode(&turned).unwrap();
    assert_eq!((image.width(), image.height()), (2, 3));
    assert!(image.to_luma8().get_pixel(0, 0).0[0] > 128);
    assert!(image.to_luma8().get_pixel(0, 2).0[0] < 128);
}

#[test]
fn tensors_come_in_the_models_layout() {
    let card = card(Channels::Rgb);
    let values: Vec<f32> = (0..18).map(|v| v as f32).collect();
    let nchw = intake(&card, Layout::Nchw, InputType::F32);
    for shape in [&[3, 2, 3][..], &[1, 3, 2, 3]] {
        let bytes = npy(shape, values.clone());
        let photo = Photo::from_bytes(&bytes, Path::new("x"), &nchw).unwrap();
        assert_eq!(value(&photo, 1, 2, 1), 6.0 + 3.0 + 2.0);
        assert!(photo.is_tensor());
    }
    let nhwc = intake(&card, Layout::Nhwc, InputType::F32);
    let bytes = npy(&[2, 3, 3], values);
    let photo = Photo::from_bytes(&bytes, Path::new("x"), &nhwc).unwrap();
    assert_eq!(value(&photo, 1, 2, 1), 9.0 + 6.0 + 1.0);
}

#[test]
fn number_types_follow_the_model() {
    let card = card(Channels::Rgb);
    let signed = intake(&card, Layout::Nhwc, InputType::I8);
    let photo = Photo::from_bytes(&npy(&[2, 3, 3], vec![-7i8; 18]), Path::new("x"), &signed);
    assert_eq!(value(&photo.unwrap(), 0, 0, 0), -7.0);
    let whole = npy(&[2, 3, 3], vec![-128.0f32; 18]);
    let photo = Photo::from_bytes(&whole, Path::new("x"), &signed);
    assert_eq!(value(&photo.unwrap(), 0, 0, 0), -128.0);
    for other in [0.5, 128.0, f32::NAN] {
        let error = Photo::from_bytes(&npy(&[2, 3, 3], vec![other; 18]), Path::new("x"), &signed);
        assert!(error.unwrap_err().to_string().contains("8-bit integers"));
    }
    let float = intake(&card, Layout::Nhwc, InputType::F32);
    let photo = Photo::from_bytes(&npy(&[2, 3, 3], vec![0.5f64; 18]), Path::new("x"), &float);
    assert_eq!(value(&photo.unwrap(), 0, 0, 0), 0.5);
    let bits = npy(&[2, 3, 3], vec![half::f16::from_f32(-1.5).to_bits(); 18]);
    let mut half = bits;
    let at = half.windows(3).position(|w| w == b"<u2").unwrap();
    half[at + 1] = b'f';
    let photo = Photo::from_bytes(&half, Path::new("x"), &float).unwrap();
    assert_eq!(value(&photo, 1, 1, 1), -1.5);
}

#[test]
fn what_does_not_fit_says_why() {
    let card = card(Channels::Rgb);
    let intake = intake(&card, Layout::Nchw, InputType::F32);
    let cases = [
        (npy(&[2, 3, 3], vec![0.0f32; 18]), "(2, 3, 3)"),
        (npy(&[3, 2, 3], vec![0u8; 18]), "u1"),
        (npy(&[3, 2, 3], vec![f32::NAN; 18]), "NaN"),
        (b"\x93NUMPY".to_vec(), "header"),
        (Vec::new(), "empty"),
        (vec![7; 100], "neither PNG"),
        (b"\xff\xd8\xff\xe0random bytes".to_vec(), "not a picture"),
    ];
    for (bytes, part) in cases {
        let error = Photo::from_bytes(&bytes, Path::new("p.png"), &intake).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(part) && message.contains("p.png"),
            "{message}"
        );
    }
}

#[test]
fn masks_are_bytes_or_floats() {
    let masks = read_masks(&npy(&[1, 1, 3], vec![0u8, 51, 255])).unwrap();
    assert_eq!(masks.as_slice().unwrap(), [0.0, 0.2, 1.0]);
    assert!(read_masks(&npy(&[1, 3], vec![0u8; 3])).is_err());
    assert!(read_masks(&npy(&[1, 1, 1], vec![1.5f32])).is_err());
}
