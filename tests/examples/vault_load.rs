//! How many retrievals a second a running vault answers, and how long each takes. `benches/vault` starts the vault and
//! measures the token's own limit beside it.
//!
//! `vault_load ADDRESS VAULT-PROGRAM DATA-FOLDER VAULT-PID [accounts] [callers]`
//!
//! First every account is registered (not measured). Then KE1s that were computed before are sent: spend, evaluation, KE2.
//! The client's own arithmetic is left out, since it would share the vault's cores; the processor time of both is given,
//! since this program shares them too. Last, a few whole retrievals one after
//! another, beside Argon2id alone.

#![expect(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr, reason = "a program to measure with")]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use coffer_keys::{BackupKey, SigningKey};
use coffer_pake::{Argon2Parameters, ClientLogin};
use coffer_proto::{
    AccountId, AttemptId, Base64, Hash, RegistrationId, RetrievalRequest, SiteNumber, Time, attempt_message,
};
use coffer_vault_client::{
    Fleet, HttpTransport, Method, NothingKept, Password, Registered, Request, Session, SiteTransport, Token,
    Transport as _, VaultAddress, shown_public_key,
};

/// Attempts of each account that are sent: fewer than its budget.
const ATTEMPTS: usize = 8;

const PASSWORD: &str = "correct horse battery staple";

struct Prepared {
    /// To site 1: as it is, or sealed past a gateway.
    way: Arc<SiteTransport<HttpTransport>>,
    path: String,
    token: String,
    body: Vec<u8>,
}

struct Vault {
    address: VaultAddress,
    program: String,
    data: String,
}

impl Vault {
    fn now() -> Time {
        let seconds = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        Time::from_unix_seconds(i64::try_from(seconds).unwrap())
    }

    fn token(&self, account: &str, device: &SigningKey) -> String {
        let key = format!("--device-key={}", shown_public_key(device));
        let minted = Command::new(&self.program)
            .args(["dev-token", "--data", &self.data, "--account", account, &key])
            .output()
            .unwrap();
        assert!(minted.status.success(), "{}", String::from_utf8_lossy(&minted.stderr));
        String::from_utf8(minted.stdout).unwrap().trim().to_owned()
    }

    async fn session(&self, token: &str, device: &SigningKey) -> Session<HttpTransport> {
        let transport = HttpTransport::new(&self.address, None).unwrap();
        let token = Token::parse(token).unwrap();
        let fleet = Fleet::fetch(&transport, &self.address.fingerprint(), &token, None, Self::now()).await.unwrap();
        let device = SigningKey::from_seed(*device.expose_seed());
        Session::new(transport, fleet, token, device, Arc::new(Self::now))
    }

    /// Registers an account and prepares its attempts.
    async fn prepare(&self, account: &str, argon2: &Argon2Parameters) -> Vec<Prepared> {
        let device = SigningKey::generate().unwrap();
        let token = self.token(account, &device);
        let session = self.session(&token, &device).await;
        let registration = register(&session, argon2).await;
        let (fleet, id) = (session.fleet(), session.fleet().id());
        let account = AccountId::new(account).unwrap();
        let transport = HttpTransport::new(&self.address, None).unwrap();
        let way = SiteTransport::new(transport, &fleet, SiteNumber(1), &account, Arc::new(Self::now)).unwrap();
        let way = Arc::new(way);
        let prepare = |number| {
            let (_, ke1) = ClientLogin::start(b"a wrong password").unwrap();
            let (ke1, mut attempt) = (Base64(ke1), [0; 16]);
            getrandom::fill(&mut attempt).unwrap();
            let message = attempt_message(&id, &account, &registration, &AttemptId(attempt), number, &Hash::from(&ke1));
            let device_signature = Base64(device.sign(&message));
            let body = serde_json::to_vec(&RetrievalRequest { registration, number, ke1, device_signature }).unwrap();
            let path = format!("/v1/retrievals/{}", AttemptId(attempt));
            Prepared { way: Arc::clone(&way), path, token: token.clone(), body }
        };
        (2..).take(ATTEMPTS).map(prepare).collect()
    }
}

async fn register(session: &Session<HttpTransport>, argon2: &Argon2Parameters) -> RegistrationId {
    let key = BackupKey::generate().unwrap();
    match session.register(&Password::new(PASSWORD).unwrap(), &key, argon2, &mut NothingKept).await.unwrap() {
        Registered::Protected { registration, .. } => registration,
        Registered::Waiting { .. } => unreachable!("the account is new"),
    }
}

