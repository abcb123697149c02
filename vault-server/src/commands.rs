//! What the program can be asked to do, one file each.

pub(crate) mod ceremony;
pub(crate) mod check_config;
pub(crate) mod dev_token;
pub(crate) mod hsm;
pub(crate) mod openapi;
pub(crate) mod serve;
pub(crate) mod set_fence;
