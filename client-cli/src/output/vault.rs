//! What the vault has of an account, and what was done about it.

use std::fmt;

use coffer_vault_client::{LiveStatus, RegistrationsAnswer, Time};
use serde::Serialize;

use super::status::line;
use super::text::{Clean, Counted};
use super::time::{is_past, local_time};

/// The vault's word on the account.
#[derive(Debug, Serialize)]
pub(crate) struct VaultRecord {
    pub(crate) address: String,
    pub(crate) account: String,
    /// "live", "locked" or "none".
    state: &'static str,
    live: Option<Live>,
    waiting: Option<Waiting>,
    locked_at: Option<Time>,
    /// Whether this device counts on it to keep the key.
    #[serde(skip)]
    is_relied_on: bool,
    /// Whether what is live belongs to another backup key than that of this device, which counts on it.
    #[serde(skip)]
    is_of_another: bool,
    /// Until when no new registration is taken.
    cool_down_until: Option<Time>,
    alarms: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Live {
    id: String,
    since: Time,
    /// Whether this device made it.
    own: bool,
    attempts_remaining: u8,
    max_attempts: u8,
    failed_attempts: Vec<Time>,
    retry_at: Option<Time>,
    locks_at: Option<Time>,
    deletion_at: Option<Time>,
    holders: u8,
    sites: u8,
    /// How many of the holders may be lost.
    spare: u8,
    /// Sites to which this device has still to send their parts; None if that could not be found out.
    undelivered: Option<Vec<u8>>,
}

#[derive(Debug, Serialize)]
struct Waiting {
    id: String,
    own: bool,
    since: Time,
    live_at: Time,
}

/// What this device has to do with the vault.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Relation<'a> {
    /// The registration that this device made last.
    pub(crate) own: Option<&'a str>,
    /// Whether its key is protected by a password with this vault.
    pub(crate) is_relied_on: bool,
    /// Whether it is, and what is live belongs to another key.
    pub(crate) is_of_another: bool,
    /// Sites that have still to be sent their parts, if it is what is live; None if that could not be found out.
    pub(crate) undelivered: Option<&'a [u8]>,
}

impl VaultRecord {
    /// `sites` and `threshold` are the fleet's.
    pub(crate) fn of(
        answer: &RegistrationsAnswer,
        address: String,
        account: String,
        Relation { own, is_relied_on, is_of_another, undelivered }: Relation<'_>,
        (sites, threshold): (u8, u8),
    ) -> Self {
        let is_own = |id: &str| own == Some(id);
        let live = answer.live.as_ref().map(|live| {
            let id = live.id.to_string();
            Live::of(live, is_own(&id), id, (sites, threshold), undelivered)
        });
        let waiting = answer.waiting.map(|waiting| {
            let id = waiting.id.to_string();
            Waiting { own: is_own(&id), id, since: waiting.since, live_at: waiting.live_at }
        });
        let state = match (&live, &answer.locked) {
            (Some(_), _) => "live",
            (None, Some(_)) => "locked",
            (None, None) => "none",
        };
        let locked_at = answer.locked.map(|locked| locked.at);
        let mut record = Self {
            address,
            account,
            state,
            live,
            waiting,
            locked_at,
            is_relied_on,
            is_of_another,
            cool_down_until: answer.cool_down_until,
            alarms: Vec::new(),
        };
        record.alarms = record.find_alarms();
        record
    }

    /// Whether an archive head can be sent.
    pub(crate) const fn takes_head(&self) -> bool {
        self.live.is_some() && !self.is_of_another
    }

    /// What the owner should do something about, in words.
    pub(crate) fn alarms(&self) -> &[String] {
        &self.alarms
    }

    fn find_alarms(&self) -> Vec<String> {
        let mut alarms = Vec::new();
        if let Some(waiting) = self.waiting.as_ref().filter(|waiting| !waiting.own) {
            let at = local_time(waiting.live_at);
            alarms.push(format!(
                "a registration that this device did not make takes over on {at}; `coffer vault keep` ends it"
            ));
        }
        if let Some(why) = self.loss() {
            let instead = match self.cool_down_until {
                None => "`coffer protect password`".to_owned(),
                Some(until) => format!(
                    "`coffer protect recovery-key`, or from {} on with `coffer protect password`",
                    local_time(until)
                ),
            };
            alarms.push(format!(
                "{why}: the password does not protect the key any more; protect it again with {instead}"
            ));
        }
        let Some(live) = &self.live else { return alarms };
        if let Some(last) = live.failed_attempts.last() {
            let count = Counted(live.failed_attempts.len() as u64, "wrong password");
            alarms.push(format!("{count} since the last right one, the last on {}", local_time(*last)));
        }
        if let Some(at) = live.deletion_at {
            let at = local_time(at);
            alarms.push(format!(
                "the registration will be deleted on {at}, as somebody asked; `coffer vault keep` prevents it"
            ));
        }
        alarms
    }

