//! Ada, whose key [`PASSWORD`] protects before the test begins.

use crate::device::{Dealt, Device, PASSWORD};
use crate::lab::{Lab, no_waits};

/// By one site with one share, and no waiting between guesses.
pub(crate) async fn by_one_site() -> (Lab, Device, Dealt) {
    in_lab(Lab::single(no_waits()).await).await
}

/// By five sites, of which three are needed, and no waiting between guesses.
pub(crate) async fn by_five_sites() -> (Lab, Device, Dealt) {
    in_lab(Lab::five(no_waits()).await).await
}

/// By the sites of this lab.
pub(crate) async fn in_lab(lab: Lab) -> (Lab, Device, Dealt) {
    let ada = Device::of(&lab, "ada");
    let dealt = ada.protect(&lab, PASSWORD).await;
    (lab, ada, dealt)
}
