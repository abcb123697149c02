//! Argon2id, which makes each guess at a password cost memory and time.

use argon2::{Algorithm, Argon2, Params, Version};
use generic_array::{ArrayLength, GenericArray};
use opaque_ke::errors::InternalError;
use opaque_ke::ksf::Ksf;
use thiserror::Error;

/// How hard Argon2id (RFC 9106) works on a password. They are no secret and stand in the registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argon2Parameters {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over that memory.
    pub passes: u32,
    /// Lanes, each of which may have a processor of its own.
    pub lanes: u32,
}

/// Parameters outside the bounds. From a server they are an attack: too little to protect the password, or enough to
/// stop the device. Nothing was computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Argon2Error {
    /// Less than 8 MiB, or more than 1 GiB.
    #[error("the memory of Argon2 is {0} KiB, and 8192 to 1048576 are allowed")]
    Memory(u32),
    /// None, or more than ten.
    #[error("Argon2 has {0} passes, and 1 to 10 are allowed")]
    Passes(u32),
    /// None, or more than four.
    #[error("Argon2 has {0} lanes, and 1 to 4 are allowed")]
    Lanes(u32),
}

impl Argon2Parameters {
    /// What new registrations use: 64 MiB, 3 passes, 1 lane.
    pub const DEFAULT: Self = Self { memory_kib: 64 * 1024, passes: 3, lanes: 1 };

    /// Whether a client works with these. The bounds also hold RFC 9106's own: 8 KiB of memory for each lane.
    pub fn check(&self) -> Result<(), Argon2Error> {
        if !(8 * 1024..=1024 * 1024).contains(&self.memory_kib) {
            return Err(Argon2Error::Memory(self.memory_kib));
        }
        if !(1..=10).contains(&self.passes) {
            return Err(Argon2Error::Passes(self.passes));
        }
        if !(1..=4).contains(&self.lanes) {
            return Err(Argon2Error::Lanes(self.lanes));
        }
        Ok(())
    }
}

/// The key stretching function of the suite: Argon2id with RFC 9807's salt of 16 zeros.
pub(crate) enum Stretch {
    Argon2(Argon2<'static>),
    /// What the vectors of RFC 9807 use.
    #[cfg(test)]
    Identity,
}

impl Stretch {
    pub(crate) fn new(parameters: &Argon2Parameters) -> Result<Self, Argon2Error> {
        parameters.check()?;
        let Argon2Parameters { memory_kib, passes, lanes } = *parameters;
        let params = Params::new(memory_kib, passes, lanes, None).expect("the bounds are within Argon2's own");
        Ok(Self::Argon2(Argon2::new(Algorithm::Argon2id, Version::V0x13, params)))
    }
}

/// opaque-ke asks for one. Every call here passes its own.
impl Default for Stretch {
    fn default() -> Self {
        Self::new(&Argon2Parameters::DEFAULT).expect("the default is within the bounds")
    }
}

impl Ksf for Stretch {
    fn hash<L: ArrayLength<u8>>(&self, input: GenericArray<u8, L>) -> Result<GenericArray<u8, L>, InternalError> {
        match self {
            Self::Argon2(argon2) => argon2.hash(input),
            #[cfg(test)]
            Self::Identity => Ok(input),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test")]

    use generic_array::GenericArray;
    use opaque_ke::ksf::Ksf;

    use super::{Argon2Error, Argon2Parameters, Stretch};

    const DEFAULT: Argon2Parameters = Argon2Parameters::DEFAULT;

    #[test]
    fn the_default_and_both_ends_of_the_bounds_are_allowed() {
        let least = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
        let most = Argon2Parameters { memory_kib: 1024 * 1024, passes: 10, lanes: 4 };
        for parameters in [DEFAULT, least, most, Argon2Parameters { lanes: 4, ..least }] {
            assert_eq!(parameters.check(), Ok(()));
            assert!(Stretch::new(&parameters).is_ok());
        }
    }

    #[test]
    fn refuses_too_little_and_too_much_memory() {
        for memory_kib in [0, 8 * 1024 - 1, 1024 * 1024 + 1, u32::MAX] {
            let parameters = Argon2Parameters { memory_kib, ..DEFAULT };
            assert_eq!(parameters.check(), Err(Argon2Error::Memory(memory_kib)));
            assert!(Stretch::new(&parameters).is_err());
        }
    }

    #[test]
    fn refuses_no_passes_and_too_many() {
        for passes in [0, 11, u32::MAX] {
            assert_eq!(Argon2Parameters { passes, ..DEFAULT }.check(), Err(Argon2Error::Passes(passes)));
        }
    }

    #[test]
    fn refuses_no_lanes_and_too_many() {
        for lanes in [0, 5, u32::MAX] {
            assert_eq!(Argon2Parameters { lanes, ..DEFAULT }.check(), Err(Argon2Error::Lanes(lanes)));
        }
    }

    /// Computed by Python's `cryptography`, with a salt of 16 zeros.
    #[test]
    fn stretches_with_argon2id_as_another_implementation_does() {
        let stretch = Stretch::new(&Argon2Parameters { memory_kib: 8 * 1024, passes: 2, lanes: 3 }).unwrap();
        let input: [u8; 32] = std::array::from_fn(|at| u8::try_from(at).unwrap());
        let stretched = stretch.hash(GenericArray::from(input)).unwrap();
        assert_eq!(hex::encode(stretched), "1e3927f372d8c296943fc4453e26e68781d885427b71b203a3db4b5696591625");
    }
}
