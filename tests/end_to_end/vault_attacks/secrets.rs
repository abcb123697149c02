//! A whole run, and every secret of it searched for in all that it left behind.

use std::fs;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use coffer_proto::RetrievalAnswer;

use super::account::Account;
use super::budget::{RIGHT, WRONG};
use super::guess::Guess;
use crate::server::Server;
use crate::tree::files_below;

/// The same bytes, as they might be written down.
fn forms(secret: &[u8]) -> Vec<Vec<u8>> {
    let texts = [
        hex::encode(secret),
        hex::encode_upper(secret),
        STANDARD_NO_PAD.encode(secret),
        URL_SAFE_NO_PAD.encode(secret),
        format!("{secret:?}").trim_matches(['[', ']']).to_owned(),
    ];
    texts.into_iter().map(String::into_bytes).chain([secret.to_vec()]).collect()
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    bytes.windows(needle.len()).any(|window| window == needle)
}

/// What somebody could see, and where.
struct Traces(Vec<(String, Vec<u8>)>);

impl Traces {
    /// That a secret is in these places and in no other.
    #[track_caller]
    fn hold(&self, name: &str, secret: &[u8], only_in: &[&str]) {
        assert!(secret.len() >= 6, "{name}: too short to be searched for");
        let forms = forms(secret);
        let is_in = |bytes: &[u8]| forms.iter().any(|form| contains(bytes, form));
        let found: Vec<_> = self.0.iter().filter(|(_, bytes)| is_in(bytes)).map(|(place, _)| place.as_str()).collect();
        assert_eq!(found, only_in, "{name}");
    }
}

/// What a run knows and must not tell.
struct Run {
    account: Account,
    export_key: [u8; 32],
    unlock_seed: [u8; 32],
    answers: Vec<String>,
}

/// Registration, wrong and right guesses, forged and right proofs, refused requests, the end.
fn run(server: &Server, name: &str) -> Run {
    let mut account = Account::registered(server, name, RIGHT);
    let mut answers = Vec::new();
    let wrong = Guess::new(&account, WRONG);
    answers.push(wrong.send().body);
    let guess = Guess::new(&account, RIGHT);
    let answer: RetrievalAnswer = guess.send().read();
    let opened = guess.open(&account, &answer.ke2.0).unwrap();
    let mut proof = guess.proof(&account, &opened, &answer);
    answers.push(wrong.proof_request(&account, &proof).send(account.host()).body);
    proof.ke3.0[0] ^= 1;
    answers.push(guess.proof_request(&account, &proof).send(account.host()).body);
    answers.push(wrong.request().with_changed(|body| body["more"] = 1.into()).send(account.host()).body);
    answers.push(wrong.request().by(&format!("{}x", account.token)).send(account.host()).body);
    proof.ke3.0[0] ^= 1;
    answers.push(guess.proof_request(&account, &proof).send(account.host()).body);
    account.is_restored_by(RIGHT);
    // One that stays unproved is kept with the token that it was made with.
    assert_eq!(Guess::new(&account, WRONG).send().status, 200);
    let export_key = *opened.export_key.expose_bytes();
    let unlock_seed = *opened.unlock_key().expose_seed();
    account.register(WRONG);
    account.delete().unwrap();
    Run { account, export_key, unlock_seed, answers }
}

fn process(pid: u32) -> impl Iterator<Item = (String, Vec<u8>)> {
    ["cmdline", "environ"].into_iter().map(move |file| {
        let bytes = fs::read(format!("/proc/{pid}/{file}")).unwrap();
        assert!(!bytes.is_empty());
        (file.to_owned(), bytes)
    })
}

#[test]
fn no_secret_is_in_logs_answers_arguments_or_files() {
    for format in ["text", "json"] {
        let mut server = Server::start_with(&["--log-format", format]);
        let run = run(&server, "ada");
        let mut traces: Vec<_> = process(server.pid()).collect();
        server.stop();
        let log = server.log();
        assert!(log.contains("audit") && log.contains("deletion asked for"), "{log}");
        traces.push(("log".to_owned(), log.into_bytes()));
        let answers = run.answers.into_iter().map(String::into_bytes).chain(run.account.answers());
        traces.extend(answers.map(|answer| ("answer".to_owned(), answer)));
        let data = server.data();
        let shown = |file: &PathBuf| file.strip_prefix(&data).unwrap().to_str().unwrap().to_owned();
        traces.extend(files_below(&data).iter().map(|file| (shown(file), fs::read(file).unwrap())));
        let traces = Traces(traces);

        traces.hold("the password", RIGHT.as_bytes(), &[]);
        traces.hold("a wrong password", WRONG.as_bytes(), &[]);
        traces.hold("the export key", &run.export_key, &[]);
        traces.hold("the unlock key", &run.unlock_seed, &[]);
        traces.hold("the backup key", run.account.backup_key.expose_bytes(), &[]);
        traces.hold("the owner key", run.account.backup_key.derive_owner_key().expose_seed(), &[]);
        traces.hold("the device key", run.account.device.expose_seed(), &[]);
        for file in ["secrets/pin", "secrets/so-pin", "secrets/token-issuer"] {
            let secret = fs::read_to_string(data.join(file)).unwrap();
            traces.hold(file, secret.trim().as_bytes(), &[file]);
        }
        // The evidence of who has spent an attempt or asked for an end.
        traces.hold("the token", run.account.token.as_bytes(), &["store/vault.redb"]);
        let signature = run.account.token.rsplit('.').next().unwrap();
        traces.hold("the token's signature", signature.as_bytes(), &["store/vault.redb"]);
    }
}
