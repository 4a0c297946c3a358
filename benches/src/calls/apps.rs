//! The applications: the library's proxy, and a handler that forwards by hand with reqwest, on each framework.

use std::net::TcpListener;

use crate::Failure;
use crate::framework::Framework;
use crate::signed_in::SignedIn;

/// The first argument of the process that serves.
pub(crate) const SERVE: &str = "serve";
/// What the handler by hand sends along.
const TOKEN: &str = "Bearer a-token-of-the-usual-kind-is-longer-than-this-one";

/// Who forwards.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Handler {
    /// A handler of a few lines, without a session: what the other is measured against.
    Plain,
    Proxy,
}

impl Handler {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Proxy => "proxy",
        }
    }

    fn parse(name: &str) -> Result<Self, Failure> {
        let known = [Self::Plain, Self::Proxy]
            .into_iter()
            .find(|known| known.name() == name);
        known.ok_or_else(|| "no such handler".into())
    }
}

/// Serves until the process is ended; says where, and which cookie is that of a signed-in session.
pub(crate) fn serve(framework: &str, handler: &str, upstream: &str) -> Result<(), Failure> {
    let (framework, handler) = (framework.parse::<Framework>()?, Handler::parse(handler)?);
    let runtime = tokio::runtime::Runtime::new()?;
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let signed_in = match handler {
        Handler::Plain => None,
        Handler::Proxy => Some(runtime.block_on(SignedIn::at_a_new_provider())?),
    };
    let cookie = signed_in.as_ref().map_or("none=0", SignedIn::cookie);
    println!("{address} {cookie}");
    match framework {
        Framework::Axum => runtime.block_on(on_axum::serve(listener, signed_in.as_ref(), upstream)),
        Framework::Actix => on_actix::serve(listener, signed_in.as_ref(), upstream),
    }
}

mod on_axum {
    use std::net::TcpListener;

    use auth_axum::{AuthExt as _, Proxy};
    use axum::Router;
    use axum::body::Body;
    use axum::extract::{Request, State};
    use axum::http::StatusCode;
    use axum::response::Response;
    use axum::routing::any;

    use super::TOKEN;
    use crate::Failure;
    use crate::signed_in::SignedIn;

    pub(super) async fn serve(
        listener: TcpListener,
        signed_in: Option<&SignedIn>,
        upstream: &str,
    ) -> Result<(), Failure> {
        let router = match signed_in {
            Some(SignedIn { auth, .. }) => Router::new()
                .merge(auth.proxy("/proxy", Proxy::to(upstream)?))
                .layer(auth.layer()),
            None => Router::new()
                .route("/proxy/{*path}", any(forward))
                .with_state((reqwest::Client::new(), upstream.to_owned())),
        };
        let listener = tokio::net::TcpListener::from_std(listener)?;
        Ok(axum::serve(listener, router).await?)
    }

    async fn forward(
        State((http, upstream)): State<(reqwest::Client, String)>,
        request: Request,
    ) -> Result<Response, StatusCode> {
        let (mut head, body) = request.into_parts();
        let path = head.uri.path().trim_start_matches("/proxy");
        head.headers.remove("host");
        head.headers.remove("cookie");
        let has_body = head.headers.contains_key("content-length");
        let mut sent = http
            .request(head.method, format!("{upstream}{path}"))
            .headers(head.headers)
            .header("authorization", TOKEN);
        if has_body {
            sent = sent.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        let answer = sent.send().await.map_err(|_| StatusCode::BAD_GATEWAY)?;
        let mut response = Response::new(Body::empty());
        *response.status_mut() = answer.status();
        *response.headers_mut() = answer.headers().clone();
        *response.body_mut() = Body::from_stream(answer.bytes_stream());
        Ok(response)
    }
}

mod on_actix {
    use std::net::TcpListener;

    use actix_web::body::SizedStream;
    use actix_web::http::StatusCode;
    use actix_web::web::{self, Data, Payload};
    use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt};
    use auth_actix::{AuthExt as _, Proxy};
    use futures_util::{StreamExt as _, stream};
    use tokio::sync::mpsc;

    use super::TOKEN;
    use crate::Failure;
    use crate::signed_in::SignedIn;

    pub(super) fn serve(
        listener: TcpListener,
        signed_in: Option<&SignedIn>,
        upstream: &str,
    ) -> Result<(), Failure> {
        let served = async {
            if let Some(SignedIn { auth, .. }) = signed_in {
                let (auth, proxy) = (auth.clone(), Proxy::to(upstream)?);
                let app = move || {
                    App::new()
                        .service(auth.proxy("/proxy", proxy.clone()))
                        .wrap(auth.layer())
                };
                HttpServer::new(app).workers(1).listen(listener)?.run().await?;
            } else {
                let state = Data::new((reqwest::Client::new(), upstream.to_owned()));
                let app = move || {
                    App::new()
                        .app_data(state.clone())
                        .route("/proxy/{path:.*}", web::to(forward))
                };
                HttpServer::new(app).workers(1).listen(listener)?.run().await?;
            }
            Ok(())
        };
        rt::System::new().block_on(served)
    }

    async fn forward(
        state: Data<(reqwest::Client, String)>,
        request: HttpRequest,
        mut body: Payload,
    ) -> actix_web::Result<HttpResponse> {
        let (http, upstream) = &**state;
        let path = request.path().trim_start_matches("/proxy");
        let method = reqwest::Method::from_bytes(request.method().as_str().as_bytes())
            .map_err(actix_web::error::ErrorBadRequest)?;
        let mut sent = http
            .request(method, format!("{upstream}{path}"))
            .header("authorization", TOKEN);
        if let Some(length) = request.headers().get("content-length") {
            // A body of actix-web stays on its thread, so it is handed over.
            let (sender, receiver) = mpsc::channel(1);
            rt::spawn(async move {
                while let Some(chunk) = body.next().await {
                    if sender.send(chunk.map_err(|_| "broken off")).await.is_err() {
                        return;
                    }
                }
            });
            let chunks = stream::unfold(receiver, async |mut receiver| {
                Some((receiver.recv().await?, receiver))
            });
            sent = sent
                .header("content-length", length.as_bytes())
                .body(reqwest::Body::wrap_stream(chunks));
        }
        let answer = sent.send().await.map_err(actix_web::error::ErrorBadGateway)?;
        let status = StatusCode::from_u16(answer.status().as_u16());
        let mut response = HttpResponse::build(status.map_err(actix_web::error::ErrorBadGateway)?);
        let length = answer.content_length().unwrap_or_default();
        Ok(response.body(SizedStream::new(length, answer.bytes_stream())))
    }
}
