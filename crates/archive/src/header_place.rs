//! Where the header lies. It is replaced when a key is rotated, and a reader must find one at every moment, also with
//! services that show half an object, or none, while one is replaced: so the new one is stored under a second name first.
//! A reader looks there where the first is missing or no header. What it finds is as good as what it finds under the first:
//! the provider may serve any header that it has ever been given, under either name.

use crate::destination::Destination;
use crate::envelope::ObjectType;
use crate::error::{DestinationErrorKind, Error};
use crate::header::{self, Header};
use crate::store;

/// Where a header lies that is about to take its place.
const NEXT_PATH: &str = "coffer.next.json";

/// The header's bytes.
///
/// # Errors
/// `NoArchive`, `HeaderMissing`, `Destination`.
pub(crate) fn read_header(destination: &Destination) -> Result<Vec<u8>, Error> {
    let is_damaged = |read: &Result<Vec<u8>, Error>| match read {
        Ok(bytes) => matches!(Header::parse(bytes), Err(Error::Damaged { .. })),
        Err(error) => matches!(error, Error::Damaged { .. }),
    };
    let mut first = read_first(destination);
    // Its length may have been that of the one before.
    if is_damaged(&first) {
        first = read_first(destination);
    }
    let is_missing = matches!(first, Err(Error::NoArchive { .. } | Error::HeaderMissing { .. }));
    if (is_missing || is_damaged(&first))
        && destination.is_there()
        && let Ok(next) = destination.read(NEXT_PATH, header::MAX_LEN)
        && Header::parse(&next).is_ok()
    {
        return Ok(next);
    }
    first
}

fn read_first(destination: &Destination) -> Result<Vec<u8>, Error> {
    let missing = || Error::NoArchive { url: destination.url().to_owned() };
    if !destination.is_there() {
        return Err(missing());
    }
    match destination.read(header::PATH, header::MAX_LEN) {
        Err(Error::Destination { kind: DestinationErrorKind::NotFound, .. }) if is_header_missing(destination)? => {
            Err(Error::HeaderMissing { url: destination.url().to_owned() })
        }
        Err(Error::Destination { kind: DestinationErrorKind::NotFound, .. }) => Err(missing()),
        read => read,
    }
}

/// Whether an archive without its header lies there.
pub(crate) fn is_header_missing(destination: &Destination) -> Result<bool, Error> {
    let has = |kind| store::list_objects(destination, kind).map(|names| !names.is_empty());
    Ok(destination.exists(NEXT_PATH)?
        || has(ObjectType::Snapshot)?
        || has(ObjectType::Index)?
        || has(ObjectType::Pack)?)
}

/// Puts a header in the place of the one that is there.
pub(crate) fn replace_header(destination: &Destination, header: &[u8]) -> Result<(), Error> {
    destination.replace(NEXT_PATH, header.to_vec())?;
    destination.settle()?;
    destination.replace(header::PATH, header.to_vec())?;
    destination.settle()?;
    if read_first(destination)? != header {
        return Err(Error::Rotated);
    }
    destination.delete(NEXT_PATH)
}

/// Ends what an interrupted [`replace_header`] began: `header` is the one that was read.
pub(crate) fn mend_header(destination: &Destination, header: &[u8]) -> Result<(), Error> {
    match destination.exists(NEXT_PATH)? {
        false => Ok(()),
        true if read_first(destination).is_ok_and(|first| first == header) => destination.delete(NEXT_PATH),
        true => replace_header(destination, header),
    }
}
