//! How many requests are taken from one account, and from one address. The guess budget does not rest on this: it keeps
//! one client from using up what all share.

use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use coffer_proto::AccountId;
use governor::clock::{Clock as _, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::Failure;

/// Who has asked how often. It forgets when the process ends.
#[expect(missing_debug_implementations, reason = "nobody needs a list of accounts")]
pub struct Limits {
    accounts: Limit<AccountId>,
    addresses: Limit<IpAddr>,
}

/// Requests a minute; `None` is any number.
#[derive(Debug, Clone, Copy)]
pub struct LimitsConfig {
    /// Of one account.
    pub account: Option<NonZeroU32>,
    /// From one address.
    pub address: Option<NonZeroU32>,
}

/// A minute's requests at once, then as they come back. `None` is no limit.
type Limit<K> = Option<DefaultKeyedRateLimiter<K>>;

impl Limits {
    /// Nobody has asked yet.
    pub fn new(config: &LimitsConfig) -> Self {
        Self { accounts: limit(config.account), addresses: limit(config.address) }
    }

    /// Counts a request of an account.
    ///
    /// # Errors
    /// `too-many-requests`.
    pub fn admit_account(&self, account: &AccountId) -> Result<(), Failure> {
        admit(&self.accounts, account)
    }

    /// Counts a request from an address.
    ///
    /// # Errors
    /// `too-many-requests`.
    pub fn admit_address(&self, address: IpAddr) -> Result<(), Failure> {
        admit(&self.addresses, &network(address))
    }

    /// Forgets whoever could use a whole minute's requests again.
    pub fn forget(&self) {
        self.accounts.iter().for_each(RateLimiter::retain_recent);
        self.addresses.iter().for_each(RateLimiter::retain_recent);
    }
}

fn limit<K: Clone + Eq + std::hash::Hash>(a_minute: Option<NonZeroU32>) -> Limit<K> {
    a_minute.map(|requests| RateLimiter::dashmap(Quota::per_minute(requests)))
}

fn admit<K: Clone + Eq + std::hash::Hash>(limit: &Limit<K>, key: &K) -> Result<(), Failure> {
    let Some(limit) = limit else { return Ok(()) };
    limit.check_key(key).map_err(|not_until| {
        let wait: Duration = not_until.wait_time_from(DefaultClock::default().now());
        Failure::too_many_requests(wait)
    })
}

/// An IPv6 subscriber has a /64 at least.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use std::num::NonZeroU32;

    use super::{Limits, LimitsConfig, network};

    fn limits(address: u32) -> Limits {
        Limits::new(&LimitsConfig { account: None, address: NonZeroU32::new(address) })
    }

    #[test]
    fn the_third_request_of_two_is_refused_and_another_address_is_not() {
        let limits = limits(2);
        let outcomes = [(); 3].map(|()| limits.admit_address([10, 0, 0, 1].into()).is_ok());
        assert_eq!(outcomes, [true, true, false]);
        assert!(limits.admit_address([10, 0, 0, 2].into()).is_ok());
    }

    #[test]
    fn zero_is_no_limit() {
        let limits = limits(0);
        assert!((0..1000).all(|_| limits.admit_address([10, 0, 0, 1].into()).is_ok()));
    }

    #[test]
    fn one_subscriber_s_addresses_are_one() {
        let network = |text: &str| network(text.parse().unwrap());
        assert_eq!(network("2001:db8::1"), network("2001:db8::ffff:0:0:1"));
        assert_ne!(network("2001:db8::1"), network("2001:db8:0:1::1"));
        assert_eq!(network("::ffff:10.0.0.1"), network("10.0.0.1"));
        assert_ne!(network("10.0.0.1"), network("10.0.0.2"));
    }
}
