//! Many requests over a few connections at once that are kept alive: a thousand of them are a thousand requests, not a thousand
//! connections.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::body::Bytes;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::HOST;
use hyper_util::rt::TokioIo;

use super::{Engine, Miss, Reply, chain, podman, text_header};
use crate::render::progress;

/// Connections at once. More would only queue inside dockerd.
const CONNECTIONS: usize = 16;
/// How long dockerd may take for each request beyond the first, on top of the client's own patience.
const EACH: Duration = Duration::from_millis(250);
/// The longest that all of them may take, however many an engine lists.
const ALL: Duration = Duration::from_secs(300);

impl Engine {
    /// What `read` makes of the answers to all of these, in their order, over at most [`CONNECTIONS`] connections. Each answer is read
    /// as it comes and then dropped: all of them at once may be large. `doing` is what a person who waits is told. One that does not
    /// come in time is missing alone.
    pub(super) fn each<T>(
        &self,
        doing: &str,
        targets: &[String],
        read: impl Fn(usize, Result<Reply, Miss>) -> T,
    ) -> Result<Vec<T>, Miss> {
        let count = targets.len();
        let patience =
            (self.timeout + EACH.saturating_mul(u32::try_from(count).unwrap_or(u32::MAX))).min(ALL.max(self.timeout));
        let end = Instant::now() + patience;
        let (next, done) = (Cell::new(0), Cell::new(0));
        let results: RefCell<Vec<Option<T>>> = RefCell::new(targets.iter().map(|_| None).collect());
        progress::count(doing, 0, count);
        let worker = || async {
            let mut connection = None;
            loop {
                let index = next.replace(next.get() + 1);
                let Some(target) = targets.get(index) else { return };
                let left = self.timeout.min(end.saturating_duration_since(Instant::now()));
                let reply = tokio::time::timeout(left, self.get_over(&mut connection, target)).await;
                let late = |_| Err(self.failed(&format!("GET {target}: no answer within {:?}", self.timeout)));
                let result = read(index, reply.unwrap_or_else(late));
                results.borrow_mut()[index] = Some(result);
                done.set(done.get() + 1);
                progress::count(doing, done.get(), count);
            }
        };
        self.within(patience + self.timeout, async {
            all_of((0..CONNECTIONS.min(count)).map(|_| worker())).await;
            Ok(())
        })?;
        let results: Option<Vec<T>> = results.into_inner().into_iter().collect();
        results.ok_or_else(|| self.failed("the call was cut short"))
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

/// Runs all of these side by side to their ends.
async fn all_of(work: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut open: Vec<Pin<Box<_>>> = work.map(Box::pin).collect();
    poll_fn(|context| {
        open.retain_mut(|one| one.as_mut().poll(context).is_pending());
        if open.is_empty() { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}
