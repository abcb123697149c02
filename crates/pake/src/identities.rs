//! What a registration and its logins must agree on besides the password.

use crate::PakeError;

/// RFC 9807's identities and context: opaque bytes here, at most 65535 each. The protocol puts every length before its
/// field, so that no byte can move from one to the next.
#[derive(Debug, Clone, Copy)]
pub struct Identities<'a> {
    /// `client_identity`: who the password is of. Under the envelope's MAC.
    pub client: &'a [u8],
    /// `server_identity`: who it is escrowed with. Under the envelope's MAC.
    pub server: &'a [u8],
    /// `context`: in every login's transcript, not in the envelope.
    pub context: &'a [u8],
}

impl<'a> Identities<'a> {
    pub(crate) fn check(&self) -> Result<(), PakeError> {
        [self.client, self.server, self.context].into_iter().try_for_each(check_length)
    }

    pub(crate) const fn identifiers(&self) -> opaque_ke::Identifiers<'a> {
        opaque_ke::Identifiers { client: Some(self.client), server: Some(self.server) }
    }
}

pub(crate) fn check_length(field: &[u8]) -> Result<(), PakeError> {
    if field.len() > usize::from(u16::MAX) { Err(PakeError::TooLong) } else { Ok(()) }
}
