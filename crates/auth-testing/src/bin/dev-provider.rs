//! The development provider on its own, for an application in any language.

use std::error::Error;
use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use auth_testing::{Client, DevProvider};
use url::Url;

const USAGE: &str = "\
The development provider: an OpenID provider without passwords, for development alone.

dev-provider [--listen ADDRESS] [REDIRECT_URI]...

--listen ADDRESS   a loopback address; default 127.0.0.1:9000
REDIRECT_URI       where sign-ins may come back to; default /auth/callback at http://127.0.0.1:3000
                   and http://127.0.0.1:3001. A sign-out may come back to the root of each.

The client is `dev-client`, without a secret. Ctrl-C stops it.";

/// Where the example applications listen.
const DEFAULT_APPS: [&str; 2] = ["http://127.0.0.1:3000", "http://127.0.0.1:3001"];

/// The library's own path for the redirect URI.
const CALLBACK: &str = "/auth/callback";

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let cause = error.source().map_or(String::new(), |cause| format!(": {cause}"));
            eprintln!("dev-provider: {error}{cause}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let mut address = SocketAddr::from(([127, 0, 0, 1], 9000));
    let mut redirect_uris = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--help" | "-h" => {
                println!("{USAGE}");
                return Ok(());
            }
            "--listen" => {
                let given = arguments.next().unwrap_or_default();
                address = given
                    .parse()
                    .map_err(|_| format!("`{given}` is no address to listen on, such as 127.0.0.1:9000"))?;
            }
            uri => {
                redirect_uris.push(uri.to_owned());
            }
        }
    }
    if redirect_uris.is_empty() {
        redirect_uris.extend(DEFAULT_APPS.map(|app| format!("{app}{CALLBACK}")));
    }
    let mut client = Client::public("dev-client");
    let mut apps = Vec::new();
    for uri in redirect_uris {
        let parsed = Url::parse(&uri).and_then(|parsed| Ok((parsed.join("/")?, parsed)));
        let (home, parsed) = parsed.map_err(|_| format!("`{uri}` is no redirect URI; see --help"))?;
        let app = home.as_str().trim_end_matches('/').to_owned();
        apps.push((
            app,
            uri == parsed.as_str() && parsed.path() == CALLBACK,
            uri.clone(),
        ));
        client = client.redirect_uri(uri).post_logout_redirect_uri(home);
    }
    let provider = DevProvider::builder()
        .address(address)
        .client(client)
        .start()
        .await?;

    let (issuer, client_id, api) = (provider.issuer(), provider.client_id(), provider.api_url());
    let mut said = format!(
        "issuer      {issuer}   (a browser finds tokens, faults and sign-ins there)\n\
         client id   {client_id}\n\
         demo APIs   {api}   {}\n",
        provider.api2_url()
    );
    for (app, is_ours, uri) in apps {
        said += &match is_ours {
            true => format!(
                "\nTo start an application at {app}, in its directory:\n\n\
                 AUTH_BASE_URL={app} AUTH_ISSUER={issuer} AUTH_CLIENT_ID={client_id} \\\n  API_URL={api} cargo run\n"
            ),
            false => format!("\nRegistered: {uri} (with this library it would be {app}{CALLBACK})\n"),
        };
    }
    // Who listens no longer needs the provider all the same.
    let _ = std::io::stdout().write_all(said.as_bytes());
    std::future::pending().await
}
