//! `coffer-gateway serve`

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use coffer_service::{Ends, JwtTokens, Limits, Listener, end, load_tls, start_logs};
use tokio::task::JoinSet;

use crate::app::App;
use crate::config::Config;
use crate::error::Error;
use crate::ops::{self, Operations};
use crate::router::{METRICS, router};
use crate::sites::Sites;

const UPKEEP_EVERY: Duration = Duration::from_secs(5);

pub(crate) fn run(config: Config) -> Result<(), Error> {
    start_logs(config.log);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Error::System("no threads", error.to_string()))?;
    let served = runtime.block_on(serve(config));
    // Whatever still runs has had its time.
    runtime.shutdown_timeout(Duration::from_millis(100));
    served
}

async fn serve(config: Config) -> Result<(), Error> {
    let mut ends = Ends::listen()?;
    let public = Listener::bind(config.listen)?.limited(&config.limits);
    let private = Listener::bind(config.ops_listen)?;
    let tls = match &config.tls {
        Some(files) => Some(load_tls(files).await?),
        None => None,
    };
    let scheme = if tls.is_some() { "https" } else { "http" };
    let url = format!("{scheme}://{}", public.address);
    let metrics = METRICS.start().map_err(|error| Error::System("no metrics", error.to_string()))?;
    let names = &config.tokens;
    let tokens = JwtTokens::open(&names.issuer, &names.audience, names.jwks_file.clone())?;
    let (limits, sites) = (Limits::new(&config.limits), Sites::connect(&config.sites)?);
    let app = Arc::new(App { tokens: tokens.clone(), limits, sites });
    let operations =
        Arc::new(Operations { app: Arc::clone(&app), metrics: metrics.clone(), is_ending: AtomicBool::new(false) });

    let mut tasks = JoinSet::new();
    tasks.spawn(tokens.keep_keys_fresh());
    let limited = Arc::clone(&app);
    tasks.spawn(async move {
        loop {
            tokio::time::sleep(UPKEEP_EVERY).await;
            limited.limits.forget();
            metrics.run_upkeep();
        }
    });

    let handles = [public.handle.clone(), private.handle.clone()];
    let ops_address = private.address;
    let mut servers = JoinSet::new();
    servers.spawn(public.serve(router(app), tls));
    servers.spawn(private.serve(ops::router(Arc::clone(&operations)), None));
    let mut output = std::io::stdout().lock();
    // That nobody reads it is no reason not to serve.
    let _ = writeln!(output, "{url}").and_then(|()| output.flush());
    drop(output);
    tracing::info!(%ops_address, "serving; the line on standard output is the address, without the fleet's fingerprint");

    let failed = tokio::select! {
        () = ends.wait() => None,
        Some(ended) = servers.join_next() => Some(ended),
    };
    tracing::info!("ending: no more connections are taken");
    operations.is_ending.store(true, Ordering::Relaxed);
    handles.iter().for_each(end);
    while servers.join_next().await.is_some() {}
    tasks.shutdown().await;
    tracing::info!("ended");
    match failed {
        None => Ok(()),
        Some(ended) => Err(Error::System("a listener has ended", format!("{ended:?}"))),
    }
}
