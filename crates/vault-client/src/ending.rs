//! What becomes of a registration afterwards: its owner objects to a change, or deletes it.

use coffer_keys::BackupKey;
use coffer_proto::{
    Base64, Change, DeletionAnswer, DeletionId, DeletionRequest, KeepRequest, LiveStatus, RegistrationId, Time,
    deletion_message, keep_message,
};

use crate::exchange::{RequestError, parse};
use crate::session::{Session, authorized_by, generate_id};
use crate::transport::{Method, Transport};

/// Whether a registration was made with this backup key, by whichever device.
pub fn owns(backup_key: &BackupKey, live: &LiveStatus) -> bool {
    live.owner_key == Base64(backup_key.derive_owner_key().public())
}

impl<T: Transport + Clone> Session<T> {
    /// Objects, as the owner of the live registration, to the one that waits to take its place, or to a deletion that was
    /// asked for with a token alone.
    ///
    /// # Errors
    /// [`RequestError`]; `Refused` with `InvalidSignature` when the live registration is not of this backup key.
    pub async fn keep(
        &self,
        live: &RegistrationId,
        against: Change,
        backup_key: &BackupKey,
    ) -> Result<(), RequestError> {
        let message = keep_message(&self.fleet().id, self.account(), live, &against);
        let request = KeepRequest { against, authorization: authorized_by(backup_key, &message) };
        self.put(&format!("/v1/registrations/{live}/keep"), &request).await?;
        Ok(())
    }

    /// Deletes a registration: at once with its backup key, otherwise after the waiting time, in which its owner can
    /// object. Gives when it is, or was, due.
    ///
    /// # Errors
    /// [`RequestError`]; `Refused` with `InvalidSignature` when the registration is not of this backup key, see [`owns`].
    pub async fn delete(
        &self,
        registration: &RegistrationId,
        backup_key: Option<&BackupKey>,
    ) -> Result<Time, RequestError> {
        let deletion = DeletionId(generate_id());
        let message = deletion_message(&self.fleet().id, self.account(), registration, &deletion);
        let request = DeletionRequest {
            deletion,
            device_signature: self.device_signature(&message),
            authorization: backup_key.map(|key| authorized_by(key, &message)),
        };
        let path = format!("/v1/registrations/{registration}");
        let (_, answer) = self.write(Method::Delete, &self.order(), &path, &request).await;
        let answer: DeletionAnswer = parse(&answer?)?;
        Ok(answer.due_at)
    }
}
