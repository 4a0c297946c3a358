//! The provider's certificate (RFC 6749 §10.9, OpenID Connect Discovery 1.0 §7.2): from an authority that is known, and for its host.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use auth_core::AuthBuilder;
use auth_core::proxy::Proxy;
use http::Method;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use crate::proxy::{forward, request};
use crate::world::{World, assert_page, location};

/// A folder with authorities made for the test, and a certificate by one of them for `localhost`.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Self {
        let path = std::env::temp_dir().join(format!("auth-core-certificates-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let folder = Self(path);
        for name in ["authority", "other"] {
            folder.openssl(&format!(
                "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN={name} -keyout {name}.key \
                 -out {name}.pem"
            ));
        }
        folder.openssl(
            "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=localhost -keyout server.key -out server.csr",
        );
        std::fs::write(folder.0.join("names"), "subjectAltName=DNS:localhost\n").unwrap();
        folder.openssl(
            "x509 -req -in server.csr -CA authority.pem -CAkey authority.key -set_serial 1 -days 2 -extfile names \
             -out server.pem",
        );
        folder
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split(' '))
            .current_dir(&self.0)
            .output()
            .expect("openssl is installed");
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }

    fn pem(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.0.join(name)).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Serves a discovery document over TLS to whoever comes, for the issuers `https://localhost:PORT` and `https://127.0.0.1:PORT`, and gives
/// the port.
fn serve(folder: &Path) -> u16 {
    let chain = vec![CertificateDer::from_pem_file(folder.join("server.pem")).unwrap()];
    let key = PrivateKeyDer::from_pem_file(folder.join("server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let (mut request, mut bytes) = (Vec::new(), [0; 1024]);
            while !request.ends_with(b"\r\n\r\n") {
                match stream.read(&mut bytes) {
                    Ok(read @ 1..) => request.extend_from_slice(&bytes[..read]),
                    _ => break,
                }
            }
            let request = String::from_utf8_lossy(&request).to_ascii_lowercase();
            let host = if request.contains("host: localhost") {
                "localhost"
            } else {
                "127.0.0.1"
            };
            let issuer = format!("https://{host}:{port}");
            let document = json!({
                "issuer": issuer,
                "authorization_endpoint": format!("{issuer}/authorize"),
                "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/jwks"),
                "response_types_supported": ["code"],
                "subject_types_supported": ["public"],
                "id_token_signing_alg_values_supported": ["ES256"],
            })
            .to_string();
            // Whoever does not trust the certificate is gone by now.
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{document}",
                document.len()
            );
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
    });
    port
}

// OpenID Connect Discovery §7.2; RFC 6749 §10.9; RFC 6750 §5.3
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_is_for_the_host_and_by_a_known_authority() {
    let folder = Folder::make();
    let port = serve(&folder.0);
    let world = World::start().await;
    let session = world.session(&world.sign_in().await).await;
    for (host, authority, is_good) in [
        ("localhost", Some("authority.pem"), true),
        ("localhost", None, false),
        ("localhost", Some("other.pem"), false),
        ("127.0.0.1", Some("authority.pem"), false),
    ] {
        let issuer = format!("https://{host}:{port}");
        let trusting = |builder: AuthBuilder| match authority {
            Some(name) => builder.ca_pem(folder.pem(name)),
            None => builder,
        };
        let auth = world
            .instance_with(|builder| trusting(builder.issuer(&issuer)))
            .await;
        let reply = world.browser_of(&auth).login("/").await;
        if is_good {
            assert!(location(&reply).starts_with(&format!("{issuer}/authorize?")));
        } else {
            assert_page(&reply, 503, "provider.unreachable");
        }
        // A proxy has connections of its own. The session is of the world's provider.
        let auth = world.instance_with(trusting).await;
        let proxy = Proxy::to(&issuer).unwrap();
        let forwarded = forward(&auth, &proxy, &session, request(Method::GET, "/")).await;
        match forwarded {
            Ok(document) => assert!(is_good && document.starts_with(b"{")),
            Err(error) => assert!(!is_good && error == "502 api.unreachable", "{host}: {error}"),
        }
    }
}
