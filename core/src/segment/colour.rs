//! Colours as CIE L*a*b*, where distance is what people see.

use super::Colours;

/// sRGB to linear light.
fn linear(byte: u8) -> f32 {
    let value = f32::from(byte) / 255.0;
    if value <= 0.040_45 {
        value / 12.92
    } else {
        libm::powf((value + 0.055) / 1.055, 2.4)
    }
}

/// CIE's cube root with its linear foot.
fn root(t: f32) -> f32 {
    if t > 0.008_856 {
        libm::cbrtf(t)
    } else {
        7.787 * t + 16.0 / 116.0
    }
}

/// One sRGB pixel as L*a*b* under D65 (IEC 61966-2-1 and CIE 15).
pub(super) fn lab([r, g, b]: [u8; 3]) -> [f32; 3] {
    let (r, g, b) = (linear(r), linear(g), linear(b));
    let x = root((0.412_453 * r + 0.357_58 * g + 0.180_423 * b) / 0.950_47);
    let y = root(0.212_671 * r + 0.715_16 * g + 0.072_169 * b);
    let z = root((0.019_334 * r + 0.119_193 * g + 0.950_227 * b) / 1.088_83);
    [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
}

/// All pixels, three numbers each, times `scale`.
pub(super) fn all(colours: &Colours<'_>, scale: f32, out: &mut [f32]) {
    let pixels = colours.data.chunks_exact(colours.shape.c.max(1));
    for (pixel, out) in pixels.zip(out.as_chunks_mut::<3>().0) {
        let rgb = match *pixel {
            [r, g, b] => [r, g, b],
            [grey, ..] => [grey; 3],
            [] => [0; 3],
        };
        *out = lab(rgb).map(|v| v * scale);
    }
}