    /// Why the password does not protect the key, where this device counts on it.
    fn loss(&self) -> Option<&'static str> {
        let is_exhausted = match &self.live {
            Some(live) => live.attempts_remaining == 0,
            None => self.locked_at.is_some(),
        };
        match () {
            () if !self.is_relied_on => None,
            () if self.is_of_another => Some("what the vault keeps for this account is of another key"),
            () if is_exhausted => Some("no attempt at the password is left"),
            () if self.live.is_none() => Some("the vault keeps nothing for this account"),
            () => None,
        }
    }
}

impl Live {
    fn of(live: &LiveStatus, own: bool, id: String, (sites, threshold): (u8, u8), undelivered: Option<&[u8]>) -> Self {
        Self {
            id,
            since: live.since,
            own,
            attempts_remaining: live.attempts_remaining,
            max_attempts: live.max_attempts,
            failed_attempts: live.failed_attempts.iter().map(|failed| failed.at).collect(),
            retry_at: live.retry_at,
            locks_at: live.locks_at,
            deletion_at: live.deletion.map(|asked| asked.due_at),
            holders: live.holders,
            sites,
            spare: live.holders.saturating_sub(threshold),
            undelivered: undelivered.map(<[u8]>::to_vec),
        }
    }
}

impl fmt::Display for VaultRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "vault", &self.address)?;
        line(f, "account", &self.account)?;
        if let Some(live) = &self.live {
            live.fmt(f)?;
        } else if let Some(at) = self.locked_at {
            let erased = if is_past(at) { "erased" } else { "will be erased" };
            let why = "after too many wrong passwords";
            line(f, "registered", &format!("nothing: {erased} on {} {why}", local_time(at)))?;
        } else {
            line(f, "registered", "nothing")?;
        }
        if let Some(waiting) = &self.waiting {
            let whose = if waiting.own { "made by this device" } else { "not made by this device" };
            line(f, "waiting", &format!("another one, {whose}; it takes over on {}", local_time(waiting.live_at)))?;
        }
        match self.cool_down_until {
            Some(until) => line(f, "next one", &format!("is taken on {}", local_time(until))),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Live {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.own { "by this device" } else { "not by this device" };
        line(f, "registered", &format!("since {}, {whose}", local_time(self.since)))?;
        let (left, all) = (self.attempts_remaining, self.max_attempts);
        let next = self.retry_at.map_or_else(String::new, |at| format!(", the next on {}", local_time(at)));
        line(f, "attempts", &format!("{left} of {all} left{next}"))?;
        if let Some(at) = self.locks_at {
            line(f, "at an end", &format!("the key will be erased on {}", local_time(at)))?;
        }
        let (holders, sites, spare) = (self.holders, self.sites, self.spare);
        line(f, "held by", &format!("{holders} of {}; {spare} may be lost", Counted(sites.into(), "site")))?;
        let missing = match self.undelivered.as_deref() {
            None => return Ok(()),
            Some([]) if holders == sites => return Ok(()),
            // The outbox is another device's; or it was lost.
            Some([]) if !self.own => "the device that registered it sends the rest".to_owned(),
            Some([]) => {
                "this device has no more to send; `coffer password change` gives all sites new parts".to_owned()
            }
            Some(undelivered) => format!("at {}; the next command that gets there sends it", named_sites(undelivered)),
        };
        line(f, "missing", &missing)
    }
}

/// `coffer protect password`, `coffer password change`.
#[derive(Debug, Serialize)]
pub(crate) struct Protected {
    pub(crate) protected_by: &'static str,
    pub(crate) registration: String,
    pub(crate) attempts: u8,
    /// Sites of the vault.
    pub(crate) sites: u8,
    /// How many of them hold a part of the key.
    pub(crate) holders: u8,
    /// Those that have still to be sent theirs.
    pub(crate) undelivered: Vec<u8>,
}

/// Sites by their numbers.
pub(crate) fn named_sites(sites: &[u8]) -> String {
    let numbers: Vec<String> = sites.iter().map(u8::to_string).collect();
    format!("{} {}", if sites.len() == 1 { "site" } else { "sites" }, numbers.join(", "))
}

impl fmt::Display for Protected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "protected: the vault has just given the key back for this password")?;
        writeln!(f, "after {} wrong passwords in a row it erases the key", self.attempts)?;
        if self.undelivered.is_empty() {
            return Ok(());
        }
        let (holders, sites) = (self.holders, Counted(self.sites.into(), "site"));
        writeln!(
            f,
            "{holders} of {sites} hold it so far; the next `coffer backup` or `coffer status` that reaches {} sends the rest",
            named_sites(&self.undelivered)
        )
    }
}

/// `coffer vault delete`, and what comes with a move to the recovery key.
#[derive(Debug, Serialize)]
pub(crate) struct Deleted {
    pub(crate) registration: String,
    pub(crate) due_at: Time,
    /// Whether that is past.
    pub(crate) done: bool,
}

