//! dbg
use foveola_core::net::{arch::Isa, model::*, session::Session};
use foveola_core::*;
use foveola_fuzz::aligned::Aligned;
fn main() {
    for path in std::env::args().skip(1) {
    println!("=== {path}");
    let b = std::fs::read(&path).unwrap();
    let mut al = Aligned::default();
    let bytes = al.copy(&b);
    let model = Model::from_bytes_unhashed(bytes).unwrap();
    println!("input {:?} logits {:?} probs {:?}", model.input_id(), model.score_id(Score::Logit), model.score_id(Score::Probability));
    for t in 0..model.tensor_count() as u16 { let t0 = model.tensor(TensorId(t)).unwrap(); print!("t{t} {:?} {} const={} ", t0.shape, if t0.quant.is_some() {"i8"} else {"f32"}, t0.constant.is_some());
      for p in model.passes() { let pl = model.plan(p).unwrap(); print!("| {:?} v{:?} g{:?}", p, pl.value(TensorId(t)), pl.gradient(TensorId(t))); } println!(); }
    for n in 0..model.node_count() { let v = model.node(n).unwrap(); println!("n{n} {:?} {:?} in {:?} out {:?} int={}", v.op, v.activation, v.inputs().collect::<Vec<_>>(), v.output, v.integers.is_some());
      for p in model.passes() { let pl = model.plan(p).unwrap(); println!("     {p:?} together {:?} keep {:?}", model.together(&pl, n), pl.keep(n)); } }
    let pic: Vec<f32> = (0..model.input().len()).map(|i| ((i * 37 % 101) as f32 - 50.0) * 0.05).collect();
    for pass in model.passes() {
        let mut outs: Vec<(Vec<(usize, usize, Vec<u32>)>, Vec<u32>)> = vec![];
        for (isa, fill, extra) in [(Isa::portable(), 0xffu8, 0usize), (Isa::portable(), 0x41, 0), (Isa::detect(), 0xff, 0), (Isa::portable(), 0xff, 4096), (Isa::detect(), 0x41, 4096)] {
            let need = model.plan(pass).unwrap().arena_len();
            let mut ar = Aligned::default();
            let arena = ar.first(need + extra); arena.fill(fill);
            let mut s = Session::new(&model, arena, isa).unwrap();
            let x = Masked::whole(Picture::Tensor { shape: model.input(), data: &pic });
            let mut taps = vec![];
            let mut tap = |n: usize, i: usize, v: Values<'_>| { taps.push((n, i, v.iter().map(|f| if f.is_nan() { 1 } else { f.to_bits() }).collect::<Vec<_>>())); Ok(()) };
            let mut g = vec![];
            let r = match pass { Pass::Forward => s.forward_tapped(&x, &mut tap), Pass::Backward(at) => s.run_tapped(&x, at, Rule::Gradient, &mut tap).and_then(|()| { for sc in [Score::Logit, Score::Probability] { g.extend(s.backward(&[(0, 1.0)], sc)?.iter().map(|f| f.to_bits())); } Ok(()) }), _ => Ok(()) };
            println!("{pass:?} {isa:?} {fill:x} {extra}: {r:?} taps {}", taps.len());
            outs.push((taps, g));
        }
        for (k, o) in outs.iter().enumerate().skip(1) {
            if let Some((a, b)) = outs[0].0.iter().zip(&o.0).find(|(a, b)| a != b) {
                let at = a.2.iter().zip(&b.2).position(|(x, y)| x != y);
                println!("  way {k} differs at node {} first {} element {at:?}: {:?} {:?}", a.0, a.1, at.map(|i| f32::from_bits(a.2[i])), at.map(|i| f32::from_bits(b.2[i])));
            }
            if outs[0].1 != o.1 { println!("  way {k} gradient differs {:?}", outs[0].1.iter().zip(&o.1).position(|(a,b)| a!=b)); }
        }
    } }
}
