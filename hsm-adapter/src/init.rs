//! A new token with the keys of a site.

use cryptoki::object::ObjectHandle;
use cryptoki::session::{Session, UserType};
use cryptoki::slot::Slot;

use crate::config::TokenConfig;
use crate::error::TokenError;
use crate::keys::{Key, keys_made_inside};
use crate::library::Library;
use crate::pin::Pin;

/// Initialises a token in a free slot, unless there is one with this label, sets the user's PIN, and makes the keys
/// that are not there yet. Without a fleet root it is the token of a site of a fleet: `share-import` and
/// `site-identity` are made, and [`import`](fn@crate::import) brings the others. What is there is kept: to go on after a crash, call it again with the same PINs. So they
/// have to be on disk before the first call.
///
/// Never destroys a private or secret key.
pub fn init(config: &TokenConfig, so_pin: &Pin) -> Result<(), TokenError> {
    let label = config.label.as_str();
    if label.is_empty() || label.len() > 32 || label.trim() != label {
        return Err(TokenError::Label(config.label.clone()));
    }
    let library = Library::initialise(config)?;
    let slot = match library.find(label)? {
        Some(slot) => slot,
        None => init_token(&library, config, so_pin)?,
    };
    if !library.module().get_token_info(slot)?.user_pin_initialized() {
        let session = library.module().open_rw_session(slot)?;
        session.login(UserType::So, Some(&so_pin.to_auth_pin()))?;
        session.init_pin(&config.pin.to_auth_pin())?;
        session.logout()?;
    }
    let session = library.log_in_to_write(slot, &config.pin)?;
    keys_made_inside(config.fleet_root).try_for_each(|key| ensure(&session, key))
}

fn init_token(library: &Library, config: &TokenConfig, so_pin: &Pin) -> Result<Slot, TokenError> {
    let module = library.module();
    let mut free = None;
    for slot in module.get_slots_with_token()? {
        if !module.get_token_info(slot)?.token_initialized() {
            free = Some(slot);
            break;
        }
    }
    module.init_token(free.ok_or(TokenError::NoFreeSlot)?, &so_pin.to_auth_pin(), &config.label)?;
    // SoftHSM gives the slot another number now.
    library.token(config)
}

fn ensure(session: &Session, key: Key) -> Result<(), TokenError> {
    let is_there = !session.find_objects(&key.search())?.is_empty();
    if !key.purpose.is_pair() {
        if !is_there {
            session.generate_key(&key.purpose.generation(), &key.template())?;
        }
        return Ok(());
    }
    let public: Vec<ObjectHandle> = session.find_objects(&key.public_search())?;
    match (is_there, public.is_empty()) {
        (true, false) => return Ok(()),
        (true, true) => return Err(TokenError::HalfPair(key.label)),
        // A public half whose private half was never made, or it would be here.
        (false, _) => public.into_iter().try_for_each(|half| session.destroy_object(half))?,
    }
    session.generate_key_pair(&key.purpose.generation(), &key.public_template(), &key.template())?;
    Ok(())
}
