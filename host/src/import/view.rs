//! How an ONNX value lies in one of our tensors.
//!
//! ONNX reshapes and transposes freely; our tensors are always height, width,
//! channels. A [`View`] says which part of which axis each ONNX dimension
//! runs over, so that Flatten, Reshape, Transpose, Squeeze and Unsqueeze only
//! change the view. The batch of 1 takes part in nothing.

use foveola_core::{Shape, TensorId};

pub(super) const H: usize = 0;
pub(super) const W: usize = 1;
pub(super) const C: usize = 2;

/// Length of an axis.
pub(super) fn axis_len(shape: Shape, axis: usize) -> usize {
    [shape.h, shape.w, shape.c][axis]
}

/// `size` steps of `stride` elements along an axis. Never of size 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Factor {
    pub axis: usize,
    pub size: usize,
    pub stride: usize,
}

/// An ONNX value: its tensor, and for every ONNX dimension the factors that
/// it runs over, outermost first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub tensor: TensorId,
    pub dims: Vec<Vec<Factor>>,
}

/// A whole axis as a dimension.
pub(super) fn whole(axis: usize, size: usize) -> Vec<Factor> {
    if size == 1 {
        return vec![];
    }
    vec![Factor {
        axis,
        size,
        stride: 1,
    }]
}

fn size_of(dim: &[Factor]) -> usize {
    dim.iter().map(|f| f.size).product()
}

impl View {
    /// The axes in the given order, after the batch.
    pub fn of_axes(tensor: TensorId, shape: Shape, axes: &[usize]) -> Self {
        let mut dims = vec![vec![]];
        dims.extend(axes.iter().map(|&a| whole(a, axis_len(shape, a))));
        Self { tensor, dims }
    }

    /// Batch, channels, height, width.
    pub fn nchw(tensor: TensorId, shape: Shape) -> Self {
        Self::of_axes(tensor, shape, &[C, H, W])
    }

    /// ONNX dimensions.
    pub fn sizes(&self) -> Vec<usize> {
        self.dims.iter().map(|d| size_of(d)).collect()
    }

    /// The same arrangement over another tensor of the same shape.
    pub fn over(&self, tensor: TensorId) -> Self {
        Self {
            tensor,
            dims: self.dims.clone(),
        }
    }

    /// The same elements under other dimensions; `None` where a boundary of
    /// the new dimensions falls within a factor that it does not divide.
    pub fn reshape(&self, sizes: &[usize]) -> Option<Self> {
        // A stack with the outermost factor on top.
        let mut rest: Vec<Factor> = self.dims.iter().flatten().rev().copied().collect();
        let mut dims = Vec::with_capacity(sizes.len());
        for &size in sizes {
            dims.push(take_dimension(&mut rest, size)?);
        }
        rest.is_empty().then_some(Self {
            tensor: self.tensor,
            dims,
        })
    }

    /// Dimensions in another order; `None` if `order` is no permutation.
    pub fn transpose(&self, order: &[usize]) -> Option<Self> {
        let mut seen = vec![false; self.dims.len()];
        if order.len() != seen.len() {
            return None;
        }
        let mut dims = Vec::with_capacity(order.len());
        for &from in order {
            if std::mem::replace(seen.get_mut(from)?, true) {
                return None;
            }
            dims.push(self.dims[from].clone());
        }
        Some(Self {
            tensor: self.tensor,
            dims,
        })
    }

    /// Whether every factor is a whole axis of a tensor of this shape.
    pub fn is_whole(&self, shape: Shape) -> bool {
        self.dims
            .iter()
            .flatten()
            .all(|f| f.stride == 1 && f.size == axis_len(shape, f.axis))
    }

    /// Whether the dimensions are batch, channels, height, width.
    pub fn is_nchw(&self) -> bool {
        self.has_roles(&[C, H, W])
    }

    fn has_roles(&self, axes: &[usize]) -> bool {
        self.dims.len() == axes.len() + 1
            && self.dims[0].is_empty()
            && self.dims[1..]
                .iter()
                .zip(axes)
                .all(|(d, &a)| d.is_empty() || matches!(d[..], [f] if f.axis == a && f.stride == 1))
    }

    /// The axis that a dimension runs over. For a dimension of size 1 it
    /// follows from the place among the others.
    pub fn axis_of(&self, dim: usize) -> Option<usize> {
        match self.dims.get(dim)?[..] {
            [f] => return Some(f.axis),
            [] => {}
            _ => return None,
        }
        let layouts: [&[usize]; 4] = [&[C, H, W], &[H, W, C], &[H, W], &[C]];
        layouts
            .iter()
            .find(|axes| self.has_roles(axes))
            .and_then(|axes| axes.get(dim.checked_sub(1)?).copied())
    }

    /// The view with dimensions of size 1 in front, up to `rank`.
    pub fn with_rank(&self, rank: usize) -> Self {
        let mut dims = vec![vec![]; rank.saturating_sub(self.dims.len())];
        dims.extend(self.dims.iter().cloned());
        Self {
            tensor: self.tensor,
            dims,
        }
    }

