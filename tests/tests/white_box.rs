//! The methods that look inside a network, held to Captum and grad-cam on
//! trained networks, and the passes that begin in the middle, to gradients.

mod white_box {
    mod golden;
    mod int8;
    mod replaced;
}
