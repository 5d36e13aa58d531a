//! A signing service on a loopback port that behaves and misbehaves: what each of its answers comes to.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::PermissionsExt;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use stellara_machine::command::AccountRole::{Channel, Fee, Treasury};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;
use crate::ports::signer::keyring::Seed;
use crate::ports::signer::local::LocalSigner;

const NETWORK: &str = "Standalone Network ; February 2017";
const TOKEN: &str = "s3cr3t-token";
const HASH: Hash = Hash([9; 32]);

/// What the service does with one request.
#[derive(Clone, Debug)]
enum Act {
    /// Signs as it should.
    Sign,
    /// Signs with another account's key.
    WrongAccount,
    /// Signs another hash.
    WrongHash,
    /// Answers this.
    Answer(StatusCode, String),
    /// Answers after longer than anyone waits.
    Hang,
}

#[derive(Debug, Default)]
struct Script {
    acts: VecDeque<Act>,
    /// The bodies of `POST /sign`, and the tokens they came with.
    asked: Vec<(Value, String)>,
    accounts: Option<Value>,
    token: String,
}

#[derive(Clone)]
struct Service {
    script: Arc<Mutex<Script>>,
    keys: LocalSigner,
}

/// A running service; stops when dropped.
struct Running {
    url: String,
    script: Arc<Mutex<Script>>,
    task: JoinHandle<()>,
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn account(seed: u8) -> AccountId {
    Seed::from_bytes([seed; 32]).account()
}

fn ours() -> BTreeMap<AccountId, AccountRole> {
    BTreeMap::from([
        (account(1), Channel),
        (account(2), Treasury),
        (account(3), Fee),
    ])
}

async fn serve(acts: impl IntoIterator<Item = Act>) -> Running {
    let seeds = [
        (Channel, Seed::from_bytes([1; 32])),
        (Treasury, Seed::from_bytes([2; 32])),
        (Fee, Seed::from_bytes([3; 32])),
    ];
    let script = Arc::new(Mutex::new(Script {
        acts: acts.into_iter().collect(),
        token: TOKEN.to_owned(),
        ..Script::default()
    }));
    let service = Service {
        script: Arc::clone(&script),
        keys: LocalSigner::from_seeds(seeds.iter().map(|(role, seed)| (*role, seed))),
    };
    let router = Router::new()
        .route("/v1/sign", post(sign))
        .route("/v1/accounts", get(accounts))
        .with_state(service);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let folder = tempfile::tempdir().unwrap();
    let running = Running {
        url,
        script,
        task,
        folder,
    };
    running.write_token(TOKEN);
    running
}

fn refused(headers: &HeaderMap, script: &Mutex<Script>) -> Option<Response> {
    let said = headers["authorization"].to_str().unwrap().to_owned();
    if said == format!("Bearer {}", script.lock().unwrap().token) {
        return None;
    }
    // A careless service that repeats what it was told.
    let body = json!({ "error": format!("no such token: {said}") });
    Some((StatusCode::UNAUTHORIZED, Json(body)).into_response())
}

async fn sign(
    State(service): State<Service>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Response {
    if let Some(refused) = refused(&headers, &service.script) {
        return refused;
    }
    let act = {
        let mut script = service.script.lock().unwrap();
        let told = headers["authorization"].to_str().unwrap().to_owned();
        script.asked.push((request.clone(), told));
        script.acts.pop_front().unwrap_or(Act::Sign)
    };
    let mut hash = Hash::default();
    hex::decode_to_slice(request["hash"].as_str().unwrap(), &mut hash.0).unwrap();
    let text = request["account"].as_str().unwrap();
    let asked = stellar_strkey::ed25519::PublicKey::from_string(text).unwrap();
    let (account, hash) = match act {
        Act::Sign => (AccountId(asked.0), hash),
        Act::WrongAccount => (account(3), hash),
        Act::WrongHash => (AccountId(asked.0), Hash([7; 32])),
        Act::Answer(status, body) => return (status, body).into_response(),
        Act::Hang => return pending().await,
    };
    let signed = service.keys.sign(account, hash).await.unwrap();
    Json(json!({ "signature": BASE64.encode(signed.signature) })).into_response()
}

async fn accounts(State(service): State<Service>, headers: HeaderMap) -> Response {
    if let Some(refused) = refused(&headers, &service.script) {
        return refused;
    }
    match &service.script.lock().unwrap().accounts {
        Some(accounts) => Json(accounts.clone()).into_response(),
        None => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

impl Running {
    fn write_token(&self, token: &str) {
        let path = self.folder.path().join("token");
        fs::write(&path, format!("{token}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn settings(&self) -> RemoteSettings {
        RemoteSettings {
            url: self.url.clone(),
            token_file: Some(self.folder.path().join("token")),
            call_timeout_ms: 300,
            tries_max: 3,
            network_passphrase: NETWORK.to_owned(),
            accounts: ours(),
        }
    }

    fn asked(&self) -> Vec<(Value, String)> {
        self.script.lock().unwrap().asked.clone()
    }
}

/// Signs once with a service that does this, and tells how often the service was asked.
async fn check(
    acts: impl IntoIterator<Item = Act>,
    expected: Result<(), &str>,
) -> (usize, Option<SignError>) {
    let running = serve(acts).await;
    let signer = RemoteSigner::new(running.settings()).unwrap();
    let signed = signer.sign(account(2), HASH).await;
    if let Ok(signed) = &signed {
        assert!(verifies(account(2), HASH, &signed.signature));
        assert_eq!(signed.hint, hint(account(2)));
    }
    let words = signed.as_ref().map(|_| ()).map_err(ToString::to_string);
    match (&words, expected) {
        (Ok(()), Ok(())) => {}
        (Err(words), Err(expected)) => {
            assert!(
                words.contains(expected),
                "{words:?} does not say {expected:?}"
            );
            assert!(!words.contains(TOKEN), "{words:?}");
        }
        (words, expected) => panic!("{words:?}, expected {expected:?}"),
    }
    (running.asked().len(), signed.err())
}

#[tokio::test]
async fn a_right_signature_is_handed_out_and_the_request_is_as_described() {
    let running = serve([]).await;
    let signer = RemoteSigner::new(running.settings()).unwrap();
    let signed = signer.sign(account(1), HASH).await.unwrap();
    let seed = Seed::from_bytes([1; 32]);
    let here = LocalSigner::from_seeds([(Channel, &seed)]);
    assert_eq!(signed, here.sign(account(1), HASH).await.unwrap());
    let request = json!({
        "account": address(account(1)),
        "hash": "09".repeat(32),
        "network": NETWORK,
    });
    assert_eq!(running.asked(), [(request, format!("Bearer {TOKEN}"))]);
    let shown = format!("{signer:?}");
    assert!(
        shown.contains("127.0.0.1") && !shown.contains(TOKEN),
        "{shown}"
    );
}

#[tokio::test]
async fn a_wrong_signature_never_leaves() {
    for act in [Act::WrongAccount, Act::WrongHash] {
        let (asked, error) = check([act], Err("does not verify for account G")).await;
        let account = account(2);
        assert_eq!(error, Some(SignError::WrongSignature { account }));
        assert_eq!(asked, 1, "it is not asked for again at once");
    }
}

#[tokio::test]
async fn an_account_that_it_does_not_list_is_not_asked_for() {
    let running = serve([]).await;
    let signer = RemoteSigner::new(running.settings()).unwrap();
    let stranger = account(9);
    assert_eq!(
        signer.sign(stranger, HASH).await,
        Err(SignError::UnknownAccount { account: stranger })
    );
    assert!(running.asked().is_empty());
    assert_eq!(signer.accounts(Treasury), [account(2)]);
}

#[tokio::test]
async fn what_passes_is_tried_again_and_not_for_ever() {
    let down = || Act::Answer(StatusCode::INTERNAL_SERVER_ERROR, "{}".to_owned());
    let busy = || Act::Answer(StatusCode::TOO_MANY_REQUESTS, "{}".to_owned());
    assert_eq!(check([down(), Act::Sign], Ok(())).await.0, 2);
    assert_eq!(check([busy(), Act::Hang, Act::Sign], Ok(())).await.0, 3);
    let (asked, error) = check([down(), down(), down(), Act::Sign], Err("500")).await;
    assert_eq!(asked, 3);
    assert!(matches!(error, Some(SignError::Unavailable { .. })));
    let hangs = [Act::Hang, Act::Hang, Act::Hang];
    let (asked, error) = check(hangs, Err("(3 of 3 tries)")).await;
    assert_eq!(asked, 3);
    assert!(matches!(error, Some(SignError::Unavailable { .. })));
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let running = serve([]).await;
    let mut settings = running.settings();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    settings.url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let signer = RemoteSigner::new(settings).unwrap();
    let error = signer.sign(account(2), HASH).await.unwrap_err();
    assert!(matches!(error, SignError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn a_refusal_is_told_with_its_words_and_not_repeated() {
    let seed = stellar_strkey::ed25519::PrivateKey([5; 32]);
    let seed = seed.as_unredacted().to_string();
    let body = |words: &str| json!({ "error": words }).to_string();
    let refusal = |words: &str| Act::Answer(StatusCode::FORBIDDEN, body(words));
    let words = "daily limit reached";
    let (asked, error) = check([refusal(words)], Err("403 Forbidden: daily limit reached")).await;
    assert_eq!(asked, 1);
    assert!(matches!(error, Some(SignError::Refused { .. })));
    let (_, error) = check([refusal(&format!("key={seed}"))], Err("not repeated")).await;
    assert!(!error.unwrap().to_string().contains(seed.as_str()));
    let moved = Act::Answer(StatusCode::FOUND, String::new());
    check([moved], Err("not as described")).await;
}

#[tokio::test]
async fn garbage_is_no_signature() {
    let short = json!({ "signature": BASE64.encode([1; 63]) }).to_string();
    let texts = [
        ("<html>", "it is not {\"signature\": …} (line 1, column 1)"),
        ("{}", "it is not {\"signature\": …}"),
        ("{\"signature\": 7}", "it is not {\"signature\": …}"),
        ("{\"signature\": \"~\"}", "signature is not base64"),
        (short.as_str(), "signature has 63 bytes, expected 64"),
    ];
    for (text, words) in texts {
        let act = Act::Answer(StatusCode::OK, text.to_owned());
        let (asked, error) = check([act], Err(words)).await;
        assert_eq!(asked, 1);
        assert!(matches!(error, Some(SignError::Unreadable { .. })));
    }
    let endless = Act::Answer(StatusCode::OK, " ".repeat(5 * 1024 * 1024));
    check(
        [endless.clone(), endless.clone(), endless],
        Err("answer is longer"),
    )
    .await;
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again() {
    let running = serve([]).await;
    let signer = RemoteSigner::new(running.settings()).unwrap();
    running.script.lock().unwrap().token = "next".to_owned();
    let error = signer.sign(account(2), HASH).await.unwrap_err();
    assert!(matches!(error, SignError::Refused { .. }), "{error}");
    assert!(!error.to_string().contains(TOKEN), "{error}");
    running.write_token("next");
    signer.sign(account(2), HASH).await.unwrap();
}

#[tokio::test]
async fn accounts_are_asked_for_until_the_service_tells_them() {
    let running = serve([]).await;
    let mut settings = running.settings();
    settings.accounts.clear();
    settings.tries_max = 1;
    let signer = RemoteSigner::new(settings).unwrap();
    let error = signer.sign(account(2), HASH).await.unwrap_err();
    assert!(matches!(error, SignError::Unavailable { .. }), "{error}");
    let keeping = tokio::spawn(signer.clone().keep_listed());
    let each = ours().into_iter().map(|(account, role)| {
        let role = match role {
            Treasury => "treasury",
            Channel => "channel",
            Fee => "fee",
        };
        json!({ "account": address(account), "role": role })
    });
    let each: Vec<Value> = each.collect();
    running.script.lock().unwrap().accounts = Some(json!({ "accounts": each }));
    signer.listed_after(0).await;
    assert_eq!(signer.listing(), 1);
    assert_eq!(signer.accounts(Channel), [account(1)]);
    signer.sign(account(2), HASH).await.unwrap();
    keeping.abort();
}

#[test]
fn a_list_of_accounts_is_checked() {
    let check = |each: Value, expected: &str| {
        let body = json!({ "accounts": each }).to_string();
        let error = listed(body.as_bytes()).unwrap_err();
        assert!(
            error.contains(expected),
            "{error:?} does not say {expected:?}"
        );
    };
    let known = address(account(1));
    let fee = json!({ "account": known, "role": "fee" });
    check(json!([fee, fee]), "accounts[1].account is listed before");
    check(
        json!([{ "account": known, "role": "boss" }]),
        "accounts[0].role is \"boss\", expected treasury, channel or fee",
    );
    check(
        json!([{ "account": "G", "role": "fee" }]),
        "accounts[0].account is \"G\", expected G… of 56 characters",
    );
    check(json!({}), "its list of accounts is not as described");
}

#[test]
fn settings_and_token_files_are_checked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let settings = RemoteSettings {
        url: "https://signer.example".to_owned(),
        token_file: Some(path.clone()),
        call_timeout_ms: 1_000,
        tries_max: 3,
        network_passphrase: NETWORK.to_owned(),
        accounts: ours(),
    };
    let check = |settings: &RemoteSettings, expected: &str| {
        let error = RemoteSigner::new(settings.clone()).unwrap_err().to_string();
        assert!(
            error.contains(expected),
            "{error:?} does not say {expected:?}"
        );
    };
    check(&settings, "does not exist");
    let write = |text: &str, mode: u32| {
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("token", 0o640);
    check(&settings, "has mode 640, expected 600");
    write("\n", 0o600);
    check(&settings, "holds nothing");
    write("two words", 0o600);
    check(&settings, "holds 1 other bytes");
    write("token\n", 0o600);
    RemoteSigner::new(settings.clone()).unwrap();
    let of = |change: fn(&mut RemoteSettings)| {
        let mut settings = settings.clone();
        change(&mut settings);
        settings
    };
    check(
        &of(|settings| settings.tries_max = 11),
        "signer.tries_max is 11, expected 1 to 10",
    );
    check(
        &of(|settings| settings.call_timeout_ms = 0),
        "signer.timeout_ms is 0",
    );
    check(
        &of(|settings| settings.url = "http://10.0.0.1".to_owned()),
        "its host is another machine",
    );
}
