//! How many logins a token can serve, without a server around it: `limit [seconds]`.
//!
//! One login is an evaluation, a product of the `ake` key and two MACs; a whole one is that and the server's half of
//! OPAQUE, which any server adds. Makes a SoftHSM token in a temporary folder and prints a line for each number of workers
//! and callers.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a program to measure with")]

use std::env;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use coffer_hsm_adapter::{HsmAdapter, Pin, TokenConfig, embedded_environment, init};
use coffer_pake::{
    Argon2Parameters, ClientLogin, Identities, Ke1, UPLOAD_LEN, answer_login, deal_registration, import_point,
    receipt_base,
};
use coffer_vault_core::{Hsm, LedgerSpend, SealedShareIn, WrappedShare};

/// Set in the process that has SoftHSM's environment.
const TOKEN_READY: &str = "COFFER_LIMIT_TOKEN_READY";

fn main() {
    if env::var_os(TOKEN_READY).is_none() {
        let folder = tempfile::tempdir().unwrap();
        run_with_token_in(folder.path());
        return;
    }
    let seconds = env::args().nth(1).map_or(3, |text| text.parse().unwrap());
    let pin = Pin::generate().unwrap();
    let config = |workers| TokenConfig {
        workers: NonZeroUsize::new(workers).unwrap(),
        ..TokenConfig::embedded("limit", Pin::new(pin.expose().to_owned()))
    };
    init(&config(1), &Pin::generate().unwrap()).unwrap();
    println!("workers callers logins/s whole_logins/s");
    for (workers, callers) in [(1, 1), (1, 16), (2, 16), (4, 4), (4, 16), (8, 16), (4, 64)] {
        let hsm = HsmAdapter::open(config(workers)).unwrap();
        let account = Account::registered(&hsm);
        let each_second = |login| measure(&hsm, &account, login, callers, Duration::from_secs(seconds)) / seconds;
        let (on_token, whole) = (each_second(Login::OnToken), each_second(Login::Whole));
        println!("{workers:>7} {callers:>7} {on_token:>8} {whole:>14}");
    }
}

/// SoftHSM reads its environment once: so this program starts itself again.
fn run_with_token_in(folder: &Path) {
    let (variable, value) = embedded_environment(folder).unwrap();
    let mut own = Command::new(env::current_exe().unwrap());
    let status = own.args(env::args_os().skip(1)).env(variable, value).env(TOKEN_READY, "").status().unwrap();
    assert!(status.success());
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

const IDENTITIES: Identities<'_> = Identities { client: b"client", server: b"server", context: b"context" };

struct Account {
    share: WrappedShare,
    upload: [u8; UPLOAD_LEN],
    ke1: Ke1,
}

impl Account {
    fn registered(hsm: &HsmAdapter) -> Self {
        let argon2 = Argon2Parameters { memory_kib: 8 * 1024, passes: 1, lanes: 1 };
        let keys = hsm.public_keys();
        let dealt = deal_registration(b"password", &IDENTITIES, &argon2, &keys.ake, 1, 1).unwrap();
        let sealed = dealt.shares[0].seal(&keys.share_import, b"context").unwrap();
        let imported = wait(hsm.import_share(SealedShareIn {
            transport: import_point(b"context", &sealed.ephemeral),
            sealed: &sealed.wrapped,
            expected: dealt.shares[0].public(),
            receipt_base: receipt_base(b"context"),
        }));
        let share = WrappedShare { wrapped: imported.unwrap().wrapped, public: dealt.shares[0].public() };
        let (_, ke1) = ClientLogin::start(b"password").unwrap();
        Self { share, upload: dealt.upload, ke1: Ke1::parse(&ke1).unwrap() }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Login {
    OnToken,
    Whole,
}

/// Logins in `time`.
fn measure(hsm: &HsmAdapter, account: &Account, login: Login, callers: usize, time: Duration) -> u64 {
    let logins = AtomicU64::new(0);
    let end = Instant::now() + time;
    thread::scope(|scope| {
        for _ in 0..callers {
            scope.spawn(|| {
                while Instant::now() < end {
                    wait(log_in(hsm, account, login));
                    logins.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    logins.into_inner()
}

async fn log_in(hsm: &HsmAdapter, account: &Account, login: Login) {
    let Account { share, upload, ke1 } = account;
    let spend = LedgerSpend::insecure_without_a_spend();
    let evaluation = hsm.evaluate(spend, share, &ke1.blinded()).await.unwrap();
    let product = hsm.agree(&ke1.client_ephemeral()).await.unwrap();
    for _ in 0..2 {
        hsm.mac(&[0; 300]).await.unwrap();
    }
    if login == Login::Whole {
        answer_login(upload, ke1, &evaluation, &product, &hsm.public_keys().ake, &IDENTITIES).unwrap();
    }
}
