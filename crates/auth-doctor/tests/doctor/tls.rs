//! Servers with certificates that are not good, and servers that speak something else.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use auth_core::clock::{Clock, TestClock, Timestamp};
use auth_doctor::{Depth, Report, Variables, examine};
use auth_testing::mtls;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};
use serde_json::json;

use crate::world::{World, complaints, detail, has, options};

/// Reads one request's head.
fn read_head(stream: &mut impl Read) -> String {
    let (mut head, mut bytes) = (Vec::new(), [0; 1024]);
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read(&mut bytes) {
            Ok(read @ 1..) => head.extend_from_slice(&bytes[..read]),
            _ => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// A server without TLS, which answers each request with what a function makes of its head.
pub(crate) struct Plain {
    pub(crate) url: String,
}

impl Plain {
    pub(crate) fn start(answer: impl Fn(&str) -> String + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let head = read_head(&mut stream);
                let _ = stream.write_all(answer(&head).as_bytes());
            }
        });
        Self { url }
    }
}

/// A certificate authority of a test's own.
struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate of it.
#[derive(Clone, Copy)]
struct Certificate {
    name: &'static str,
    years: (i32, i32),
}

const GOOD: Certificate = Certificate {
    name: "localhost",
    years: (2020, 2100),
};

const ONLY_1_2: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12];

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Serves a discovery document for `https://localhost:PORT`; gives that issuer.
    fn serve(
        &self,
        certificate: Certificate,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> String {
        self.serve_to(&WebPkiClientVerifier::no_client_auth(), certificate, versions)
    }

    /// The same to clients that show a certificate of this authority.
    fn serve_to_known(&self, versions: &'static [&'static SupportedProtocolVersion]) -> String {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        self.serve_to(&clients.build().unwrap(), GOOD, versions)
    }

    fn serve_to(
        &self,
        clients: &Arc<dyn ClientCertVerifier>,
        certificate: Certificate,
        versions: &'static [&'static SupportedProtocolVersion],
    ) -> String {
        let mut params = CertificateParams::new([certificate.name.to_owned()]).unwrap();
        params.not_before = date_time_ymd(certificate.years.0, 1, 1);
        params.not_after = date_time_ymd(certificate.years.1, 1, 1);
        let key = KeyPair::generate().unwrap();
        let signed = params.signed_by(&key, &self.0).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config =
            ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_protocol_versions(versions)
                .unwrap()
                .with_client_cert_verifier(Arc::clone(clients))
                .with_single_cert(vec![signed.der().clone()], key)
                .unwrap();
        let config = Arc::new(config);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let issuer = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        let served = issuer.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
                let mut stream = StreamOwned::new(connection, stream.unwrap());
                let _ = read_head(&mut stream);
                let document = document(&served);
                // Whoever does not trust the certificate is gone by now.
                let _ = write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
                    document.len()
                );
                stream.conn.send_close_notify();
                let _ = stream.flush();
                // Whoever was refused has a request on the way; hanging up on it could overtake the refusal.
                while matches!(stream.sock.read(&mut [0; 1024]), Ok(1..)) {}
            }
        });
        issuer
    }

    fn pem(&self) -> String {
        self.0.pem()
    }
}

fn document(issuer: &str) -> String {
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "jwks_uri": format!("{issuer}/jwks"),
        "response_types_supported": ["code"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
    })
    .to_string()
}

async fn examined(issuer: &str, ca: Option<&str>, clock: Clock) -> Report {
    let directory = tempfile::tempdir().unwrap();
    let mut variables = Variables::of_table([("AUTH_ISSUER", issuer)]);
    if let Some(pem) = ca {
        let file = directory.path().join("ca.pem");
        std::fs::write(&file, pem).unwrap();
        variables.set("AUTH_CA_FILE", file.to_str().unwrap());
    }
    examine(&variables, &options(Depth::Read, clock)).await
}