    /// Groups of a channel shuffle, if one dimension runs over the channels
    /// transposed as `groups` rows: its outer factor steps by 1, its inner by
    /// `C / groups`.
    pub fn shuffled_groups(&self, shape: Shape) -> Option<usize> {
        let [outer, inner] = self.dims.iter().find(|d| d.len() == 2)?[..] else {
            return None;
        };
        let shuffled = outer.axis == C
            && inner.axis == C
            && outer.stride == 1
            && inner.stride == outer.size
            && outer.size * inner.size == shape.c;
        shuffled.then_some(inner.size)
    }

    /// This view with the shuffled dimension replaced by the plain channels of
    /// `tensor`, which holds them shuffled.
    pub fn unshuffled(&self, tensor: TensorId, shape: Shape) -> Self {
        let mut view = self.over(tensor);
        for dim in view.dims.iter_mut().filter(|d| d.len() == 2) {
            *dim = whole(C, shape.c);
        }
        view
    }
}

/// Takes factors for one dimension of `size` off the stack.
fn take_dimension(rest: &mut Vec<Factor>, size: usize) -> Option<Vec<Factor>> {
    let mut dim: Vec<Factor> = vec![];
    let mut need = size;
    while need > 1 {
        let top = rest.pop()?;
        let part = if need.is_multiple_of(top.size) {
            top
        } else if top.size.is_multiple_of(need) {
            let inner = top.size / need;
            rest.push(Factor { size: inner, ..top });
            Factor {
                axis: top.axis,
                size: need,
                stride: top.stride * inner,
            }
        } else {
            return None;
        };
        need /= part.size;
        push_joined(&mut dim, part);
    }
    (need == 1).then_some(dim)
}

/// Appends a factor, joined with the one before it where both are one run.
fn push_joined(dim: &mut Vec<Factor>, part: Factor) {
    if let Some(last) = dim.last_mut()
        && last.axis == part.axis
        && last.stride == part.stride * part.size
    {
        last.size *= part.size;
        last.stride = part.stride;
        return;
    }
    dim.push(part);
}

/// Distance in ONNX order between neighbours along each axis, for one
/// dimension of whole axes whose own neighbours are `unit` apart. Axes that
/// the dimension does not run over get 0.
pub(super) fn axis_strides(dim: &[Factor], unit: usize) -> [usize; 3] {
    let mut strides = [0; 3];
    let mut step = unit;
    for factor in dim.iter().rev() {
        strides[factor.axis] = step;
        step *= factor.size;
    }
    strides
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape::new(4, 5, 6);

    /// Element order of a view, as indices into the HWC tensor, by definition.
    fn order(view: &View, shape: Shape) -> Vec<usize> {
        let unit = [shape.w * shape.c, shape.c, 1];
        let mut all = vec![0];
        for f in view.dims.iter().flatten() {
            all = all
                .iter()
                .flat_map(|&at| (0..f.size).map(move |i| at + i * f.stride * unit[f.axis]))
                .collect();
        }
        all
    }

    #[test]
    fn reshape_and_transpose_shuffle_channels() {
        let view = View::nchw(TensorId(0), SHAPE);
        let split = view.reshape(&[1, 2, 3, 4, 5]).unwrap();
        assert_eq!(order(&split, SHAPE), order(&view, SHAPE));
        let turned = split.transpose(&[0, 2, 1, 3, 4]).unwrap();
        let back = turned.reshape(&[1, 6, 4, 5]).unwrap();
        assert_eq!(back.shuffled_groups(SHAPE), Some(2));
        // Channel g * 3 + i of the source is channel i * 2 + g of the result.
        let first_pixel: Vec<usize> = order(&back, SHAPE).into_iter().step_by(20).collect();
        assert_eq!(first_pixel, [0, 3, 1, 4, 2, 5]);
    }

    #[test]
    fn flatten_runs_over_channels_rows_columns() {
        let view = View::nchw(TensorId(0), SHAPE).reshape(&[1, 120]).unwrap();
        let strides = axis_strides(&view.dims[1], 1);
        assert_eq!(strides, [5, 1, 20]);
        assert!(view.is_whole(SHAPE));
        assert_eq!(order(&view, SHAPE)[..3], [0, 6, 12]);
    }

    #[test]
    fn odd_boundaries_are_refused() {
        let view = View::nchw(TensorId(0), SHAPE);
        assert!(view.reshape(&[1, 4, 30]).is_none());
        assert!(view.reshape(&[1, 7]).is_none());
        assert!(view.transpose(&[0, 1, 1, 2]).is_none());
        assert!(view.transpose(&[0, 1, 2, 9]).is_none());
    }

    #[test]
    fn place_tells_the_axis_of_a_single_row() {
        let gray = View::nchw(TensorId(0), Shape::new(4, 5, 1));
        assert_eq!(gray.axis_of(1), Some(C));
        let last = View::of_axes(TensorId(0), Shape::new(1, 5, 6), &[H, W, C]);
        assert_eq!(last.axis_of(1), Some(H));
        assert_eq!(last.axis_of(0), None);
    }
}
