//! A transport into a vault in this process. It can lose what it carries, and put other answers in its place.

use std::sync::{Arc, Mutex};

use coffer_proto::{Problem, ProblemType};
use coffer_testkit::TestFleet;
use coffer_vault_client::{ClockFn, Method, Request, Response, Transport, TransportError};

/// A request that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) body: serde_json::Value,
}

impl Sent {
    /// Which site it was sealed to.
    pub(crate) fn site(&self) -> u8 {
        self.path.split('/').nth(3).unwrap().parse().unwrap()
    }

    /// The route, with the ids left out.
    pub(crate) fn route(&self) -> String {
        let parts = self.path.split('/').map(|part| if part.len() == 32 { "{id}" } else { part });
        format!("{:?} {}", self.method, parts.collect::<Vec<_>>().join("/"))
    }
}

/// Changes the answer to a request: its status and its body.
type Tamper = Box<dyn FnMut(&Sent, u16, Vec<u8>) -> (u16, Vec<u8>) + Send>;

#[derive(Default)]
struct State {
    sent: Vec<Sent>,
    tamper: Option<Tamper>,
    /// The route whose answer, and everything after it, is lost; and whether it has come to that.
    cut: Option<(String, bool)>,
    hiccups: usize,
    /// The route that does what it is asked, and is not heard to say so.
    muted: Option<String>,
    /// What stands in the place of every token.
    token: Option<String>,
    /// The vault is restarted before the next request to this route.
    restart: Option<String>,
    /// These sites go away before the next sealed request to this route.
    gone: Option<(String, Vec<u8>)>,
}

/// Clones are the same wire.
#[derive(Clone)]
pub(crate) struct Wire {
    pub(crate) vault: Arc<TestFleet>,
    state: Arc<Mutex<State>>,
}

impl Wire {
    pub(crate) fn to(vault: TestFleet) -> Self {
        Self { vault: Arc::new(vault), state: Arc::default() }
    }

    /// The vault's clock.
    pub(crate) fn clock(&self) -> ClockFn {
        let vault = Arc::clone(&self.vault);
        Arc::new(move || vault.now())
    }

    /// What was sent since this was last asked.
    pub(crate) fn take_sent(&self) -> Vec<Sent> {
        std::mem::take(&mut self.state.lock().unwrap().sent)
    }

    /// From now on every answer comes by way of `tamper`.
    pub(crate) fn tamper(&self, tamper: impl FnMut(&Sent, u16, Vec<u8>) -> (u16, Vec<u8>) + Send + 'static) {
        self.state.lock().unwrap().tamper = Some(Box::new(tamper));
    }

    /// From now on every request bears this token.
    pub(crate) fn replace_tokens(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// From now on the JSON answers to one route are changed.
    pub(crate) fn tamper_json(&self, at: &str, mut change: impl FnMut(&mut serde_json::Value) + Send + 'static) {
        let at = at.to_owned();
        self.tamper(move |sent, status, body| {
            if sent.route() != at {
                return (status, body);
            }
            let mut answer = serde_json::from_slice(&body).unwrap();
            change(&mut answer);
            (status, serde_json::to_vec(&answer).unwrap())
        });
    }

    /// The answer to the next request to `route` is lost, and from then on nothing goes through, until it is mended.
    pub(crate) fn cut_after(&self, route: &str) {
        self.state.lock().unwrap().cut = Some((route.to_owned(), false));
    }

    /// The next `count` answers are lost.
    pub(crate) fn lose(&self, count: usize) {
        self.state.lock().unwrap().hiccups = count;
    }

    /// From now on nobody hears that a request to `route` has succeeded, however often it is sent; what is refused is.
    pub(crate) fn mute(&self, route: &str) {
        self.state.lock().unwrap().muted = Some(route.to_owned());
    }

    /// Before the next request to `route` arrives, the vault is restarted.
    pub(crate) fn restart_before(&self, route: &str) {
        self.state.lock().unwrap().restart = Some(route.to_owned());
    }

    /// Before the next sealed request to `route` arrives, these sites go away.
    pub(crate) fn vault_goes_before(&self, route: &str, sites: &[u8]) {
        self.state.lock().unwrap().gone = Some((route.to_owned(), sites.to_vec()));
    }

    pub(crate) fn mend(&self) {
        let mut state = self.state.lock().unwrap();
        (state.cut, state.tamper, state.hiccups, state.muted) = (None, None, 0, None);
    }
}

impl Transport for Wire {
    async fn send(&self, request: &Request<'_>) -> Result<Response, TransportError> {
        let lost = || Err(TransportError::Unreachable("the wire is cut".to_owned()));
        let body = request.body.map_or_else(Default::default, |body| serde_json::from_slice(body).unwrap());
        let sent = Sent { method: request.method, path: request.path.to_owned(), body };
        let route = sent.route();
        {
            let mut state = self.state.lock().unwrap();
            state.sent.push(sent.clone());
            if matches!(state.cut, Some((_, true))) {
                return lost();
            }
        }
        let is_restarted = self.state.lock().unwrap().restart.take_if(|at| *at == route).is_some();
        if is_restarted {
            self.vault.restart(1).await;
        }
        let gone = self.state.lock().unwrap().gone.take_if(|(at, _)| sent.body["route"] == **at);
        for site in gone.into_iter().flat_map(|(_, sites)| sites) {
            self.vault.set_up(site, false);
        }
        let method = format!("{:?}", request.method).to_uppercase();
        let body = request.body.unwrap_or_default();
        let replaced = self.state.lock().unwrap().token.clone();
        let token = replaced.as_deref().or(request.token).unwrap_or_default();
        let (status, body) = self.vault.handle(&method, request.path, token, body).await;
        let mut state = self.state.lock().unwrap();
        if let Some((at, is_cut)) = &mut state.cut
            && *at == route
        {
            *is_cut = true;
            return lost();
        }
        if state.hiccups > 0 {
            state.hiccups -= 1;
            return lost();
        }
        if status < 300 && state.muted.as_ref() == Some(&route) {
            return lost();
        }
        let (status, body) = match &mut state.tamper {
            Some(tamper) => tamper(&sent, status, body),
            None => (status, body),
        };
        Ok(Response { status, body })
    }
}

/// What a gateway or a site may refuse with.
pub(crate) fn problem(problem_type: ProblemType) -> (u16, Vec<u8>) {
    let problem = Problem {
        problem_type,
        title: "a problem".to_owned(),
        status: problem_type.status(),
        detail: None,
        attempts_remaining: Some(0),
        retry_at: None,
        next_number: None,
    };
    (problem.status, serde_json::to_vec(&problem).unwrap())
}
