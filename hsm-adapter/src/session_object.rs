//! Keys that live as long as one operation.

use std::cell::Cell;

use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;

/// A session object, destroyed when this is dropped, whatever came of the operation.
pub(crate) struct SessionObject<'s> {
    session: &'s Session,
    handle: ObjectHandle,
    leftover: &'s Cell<bool>,
}

impl<'s> SessionObject<'s> {
    /// `leftover` becomes true if the object cannot be destroyed: then the session has to be closed, which destroys it.
    pub(crate) const fn new(session: &'s Session, handle: ObjectHandle, leftover: &'s Cell<bool>) -> Self {
        Self { session, handle, leftover }
    }

    pub(crate) const fn handle(&self) -> ObjectHandle {
        self.handle
    }
}

impl Drop for SessionObject<'_> {
    fn drop(&mut self) {
        if self.session.destroy_object(self.handle).is_err() {
            self.leftover.set(true);
        }
    }
}
