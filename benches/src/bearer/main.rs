//! What an access token costs an API: one that was seen before beside a handler that checks nothing, and a new one beside the
//! check of its signature.
//!
//! `cargo run --release -p auth-benches --bin auth-bearer-benches`; `README.md` says what the numbers mean.

mod load;
mod tokens;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;

use actix_web::rt::System;
use actix_web::{App, HttpServer, web};
use auth_axum::ResourceServer;
use auth_testing::{DevProvider, SigningAlgorithm};
use axum::routing::get;

use crate::load::Target;
use crate::tokens::Tokens;

/// Whatever goes wrong ends the measurement; the text is all that anyone does with it.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What the tokens are for.
const API: &str = "https://api.example";
/// How often each case gets its turn; all cases once, then all again.
const ROUNDS: usize = 15;

fn main() -> ExitCode {
    match measure() {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("auth-bearer-benches: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<(), Failure> {
    if cfg!(debug_assertions) {
        eprintln!(
            "auth-bearer-benches: this is a debug build; its numbers say little. Use cargo run --release."
        );
    }
    let runtime = tokio::runtime::Runtime::new()?;
    println!("A repeated token, over loopback: one worker thread; median (min-max) of {ROUNDS} rounds\n");
    println!("| framework | bare handler, requests/s | with a token, requests/s | ratio |");
    println!("| --- | --- | --- | --- |");
    let provider = runtime.block_on(start(SigningAlgorithm::Es256))?;
    let server = checking(&provider, &runtime)?;
    let token = Tokens::of(&provider)?.sign(0);
    for (framework, bare, bearer) in [
        ("axum", axum_bare()?, axum_bearer(&server)?),
        ("actix", actix_bare()?, actix_bearer(&server)?),
    ] {
        let (bare, bearer) = (Target::new(bare, &token), Target::new(bearer, &token));
        let (mut of_bare, mut of_bearer, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let (plain, checked) = (bare.take_turn()?, bearer.take_turn()?);
            of_bare.push(plain);
            of_bearer.push(checked);
            ratios.push(checked / plain);
        }
        println!(
            "| {framework} | {} | {} | {} |",
            spread(of_bare, 0),
            spread(of_bearer, 0),
            spread(ratios, 2)
        );
    }

    println!(
        "\nA new token, in process; median (min-max) of {ROUNDS} rounds of {} tokens\n",
        tokens::ROUND
    );
    println!("| algorithm | signature check alone, µs | new token, µs | ratio |");
    println!("| --- | --- | --- | --- |");
    for algorithm in [
        SigningAlgorithm::Rs256,
        SigningAlgorithm::Es256,
        SigningAlgorithm::EdDsa,
    ] {
        let provider = runtime.block_on(start(algorithm))?;
        let server = checking(&provider, &runtime)?;
        let mut tokens = Tokens::of(&provider)?;
        let (mut alone, mut whole, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            let round = tokens.round(&runtime, &server)?;
            alone.push(round.signature);
            whole.push(round.token);
            ratios.push(round.token / round.signature);
        }
        println!(
            "| {} | {} | {} | {} |",
            algorithm.name(),
            spread(alone, 1),
            spread(whole, 1),
            spread(ratios, 2)
        );
    }
    Ok(())
}

async fn start(algorithm: SigningAlgorithm) -> Result<DevProvider, Failure> {
    Ok(DevProvider::builder()
        .signing_algorithm(algorithm)
        .start()
        .await?)
}

fn checking(provider: &DevProvider, runtime: &tokio::runtime::Runtime) -> Result<ResourceServer, Failure> {
    Ok(ResourceServer::builder()
        .issuer(provider.issuer())
        .audience(API)
        .runtime(runtime.handle().clone())
        .build()?)
}

/// `median (min-max)`.
fn spread(mut values: Vec<f64>, digits: usize) -> String {
    values.sort_by(f64::total_cmp);
    let (least, most) = (values[0], values[values.len() - 1]);
    format!(
        "{:.digits$} ({least:.digits$}–{most:.digits$})",
        values[values.len() / 2]
    )
}

fn listen() -> Result<(TcpListener, SocketAddr), Failure> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn axum_bare() -> Result<SocketAddr, Failure> {
    serve_axum(axum::Router::new().route(load::PATH, get(async || "pong")))
}

fn axum_bearer(server: &ResourceServer) -> Result<SocketAddr, Failure> {
    let ping = async |_: auth_axum::BearerToken| "pong";
    serve_axum(
        axum::Router::new()
            .route(load::PATH, get(ping))
            .layer(auth_axum::bearer_layer(server.clone())),
    )
}

fn serve_axum(router: axum::Router) -> Result<SocketAddr, Failure> {
    let (listener, address) = listen()?;
    // The thread that blocks accepts connections; the one worker serves them.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    std::thread::spawn(move || {
        let served = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            axum::serve(listener, router).await
        });
        if let Err(error) = served {
            eprintln!("auth-bearer-benches: {error}");
        }
    });
    Ok(address)
}

fn actix_bare() -> Result<SocketAddr, Failure> {
    let (listener, address) = listen()?;
    std::thread::spawn(move || {
        let app = || App::new().route(load::PATH, web::get().to(async || "pong"));
        serve_actix(async { HttpServer::new(app).workers(1).listen(listener)?.run().await });
    });
    Ok(address)
}

fn actix_bearer(server: &ResourceServer) -> Result<SocketAddr, Failure> {
    let (listener, address) = listen()?;
    let server = server.clone();
    std::thread::spawn(move || {
        let app = move || {
            App::new()
                .route(
                    load::PATH,
                    web::get().to(async |_: auth_actix::BearerToken| "pong"),
                )
                .wrap(auth_actix::bearer_layer(server.clone()))
        };
        serve_actix(async { HttpServer::new(app).workers(1).listen(listener)?.run().await });
    });
    Ok(address)
}

/// The thread that blocks accepts connections; the one worker serves them.
fn serve_actix(served: impl Future<Output = std::io::Result<()>>) {
    if let Err(error) = System::new().block_on(served) {
        eprintln!("auth-bearer-benches: {error}");
    }
}
