//! An HTTP server of the tests' own, on a free port of this machine.

use std::convert::Infallible;
use std::future::Future;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// Listens until it is dropped, and has the address that it listens on. A request is answered to its end also when its
/// caller is gone: one that is killed does not take it back.
pub async fn listen<A>(answer: impl Fn(Request<Incoming>) -> A + Clone + Send + 'static) -> (String, JoinSet<()>)
where
    A: Future<Output = Response<Full<Bytes>>> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            connections.spawn(async move {
                let service = hyper::service::service_fn(move |request| {
                    let answered = tokio::spawn(answer(request));
                    async move { Ok::<_, Infallible>(answered.await.unwrap()) }
                });
                let connection = hyper::server::conn::http1::Builder::new();
                connection.serve_connection(TokioIo::new(stream), service).await.unwrap_or_default();
            });
            while connections.try_join_next().is_some() {}
        }
    });
    (url, server)
}