/// Sends everything, `callers` at a time. Gives the whole time, and each request's.
async fn send(prepared: Vec<Prepared>, callers: usize) -> (Duration, Vec<Duration>) {
    let prepared = Arc::new(prepared);
    let next = Arc::new(AtomicUsize::new(0));
    let begin = Instant::now();
    let callers: Vec<_> = (0..callers)
        .map(|_| {
            let (prepared, next) = (Arc::clone(&prepared), Arc::clone(&next));
            tokio::spawn(async move {
                let mut times = Vec::new();
                while let Some(Prepared { way, path, token, body }) = prepared.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    let begin = Instant::now();
                    let request = Request { method: Method::Put, path, token: Some(token), body: Some(body) };
                    let answer = way.send(&request).await.unwrap();
                    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
                    times.push(begin.elapsed());
                }
                times
            })
        })
        .collect();
    let mut times = Vec::new();
    for caller in callers {
        times.extend(caller.await.unwrap());
    }
    times.sort_unstable();
    (begin.elapsed(), times)
}

/// What a process has used so far, in user and system mode, by `/proc/PID/stat`.
fn processor_time(pid: &str) -> Duration {
    /// The unit of those fields is 1/100 s on every Linux (`sysconf(_SC_CLK_TCK)`).
    const TICK: Duration = Duration::from_millis(10);
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    let ticks = |index: usize| fields[index].parse::<u32>().unwrap();
    TICK * (ticks(11) + ticks(12))
}

/// A whole retrieval, and Argon2id alone.
async fn whole(vault: &Vault, account: &str) -> (Duration, Duration) {
    let argon2 = Argon2Parameters::DEFAULT;
    let device = SigningKey::generate().unwrap();
    let token = vault.token(account, &device);
    let session = vault.session(&token, &device).await;
    register(&session, &argon2).await;
    let (mut with, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..9 {
        let begin = Instant::now();
        session.retrieve(&Password::new(PASSWORD).unwrap(), &mut NothingKept).await.unwrap();
        with.push(begin.elapsed());
        let begin = Instant::now();
        let parameters = argon2::Params::new(argon2.memory_kib, argon2.passes, argon2.lanes, Some(32)).unwrap();
        argon2::Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, parameters)
            .hash_password_into(PASSWORD.as_bytes(), &[0; 16], &mut [0; 32])
            .unwrap();
        alone.push(begin.elapsed());
    }
    with.sort_unstable();
    alone.sort_unstable();
    (with[4], alone[4])
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut next =
        || arguments.next().expect("vault_load ADDRESS VAULT-PROGRAM DATA-FOLDER VAULT-PID [accounts] [callers]");
    let vault = Vault { address: next().parse().unwrap(), program: next(), data: next() };
    let pid = next();
    let accounts: usize = arguments.next().map_or(200, |text| text.parse().unwrap());
    let callers: usize = arguments.next().map_or(16, |text| text.parse().unwrap());

    let cheap = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
    let run = std::process::id();
    let mut of_accounts = Vec::new();
    for number in 0..accounts {
        of_accounts.push(vault.prepare(&format!("load-{run}-{number}"), &cheap).await.into_iter());
    }
    // The next attempt of an account is sent after one of each other account: attempts are taken in their order only.
    let round = |_: usize| of_accounts.iter_mut().filter_map(Iterator::next).collect::<Vec<_>>();
    let prepared: Vec<_> = (0..ATTEMPTS).flat_map(round).collect();
    let count = prepared.len();
    eprintln!("{accounts} accounts are registered");
    let (vault_before, own_before) = (processor_time(&pid), processor_time("self"));
    let (time, times) = send(prepared, callers).await;
    let (vault_time, own_time) = (processor_time(&pid) - vault_before, processor_time("self") - own_before);
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    println!("retrievals_per_second {:.0}", count as f64 / time.as_secs_f64());
    println!("p50_ms {:.2}", milliseconds(times[times.len() / 2]));
    println!("p99_ms {:.2}", milliseconds(times[times.len() * 99 / 100]));
    println!("vault_cpu_ms_each {:.2}", milliseconds(vault_time) / count as f64);
    println!("load_cpu_ms_each {:.2}", milliseconds(own_time) / count as f64);
    let (with, alone) = whole(&vault, &format!("whole-{run}")).await;
    println!("whole_retrieval_ms {:.0}", milliseconds(with));
    println!("argon2id_ms {:.0}", milliseconds(alone));
}