impl fmt::Display for Deleted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.done {
            writeln!(f, "the vault has deleted the registration: the password no longer opens anything")
        } else {
            writeln!(f, "the vault deletes the registration on {}", local_time(self.due_at))
        }
    }
}

/// `coffer vault keep`.
#[derive(Debug, Serialize)]
pub(crate) struct Kept {
    pub(crate) registration: String,
    /// What was prevented.
    pub(crate) ended: Vec<&'static str>,
}

impl fmt::Display for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ended.as_slice() {
            [] => writeln!(f, "nothing threatens the registration"),
            ended => writeln!(f, "kept; prevented: {}", ended.join(", ")),
        }
    }
}

/// `coffer vault device-key`.
#[derive(Debug, Serialize)]
pub(crate) struct DeviceKey {
    pub(crate) device_key: String,
}

impl fmt::Display for DeviceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", Clean(&self.device_key))
    }
}

/// `coffer key verify`.
#[derive(Debug, Serialize)]
pub(crate) struct VerifiedKey {
    /// "password" or "recovery key".
    pub(crate) by: &'static str,
}

impl fmt::Display for VerifiedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the {} is right: it is this device's key", self.by)
    }
}

#[cfg(test)]
mod tests {
    use super::{Live, Protected, Time, VaultRecord};

    fn protected(undelivered: &[u8]) -> String {
        let holders = 7 - u8::try_from(undelivered.len()).unwrap_or_default();
        let (protected_by, registration) = ("password", "00".repeat(16));
        Protected { protected_by, registration, attempts: 10, sites: 7, holders, undelivered: undelivered.to_vec() }
            .to_string()
    }

    #[test]
    fn protected_says_which_sites_are_missing() {
        assert!(protected(&[]).ends_with("after 10 wrong passwords in a row it erases the key\n"));
        let said = "5 of 7 sites hold it so far; the next `coffer backup` or `coffer status` that reaches sites 2, 6 \
                    sends the rest\n";
        assert!(protected(&[2, 6]).ends_with(said), "{}", protected(&[2, 6]));
    }

    fn live(own: bool, holders: u8, undelivered: Option<&[u8]>) -> Live {
        Live {
            id: "00".repeat(16),
            since: Time::from_unix_seconds(1_795_000_000),
            own,
            attempts_remaining: 10,
            max_attempts: 10,
            failed_attempts: Vec::new(),
            retry_at: None,
            locks_at: None,
            deletion_at: None,
            holders,
            sites: 5,
            spare: holders - 3,
            undelivered: undelivered.map(<[u8]>::to_vec),
        }
    }

    #[test]
    fn the_status_says_how_many_sites_may_be_lost_and_which_are_missing() {
        let said = "held by:      4 of 5 sites; 1 may be lost\n\
                    missing:      at site 3; the next command that gets there sends it\n";
        let status = live(true, 4, Some(&[3])).to_string();
        assert!(status.ends_with(said), "{status}");
        let whole = live(true, 5, Some(&[])).to_string();
        assert!(whole.ends_with("held by:      5 of 5 sites; 2 may be lost\n"), "{whole}");
    }

    /// A site would have to do without its part for good, and nobody would know.
    #[test]
    fn the_status_says_what_helps_where_the_outbox_was_lost() {
        for (own, what) in
            [(true, "`coffer password change` gives all sites"), (false, "the device that registered it")]
        {
            let status = live(own, 4, Some(&[])).to_string();
            assert!(status.lines().last().is_some_and(|last| last.contains(what)), "{status}");
        }
        // What the outbox has may only not have been sent now.
        let unknown = live(true, 4, None).to_string();
        assert!(!unknown.contains("missing"), "{unknown}");
    }

    fn vault(of_another: bool, live: Option<Live>, cool_down_until: Option<Time>) -> Vec<String> {
        VaultRecord {
            address: String::new(),
            account: String::new(),
            state: "",
            locked_at: live.is_none().then_some(Time::from_unix_seconds(0)),
            live,
            waiting: None,
            is_relied_on: true,
            is_of_another: of_another,
            cool_down_until,
            alarms: Vec::new(),
        }
        .find_alarms()
    }

    /// Somebody's registration has waited, and nobody has objected.
    #[test]
    fn the_owner_is_told_that_another_key_has_taken_the_place() {
        assert_eq!(vault(false, Some(live(false, 5, Some(&[]))), None), Vec::<String>::new());
        let alarm = vault(true, Some(live(false, 5, Some(&[]))), None).concat();
        assert!(alarm.contains("of another key: the password does not protect the key any more"), "{alarm}");
    }

    #[test]
    fn as_long_as_no_password_is_taken_the_recovery_key_is_named() {
        let alarm = vault(false, None, None).concat();
        assert!(alarm.ends_with("protect it again with `coffer protect password`"), "{alarm}");
        let alarm = vault(false, None, Some(Time::from_unix_seconds(0))).concat();
        assert!(alarm.contains("with `coffer protect recovery-key`, or from 19"), "{alarm}");
    }
}
