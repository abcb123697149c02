//! `coffer-vault serve`

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use coffer_service::{Ends, Listener, end, load_mutual_tls, load_tls, start_logs};
use coffer_vault_core::Clock as _;
use coffer_vault_store::EtcdRecords;
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use crate::data::DataFolder;
use crate::error::Error;
use crate::peers;
use crate::site::{self, OpenSite};
use crate::world::{Records, SharedHsm, SystemClock};
use crate::{observe, ops, router, token};

const SWEEP_EVERY: Duration = Duration::from_secs(5 * 60);
const RENEW_EVERY: Duration = Duration::from_secs(3600);
/// How soon a manifest is taken up that the roots have signed.
const REREAD_EVERY: Duration = Duration::from_secs(5);
const REMIND_EVERY: Duration = Duration::from_secs(3600);
const HEIGHTS_EVERY: Duration = Duration::from_secs(1);
const COMPACT_EVERY: Duration = Duration::from_secs(5 * 60);
const UPKEEP_EVERY: Duration = Duration::from_secs(5);

/// Closing the HSM's sessions takes milliseconds, unless the HSM hangs.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);

pub(crate) fn run(config: Config) -> Result<(), Error> {
    let data = DataFolder::open(&config.data)?;
    token::enter_environment(&config, &data)?;
    let _lock = data.lock()?;
    start_logs(config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::System("no threads", error.to_string()))?;
    let served = runtime.block_on(serve(config, &data));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served
}

async fn serve(config: Config, data: &DataFolder) -> Result<(), Error> {
    let mut ends = Ends::listen()?;
    let api = Listener::bind(config.listen)?.limited(&config.limits);
    let private = Listener::bind(config.ops_listen)?;
    let tls = match &config.tls {
        Some(files) => Some(load_tls(files).await?),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = config.public_url.clone().unwrap_or_else(|| format!("{scheme}://{}", api.address));
    let metrics = observe::start().map_err(|error| Error::System("no metrics", error.to_string()))?;
    let peers = match &config.peers {
        Some(peers) => Some((Listener::bind(peers.listen)?, load_mutual_tls(&peers.tls)?)),
        None => None,
    };
    let renew_every = if config.fleet.is_some() { REREAD_EVERY } else { RENEW_EVERY };
    let OpenSite { app, operations, hsm, tokens } = site::open(config, data, metrics).await?;

    let mut tasks = JoinSet::new();
    tasks.spawn(sweep(Arc::clone(&app)));
    tasks.spawn(renew_manifest(Arc::clone(&app), hsm.clone(), renew_every));
    tasks.spawn(remind(Arc::clone(&app)));
    tasks.spawn(tokens.keep_keys_fresh());
    let upkeep = operations.metrics.clone();
    tasks.spawn(keep_up(Arc::clone(&app), move || upkeep.run_upkeep()));

    if peers.is_some() {
        tasks.spawn(remember_heights(Arc::clone(&app)));
    }
    if let Records::Etcd(records) = operations.records.clone() {
        tasks.spawn(compact(records));
    }

    let mut handles = vec![api.handle.clone(), private.handle.clone()];
    let ops_address = private.address;
    let mut servers = JoinSet::new();
    servers.spawn(api.serve(router::router(Arc::clone(&app)), tls));
    servers.spawn(private.serve(ops::router(Arc::clone(&operations)), None));
    if let Some((listener, tls)) = peers {
        handles.push(listener.handle.clone());
        servers.spawn(listener.serve(peers::router(Arc::clone(&app)), Some(tls)));
    }
    announce(&format!("{url}/#{}", app.manifest().fingerprint()));
    tracing::info!(%ops_address, "serving; the line on standard output is the address that clients are given");

    let failed = tokio::select! {
        () = ends.wait() => None,
        Some(ended) = servers.join_next() => Some(ended),
    };
    tracing::info!("ending: no more connections are taken");
    operations.is_ending.store(true, Ordering::Relaxed);
    handles.iter().for_each(end);
    while servers.join_next().await.is_some() {}
    tasks.shutdown().await;
    let closed = tokio::time::timeout(CLOSE_WITHIN, tokio::task::spawn_blocking(move || hsm.close())).await;
    tracing::info!(hsm_closed = closed.is_ok(), "ended");
    match failed {
        None => Ok(()),
        Some(ended) => Err(Error::System("a listener has ended", format!("{ended:?}"))),
    }
}

/// The one line on standard output. That nobody reads it is no reason not to serve.
fn announce(address: &str) {
    let mut output = std::io::stdout().lock();
    let _ = writeln!(output, "{address}").and_then(|()| output.flush());
}

/// Asks the other sites how far this one's ledger had got, until enough have answered; then writes down what it hears of
/// theirs.
async fn remember_heights(app: Arc<App>) {
    while app.vault.site().check_height().await.is_err() {
        tracing::info!("too few other sites answer: nothing is evaluated yet");
        tokio::time::sleep(HEIGHTS_EVERY).await;
    }
    loop {
        if let Err(error) = app.vault.site().keep_heights().await {
            tracing::warn!(%error, "the other ledgers' heights are not written down");
        }
        tokio::time::sleep(HEIGHTS_EVERY).await;
    }
}

/// Has the record store forget its history, which nobody reads.
async fn compact(records: EtcdRecords) {
    loop {
        tokio::time::sleep(COMPACT_EVERY).await;
        if let Err(error) = records.compact().await {
            tracing::warn!(%error, "the record store was not compacted");
        }
    }
}

/// Erases what has come due, for ever.
async fn sweep(app: Arc<App>) {
    loop {
        match app.vault.site().sweep().await {
            Ok(accounts) => tracing::debug!(accounts, "swept"),
            Err(error) => tracing::warn!(%error, "the sweep was not finished"),
        }
        tokio::time::sleep(SWEEP_EVERY).await;
    }
}

async fn renew_manifest(app: Arc<App>, hsm: SharedHsm, every: Duration) {
    let mut said = String::new();
    loop {
        observe::show_end_of_manifest(app.manifest().content.not_after);
        tokio::time::sleep(every).await;
        match app.manifest().renewed(&hsm, SystemClock.now()).await {
            Ok(Some(manifest)) => {
                app.vault.site().learn_manifest(manifest.content.version);
                app.replace_manifest(manifest);
            }
            Ok(None) => said.clear(),
            Err(error) if error.to_string() == said => {}
            Err(error) => {
                tracing::error!(%error, "the manifest stays as it is");
                said = error.to_string();
            }
        }
    }
}

/// The roots are people: they have to be told in time.
async fn remind(app: Arc<App>) {
    loop {
        app.manifest().warn_of_its_end(SystemClock.now());
        tokio::time::sleep(REMIND_EVERY).await;
    }
}

async fn keep_up(app: Arc<App>, metrics: impl Fn() + Send) {
    loop {
        tokio::time::sleep(UPKEEP_EVERY).await;
        app.limits.forget();
        metrics();
    }
}