/// The ids of this area.
fn of_tls(report: &Report) -> Vec<&'static str> {
    let ids = report.findings.iter().map(|finding| finding.id);
    ids.filter(|id| id.starts_with("tls.")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    let (ours, other) = (Authority::new(), Authority::new());
    let wrong_name = Certificate {
        name: "elsewhere.example",
        ..GOOD
    };
    let expired = Certificate {
        years: (2020, 2021),
        ..GOOD
    };
    let not_yet = Certificate {
        years: (2099, 2100),
        ..GOOD
    };
    for (certificate, ca, expected) in [
        (GOOD, Some(ours.pem()), "tls.good"),
        (GOOD, None, "tls.unknown_authority"),
        (GOOD, Some(other.pem()), "tls.unknown_authority"),
        (wrong_name, Some(ours.pem()), "tls.wrong_name"),
        (expired, Some(ours.pem()), "tls.expired"),
        (not_yet, Some(ours.pem()), "tls.not_yet_valid"),
    ] {
        let issuer = ours.serve(certificate, rustls::ALL_VERSIONS);
        let report = examined(&issuer, ca.as_deref(), Clock::system()).await;
        assert_eq!(of_tls(&report), [expected], "{:?}", report.findings);
        assert_eq!(
            has(&report, "discovery.good"),
            expected == "tls.good",
            "{expected}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_ends_soon_is_found_before_it_does() {
    const END_OF_2099: i64 = 4_102_444_800;
    let ours = Authority::new();
    let issuer = ours.serve(GOOD, rustls::ALL_VERSIONS);
    let clock = TestClock::new();
    for (days, expected) in [(13, "tls.expires_soon"), (15, "tls.good")] {
        clock.set(Timestamp::from_secs(END_OF_2099 - days * 24 * 3600));
        let report = examined(&issuer, Some(&ours.pem()), clock.clock()).await;
        assert_eq!(of_tls(&report), [expected], "{days}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn old_versions_of_tls_are_told_from_none_at_all() {
    let ours = Authority::new();
    let issuer = ours.serve(GOOD, ONLY_1_2);
    let report = examined(&issuer, Some(&ours.pem()), Clock::system()).await;
    assert_eq!(of_tls(&report), ["tls.no_1_3", "tls.good"]);

    // What a server of TLS 1.0 says to a client that offers nothing older than 1.2: alert 70, protocol_version.
    let old = says(&[21, 3, 1, 0, 2, 2, 70]);
    let report = examined(&old, None, Clock::system()).await;
    assert_eq!(of_tls(&report), ["tls.too_old"], "{:?}", report.findings);
    assert!(complaints(&report).contains(&"tls.too_old"));

    let plain = says(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let report = examined(&plain, None, Clock::system()).await;
    assert_eq!(of_tls(&report), ["tls.failed"], "{:?}", report.findings);
}

/// A client's certificate of this authority, good until a year, with its key in one file.
fn client_certificate(directory: &Path, authority: &Authority, until: i32) -> String {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until, 1, 1);
    let key = KeyPair::generate().unwrap();
    let signed = params.signed_by(&key, &authority.0).unwrap();
    let path = directory.join(format!("client-{until}.pem"));
    std::fs::write(&path, format!("{}{}", signed.pem(), key.serialize_pem())).unwrap();
    path.to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_that_ends_is_found() {
    const END_OF_2099: i64 = 4_102_444_800;
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::start().await;
    let file = client_certificate(directory.path(), &Authority::new(), 2100);
    world.set("AUTH_CLIENT_CERT", &file);
    world.set("AUTH_CERT_BOUND_TOKENS", "true");
    for (days, expected) in [
        (15, &[][..]),
        (13, &["client.certificate_expires_soon"]),
        (-1, &["client.certificate_expired"]),
    ] {
        world
            .clock
            .set(Timestamp::from_secs(END_OF_2099 - days * 24 * 3600));
        let report = world.examine_to(Depth::Settings).await;
        assert_eq!(complaints(&report), expected, "{days}: {:?}", report.findings);
    }
}

/// What a client's certificate is for, against what the provider says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_provider_does_not_do_with_certificates_is_found() {
    let directory = tempfile::tempdir().unwrap();
    let file = client_certificate(directory.path(), &Authority::new(), 2100);
    let mut world = World::start().await;
    world.set("AUTH_CLIENT_CERT", &file);
    world.set("AUTH_CERT_BOUND_TOKENS", "true");
    let report = world.examine().await;
    assert_eq!(complaints(&report), ["client.certificate_binding_unsupported"]);
    assert!(has(&report, "endpoints.no_mtls_aliases"));
    assert!(!has(&report, "client.not_bound"));

    world.set("AUTH_CERT_BOUND_TOKENS", "");
    world.set("AUTH_CLIENT_SECRET", "");
    world.set("AUTH_CLIENT_AUTH", "tls_client_auth");
    let report = world.examine_to(Depth::Read).await;
    assert_eq!(complaints(&report), ["client.method_unsupported"]);
}

/// The doctor's own requests have no certificate: where one is demanded, it says that it could not look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_demands_a_certificate_is_no_error() {
    let directory = tempfile::tempdir().unwrap();
    let authority = mtls::Authority::new();
    let identity = authority.client("the app");
    let mut world = World::start().await;
    let gateway = mtls::Gateway::start(&authority, world.provider.issuer())
        .await
        .unwrap();
    gateway.alias(&world.provider);
    let (ca, file) = (
        directory.path().join("ca.pem"),
        directory.path().join("client.pem"),
    );
    std::fs::write(&ca, authority.pem()).unwrap();
    std::fs::write(&file, format!("{}{}", identity.certificate, identity.key)).unwrap();
    world.set("AUTH_CA_FILE", ca.to_str().unwrap());
    world.set("AUTH_CLIENT_CERT", file.to_str().unwrap());
    world.set("AUTH_CERT_BOUND_TOKENS", "true");
    let report = world.examine().await;
    assert_eq!(complaints(&report), [""; 0], "{:?}", report.findings);
    let text = detail(&report, "tls.certificate_demanded");
    assert!(
        text.contains(gateway.url()) && text.contains("mtls_endpoint_aliases"),
        "{text}"
    );
    assert!(!has(&report, "endpoints.no_mtls_aliases"));
    // The library's own request, with the certificate, gets through.
    assert!(has(&report, "client.good"), "{:?}", report.findings);
}

/// The same of the provider's own host, and of one that only hangs up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_that_is_wanted_of_everybody_is_told_from_a_fault() {
    let ours = Authority::new();
    for versions in [rustls::ALL_VERSIONS, ONLY_1_2] {
        let issuer = ours.serve_to_known(versions);
        let report = examined(&issuer, Some(&ours.pem()), Clock::system()).await;
        assert_eq!(of_tls(&report), ["tls.certificate_demanded"]);
        assert_eq!(complaints(&report), [""; 0], "{:?}", report.findings);
        assert_eq!(report.verdicts[0].fits, None);
    }

    // What a server of TLS 1.2 may say: alert 40, handshake_failure.
    let hangs_up = says(&[21, 3, 3, 0, 2, 2, 40]);
    let directory = tempfile::tempdir().unwrap();
    let mut world = World::start().await;
    let file = client_certificate(directory.path(), &ours, 2100);
    world.set("AUTH_CLIENT_CERT", &file);
    world.set("AUTH_CERT_BOUND_TOKENS", "true");
    for (member, expected) in [
        ("mtls_endpoint_aliases", "tls.certificate_demanded"),
        ("", "tls.failed"),
    ] {
        let at = format!("{hangs_up}/token");
        world.control().tamper_discovery(move |document| {
            document.insert(
                "tls_client_certificate_bound_access_tokens".to_owned(),
                json!(true),
            );
            if member.is_empty() {
                document.insert("token_endpoint".to_owned(), json!(at));
            } else {
                document.insert(member.to_owned(), json!({ "token_endpoint": at }));
            }
        });
        let report = world.examine_to(Depth::Read).await;
        assert!(has(&report, expected), "{:?}", report.findings);
    }
}

/// A server that says one thing to whoever says anything; gives its https address.
fn says(bytes: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(bytes);
        }
    });
    url
}
