//! Many requests over a few connections at once that are kept alive: a thousand of them are a thousand requests, not a thousand
//! connections.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;

use super::{Engine, Miss, Reply, chain, podman, text_header};

/// Connections at once. More would only queue inside dockerd.
const CONNECTIONS: usize = 16;
/// How long dockerd may take for each request beyond the first, on top of the client's own patience.
const EACH: Duration = Duration::from_millis(250);

/// An answer, once it is there.
type Slot = Option<Result<Reply, Miss>>;

impl Engine {
    /// The answers to all of these, in their order, over at most [`CONNECTIONS`] connections.
    pub(super) fn get_all(&self, targets: Vec<String>) -> Result<Vec<Result<Reply, Miss>>, Miss> {
        let count = targets.len();
        let timeout = self.timeout + EACH * u32::try_from(count).unwrap_or(u32::MAX);
        let (targets, next) = (Rc::new(targets), Rc::new(Cell::new(0)));
        let replies: Rc<RefCell<Vec<Slot>>> = Rc::new(RefCell::new((0..count).map(|_| None).collect()));
        self.within(timeout, async {
            let local = tokio::task::LocalSet::new();
            for _ in 0..CONNECTIONS.min(count) {
                let (engine, targets, next, replies) = (self.clone(), targets.clone(), next.clone(), replies.clone());
                local.spawn_local(async move {
                    let mut connection = None;
                    while let Some(target) = targets.get(next.replace(next.get() + 1)) {
                        let index = next.get() - 1;
                        let reply = engine.get_over(&mut connection, target).await;
                        replies.borrow_mut()[index] = Some(reply);
                    }
                });
            }
            local.await;
            Ok(())
        })?;
        let lost = || Err(self.failed("the call was cut short"));
        Ok(replies.take().into_iter().map(|reply| reply.unwrap_or_else(lost)).collect())
    }

    /// One request over a connection that is made when there is none, and made anew where the daemon has closed it.
    async fn get_over(&self, connection: &mut Option<SendRequest<Empty<Bytes>>>, target: &str) -> Result<Reply, Miss> {
        let failed = |e: hyper::Error| self.broken(&format!("GET {target}"), &e);
        let mut kept = connection.take();
        let alive = match &mut kept {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        let mut sender = match kept {
            Some(sender) if alive => sender,
            _ => {
                let stream = TokioIo::new(self.connect().await?.stream);
                let (sender, driver) = http1::handshake(stream).await.map_err(failed)?;
                tokio::spawn(driver);
                sender
            }
        };
        let request = Request::get(target).header(HOST, "localhost").body(Empty::<Bytes>::new());
        let request = request.map_err(|e| self.failed(&e.to_string()))?;
        let (head, body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let body = Limited::new(body, self.max_body).collect().await;
        let body = body.map_err(|e| self.failed(&format!("GET {target}: {}", chain(e.as_ref()))))?.to_bytes();
        *connection = Some(sender);
        let header = |name: &str| text_header(&head.headers, name);
        Ok(Reply {
            status: head.status,
            server: header("server"),
            api_version: header("api-version"),
            podman: podman(&head.headers),
            body,
        })
    }

    /// Why there was no answer.
    pub(super) fn why(&self, miss: Miss) -> String {
        match miss {
            Miss::NoListener => self.no_listener(),
            Miss::Failed(why) => why,
        }
    }
}
