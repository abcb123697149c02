//! Clients that guess, register and recover throughout, while something goes wrong.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use coffer_proto::ProblemType;

use crate::checker::{Left, Violation, check};
use crate::device::{Device, Ended, Registered};
use crate::door::Door;
use crate::history::History;

/// Accounts whose owner guesses wrong now and then, the first of them on two devices at once.
const FORGETFUL: usize = 3;
/// Between two guesses of a client.
const PAUSE: Duration = Duration::from_millis(20);
/// Goes on so long after all is well again.
const AFTERWARDS: Duration = Duration::from_millis(500);

struct Campaign<'a, D> {
    door: &'a D,
    history: &'a History,
    is_ending: AtomicBool,
    accounts: Mutex<Vec<(Device<'a, D>, Registered)>>,
}

/// Ends the clients when the faults end, in whatever way.
struct Ending<'a>(&'a AtomicBool, &'a History);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.1.end();
        }
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs clients while `faults` does its work, which has to leave the fleet whole. Gives what the checker finds.
pub(crate) fn run<D: Door>(door: &D, history: &History, faults: impl FnOnce()) -> Vec<Violation> {
    let campaign = Campaign { door, history, is_ending: AtomicBool::new(false), accounts: Mutex::default() };
    let owners: Vec<_> = (0..FORGETFUL).map(|number| campaign.registered(&format!("forgetful {number}"))).collect();
    thread::scope(|scope| {
        let ending = Ending(&campaign.is_ending, history);
        for (device, registered) in owners.iter().chain(&owners[..1]) {
            let campaign = &campaign;
            scope.spawn(move || campaign.forget(device, registered));
        }
        scope.spawn(|| campaign.lock_out());
        scope.spawn(|| campaign.register_anew());
        faults();
        thread::sleep(AFTERWARDS);
        drop(ending);
    });
    let mut accounts = campaign.accounts.into_inner().unwrap();
    accounts.extend(owners);
    let left: Vec<_> = accounts.iter().filter_map(|(device, registered)| what_is_left(device, registered)).collect();
    assert_eq!(left.len(), accounts.len(), "{:?}", history.complaints());
    check(&history.events(), &left, &history.complaints(), door.manifest().max_attempts)
}

fn what_is_left<D: Door>(device: &Device<'_, D>, registered: &Registered) -> Option<Left> {
    device.deliver_the_rest(registered);
    let status = device.status()?;
    let restored = device.restore(&registered.id());
    Some(Left { account: device.account.clone(), registration: registered.id(), status, restored })
}

impl<'a, D: Door> Campaign<'a, D> {
    fn goes_on(&self) -> bool {
        !self.is_ending.load(Ordering::Relaxed)
    }

    #[track_caller]
    fn registered(&self, account: &str) -> (Device<'a, D>, Registered) {
        let device = Device::new(self.door, self.history, account);
        let registered = device.register(None).unwrap();
        (device, registered)
    }

    fn complain(&self, device: &Device<'_, D>, what: &str, ended: Ended) {
        if !self.history.is_over() {
            self.history.complain(format!("{}: {what} ends with {ended:?}", device.account.as_str()));
        }
    }

    /// Guesses wrong a few times, then right.
    fn forget(&self, device: &Device<'_, D>, registered: &Registered) {
        let mut wrong = (0..4).cycle();
        while self.goes_on() {
            for _ in 0..wrong.next().unwrap() {
                thread::sleep(PAUSE);
                if let Err(ended) = device.guess_wrong(&registered.id()) {
                    self.complain(device, "a wrong guess", ended);
                }
            }
            thread::sleep(PAUSE);
            if let Err(ended) = device.restore(&registered.id()) {
                self.complain(device, "the right guess", ended);
            }
        }
    }

    /// Guesses until there is none left, on one account after the other.
    fn lock_out(&self) {
        for number in 0.. {
            let device = Device::new(self.door, self.history, &format!("locked {number}"));
            let Some(registered) = device.register(None) else { return };
            while self.goes_on() {
                thread::sleep(PAUSE);
                match device.guess_wrong(&registered.id()) {
                    Ok(()) => {}
                    Err(Ended::Refused(ProblemType::Locked)) => break,
                    Err(ended) => self.complain(&device, "a wrong guess", ended),
                }
            }
            self.accounts.lock().unwrap().push((device, registered));
            if !self.goes_on() {
                return;
            }
        }
    }

    /// Registers, and changes the password, on one account after the other.
    fn register_anew(&self) {
        for number in 0.. {
            let device = Device::new(self.door, self.history, &format!("new {number}"));
            let Some(mut registered) = device.register(None) else { return };
            for _ in 0..2 {
                if let Err(ended) = device.restore(&registered.id()) {
                    self.complain(&device, "the new password", ended);
                }
                if let Err(ended) = device.guess_wrong(&registered.id()) {
                    self.complain(&device, "a wrong guess", ended);
                }
                if !self.goes_on() {
                    break;
                }
                let Some(changed) = device.register(Some(&registered)) else { return };
                registered = changed;
            }
            self.accounts.lock().unwrap().push((device, registered));
            if !self.goes_on() {
                return;
            }
        }
    }
}
