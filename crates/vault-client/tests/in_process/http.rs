//! The transport over HTTP, before servers that do not behave.

use coffer_vault_client::{HttpError, HttpTransport, MAX_ANSWER, Method, Request, Transport as _, TransportError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A server that answers every connection with these bytes; what it was asked comes back.
async fn server(answer: Vec<u8>) -> (String, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/#{}", listener.local_addr().unwrap(), "0a".repeat(32));
    let served = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut asked = vec![0; 4096];
        let len = connection.read(&mut asked).await.unwrap();
        // Who has read enough hangs up.
        let _ = connection.write_all(&answer).await;
        let _ = connection.shutdown().await;
        String::from_utf8_lossy(&asked[..len]).into_owned()
    });
    (address, served)
}

fn transport(address: &str) -> HttpTransport {
    HttpTransport::new(&address.parse().unwrap(), None).unwrap()
}

const REQUEST: Request<'_> =
    Request { method: Method::Put, path: "/v1/archive-head", token: Some("e30.e30.AA"), body: Some(b"{}") };

#[tokio::test]
async fn sends_what_it_is_given_and_gives_back_what_comes() {
    let (address, served) = server(b"HTTP/1.1 409 Conflict\r\ncontent-length: 2\r\n\r\n[]".to_vec()).await;
    let answer = transport(&address).send(&REQUEST).await.unwrap();
    assert_eq!((answer.status, answer.body), (409, b"[]".to_vec()));
    let asked = served.await.unwrap().to_lowercase();
    assert!(asked.starts_with("put /v1/archive-head http/1.1\r\n"), "{asked}");
    for line in ["authorization: bearer e30.e30.aa\r\n", "content-type: application/json\r\n", "\r\n\r\n{}"] {
        assert!(asked.contains(line), "{line:?} is not in {asked}");
    }
}

#[tokio::test]
async fn refuses_an_answer_that_does_not_end() {
    let mut answer = b"HTTP/1.1 200 OK\r\n\r\n".to_vec();
    answer.resize(answer.len() + MAX_ANSWER, b' ');
    let (address, _served) = server(answer.clone()).await;
    assert_eq!(transport(&address).send(&REQUEST).await.unwrap().body.len(), MAX_ANSWER);
    answer.push(b' ');
    let (address, _served) = server(answer).await;
    assert_eq!(transport(&address).send(&REQUEST).await, Err(TransportError::TooLong));
}

#[tokio::test]
async fn follows_no_redirect() {
    let answer = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://192.0.2.1/\r\ncontent-length: 0\r\n\r\n";
    let (address, _served) = server(answer.to_vec()).await;
    assert_eq!(transport(&address).send(&REQUEST).await.unwrap().status, 307);
}

#[tokio::test]
async fn says_that_nobody_answers_without_a_word_of_the_token() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/#{}", listener.local_addr().unwrap(), "0a".repeat(32));
    drop(listener);
    let Err(TransportError::Unreachable(reason)) = transport(&address).send(&REQUEST).await else {
        panic!("nobody listens there");
    };
    assert!(!reason.is_empty() && !reason.contains("e30"), "{reason}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_no_answer() {
    let (address, _served) = server(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{".to_vec()).await;
    assert!(matches!(transport(&address).send(&REQUEST).await, Err(TransportError::Unreachable(_))));
}

#[tokio::test]
async fn refuses_authorities_that_are_no_certificates() {
    let address = format!("https://vault.example/#{}", "0a".repeat(32)).parse().unwrap();
    for pem in [b"" as &[u8], b"nonsense"] {
        assert_eq!(HttpTransport::new(&address, Some(pem)).unwrap_err(), HttpError::Certificates);
    }
}

/// What is not encrypted goes to this machine only: not by way of whatever the environment names as a proxy.
#[tokio::test]
async fn plain_http_goes_through_no_proxy() {
    const ADDRESS: &str = "COFFER_TEST_ADDRESS";
    if let Ok(address) = std::env::var(ADDRESS) {
        assert_eq!(transport(&address).send(&REQUEST).await.unwrap().status, 204);
        return;
    }
    let (address, served) = server(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()).await;
    let (proxy, _seen) = server(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n".to_vec()).await;
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "http::plain_http_goes_through_no_proxy"]).env(ADDRESS, &address);
    again.env("HTTP_PROXY", proxy.split('#').next().unwrap()).env_remove("NO_PROXY").env_remove("no_proxy");
    let asked = tokio::task::spawn_blocking(move || again.output()).await.unwrap().unwrap();
    assert!(asked.status.success(), "{}", String::from_utf8_lossy(&asked.stdout));
    assert!(served.await.unwrap().starts_with("PUT /v1/archive-head "));
}
