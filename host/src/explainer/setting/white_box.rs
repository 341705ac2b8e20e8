//! The methods that look inside, with what they borrow.

use std::path::Path;

use foveola_core::Shape;
use foveola_core::explain::{
    AblationCam, Cam, EigenCam, GradCamPlusPlus, GuidedGradCam, HiResCam, LayerCam, Method, Noise,
    ReciproCam, ScoreCam, SmoothGrad, SquareGrad, VarGrad, XGradCam,
};

use super::Setting;
use crate::method_spec::LayerMethod;
use crate::photo::{PhotoError, read, read_noise};

impl Setting {
    /// Hands the method that adds noise to `work`.
    pub(super) fn with_noise<R>(
        &self,
        samples: u32,
        share: f32,
        work: impl FnOnce(&dyn Method) -> R,
    ) -> R {
        let noise = Noise {
            samples,
            share,
            stored: self.noise.as_deref(),
        };
        match self.spec.row.name {
            "var-grad" => work(&VarGrad { noise }),
            "square-grad" => work(&SquareGrad { noise }),
            _ => work(&SmoothGrad { noise }),
        }
    }

    /// Hands the method on a layer to `work`.
    pub(super) fn with_layer_method<R>(
        &self,
        kind: LayerMethod,
        work: impl FnOnce(&dyn Method) -> R,
    ) -> R {
        let layer = self.layer;
        match kind {
            LayerMethod::Cam => work(&Cam { layer }),
            LayerMethod::PlusPlus { relu, epsilon } => work(&GradCamPlusPlus {
                layer,
                relu,
                epsilon,
            }),
            LayerMethod::HiRes { relu } => work(&HiResCam { layer, relu }),
            LayerMethod::XGrad { relu } => work(&XGradCam { layer, relu }),
            LayerMethod::Layer { relu } => work(&LayerCam { layer, relu }),
            LayerMethod::Guided { nearest } => work(&GuidedGradCam { layer, nearest }),
            LayerMethod::Eigen { centred, sign } => work(&EigenCam {
                layer,
                centred,
                sign,
            }),
            LayerMethod::Score {
                relu,
                corners,
                constant,
                ..
            } => work(&ScoreCam {
                layer,
                relu,
                fill: self.fill(),
                corners,
                constant,
            }),
            LayerMethod::Ablation { relu } => work(&AblationCam { layer, relu }),
            LayerMethod::Recipro => work(&ReciproCam { layer }),
        }
    }
}

/// Stored noise, HWC; the inner error says why it does not fit the picture.
pub(super) fn noise(path: &Path, shape: Shape) -> Result<Result<Vec<f32>, String>, PhotoError> {
    let noise = read_noise(&read(path)?).map_err(|reason| PhotoError::Decode {
        path: path.to_path_buf(),
        reason,
    })?;
    let (n, c, h, w) = noise.dim();
    Ok(match (h, w, c) == (shape.h, shape.w, shape.c) && n > 0 {
        true => {
            let order = noise.permuted_axes([0, 2, 3, 1]);
            Ok(order.iter().copied().collect())
        }
        false => Err(format!(
            "its noise is {n} x {c}x{h}x{w}, the picture is {}x{}x{}",
            shape.c, shape.h, shape.w
        )),
    })
}
