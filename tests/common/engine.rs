//! An engine that is none: recorded answers of the Engine API, made into as many containers and images as wanted, at a Unix socket.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use super::Tree;

const INFO: &str = include_str!("../data/engine/info-20.10.24.json");
const CONTAINERS: [&str; 4] = [
    include_str!("../data/engine/container-20.10.24.json"),
    include_str!("../data/engine/container-26.1.5.json"),
    include_str!("../data/engine/container-28.5.2.json"),
    include_str!("../data/engine/container-29.json"),
];
const IMAGES: [(&str, &str); 4] = [
    (include_str!("../data/engine/image-20.10.24.json"), include_str!("../data/engine/image-history-20.10.24.json")),
    (include_str!("../data/engine/image-26.1.5.json"), include_str!("../data/engine/image-history-26.1.5.json")),
    (
        include_str!("../data/engine/image-28.5.2-containerd.json"),
        include_str!("../data/engine/image-history-28.5.2-containerd.json"),
    ),
    (include_str!("../data/engine/image-29.1.json"), include_str!("../data/engine/image-history-29.1.json")),
];
/// No kernel has processes with such numbers: the containers' own are gone.
const NO_PID: usize = 5_000_000;

/// What was asked of an engine.
#[derive(Default)]
pub struct Asked {
    pub requests: AtomicUsize,
    pub connections: AtomicUsize,
}

/// An engine with its socket, which is removed with it.
pub struct RecordedEngine {
    dir: Tree,
    pub asked: Arc<Asked>,
}

impl RecordedEngine {
    /// One with so many containers and images.
    pub fn with(containers: usize, images: usize) -> Self {
        Self::slow(containers, images, Duration::ZERO)
    }

    /// One that thinks for so long about each answer.
    pub fn slow(containers: usize, images: usize, pause: Duration) -> Self {
        let (dir, asked) = (Tree::empty(), Arc::new(Asked::default()));
        let listener = UnixListener::bind(dir.at("/s")).unwrap();
        let answers = Arc::new(answers(containers, images));
        let counted = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (answers, asked) = (Arc::clone(&answers), Arc::clone(&counted));
                asked.connections.fetch_add(1, Relaxed);
                thread::spawn(move || serve(&stream.unwrap(), &answers, &asked, pause));
            }
        });
        Self { dir, asked }
    }

    /// What `--docker-host` is given.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.at("/s")
    }
}

/// Answers one request after the other until the client leaves.
fn serve(stream: &UnixStream, answers: &HashMap<String, String>, asked: &Asked, pause: Duration) {
    let mut lines = BufReader::new(stream).lines();
    while let Some(Ok(request)) = lines.next() {
        while lines.next().is_some_and(|line| line.is_ok_and(|line| !line.is_empty())) {}
        thread::sleep(pause);
        asked.requests.fetch_add(1, Relaxed);
        let target = request.split(' ').nth(1).unwrap_or_default();
        let (status, body) = match answers.get(target) {
            Some(body) => ("200 OK", body.as_str()),
            None => ("404 Not Found", r#"{"message":"page not found"}"#),
        };
        let head = "Api-Version: 1.41\r\nServer: Docker/20.10.24+dfsg1 (linux)\r\nContent-Type: application/json";
        let length = body.len();
        if write!(&*stream, "HTTP/1.1 {status}\r\n{head}\r\nContent-Length: {length}\r\n\r\n{body}").is_err() {
            return;
        }
    }
}

fn answers(containers: usize, images: usize) -> HashMap<String, String> {
    let mut answers = HashMap::new();
    let mut answer = |target: String, body: Value| drop(answers.insert(target, body.to_string()));
    let mut listed = Vec::new();
    for index in 0..containers {
        let image = index % images.max(1);
        let (id, name, tag) = (digits(1, index), format!("/{}-{index}", ["web", "db", "queue"][index % 3]), tag(image));
        let mut body: Value = serde_json::from_str(CONTAINERS[index % CONTAINERS.len()]).unwrap();
        (body["Id"], body["Name"], body["State"]["Pid"]) = (json!(id), json!(name), json!(NO_PID + index));
        (body["Image"], body["Config"]["Image"]) = (json!(format!("sha256:{}", digits(2, image))), json!(tag));
        body["Config"]["User"] = json!(if index % 2 == 0 { String::new() } else { (10_000 + index).to_string() });
        body["HostConfig"]["Memory"] = json!(if index % 5 == 0 { 0 } else { (1 + index) << 20 });
        body["Mounts"][1]["Source"] = json!(format!("/srv/{index}"));
        let exec = digits(3, index);
        body["ExecIDs"] = if index % 10 == 0 { json!([exec]) } else { Value::Null };
        answer(format!("/exec/{exec}/json"), json!({"ID": exec, "ProcessConfig": {"privileged": true, "user": "root"}}));
        listed.push(json!({"Id": id, "Names": [name], "Image": tag, "ImageID": body["Image"]}));
        answer(format!("/containers/{id}/json"), body);
    }
    answer("/containers/json?all=1".into(), listed.into());
    let mut listed = Vec::new();
    for index in 0..images {
        let (id, tag) = (format!("sha256:{}", digits(2, index)), tag(index));
        let (body, history) = IMAGES[index % IMAGES.len()];
        let mut body: Value = serde_json::from_str(body).unwrap();
        (body["Id"], body["RepoTags"]) = (json!(id), json!([tag]));
        body["RepoDigests"] = json!([format!("registry.example/app-{index}@{id}")]);
        // Each fifth is what the next four are built on.
        let own = (index % 5 > 0).then(|| digits(4, index));
        let layers = [Some(digits(4, index - index % 5)), own].into_iter().flatten().map(|layer| format!("sha256:{layer}"));
        body["RootFS"]["Layers"] = layers.collect();
        listed.push(json!({"Id": id, "RepoTags": [tag]}));
        answer(format!("/images/{tag}/json"), body.clone());
        answer(format!("/images/{id}/json"), body);
        answer(format!("/images/{id}/history"), serde_json::from_str(history).unwrap());
    }
    answer("/images/json?all=0".into(), listed.into());
    answer("/info".into(), serde_json::from_str(INFO).unwrap());
    answer("/networks/bridge".into(), json!({"Options": {"com.docker.network.bridge.enable_icc": "true"}}));
    answer("/version".into(), json!({"Version": "20.10.24", "Components": []}));
    answer("/_ping".into(), json!("OK"));
    answers
}

fn tag(index: usize) -> String {
    format!("registry.example/app-{index}:1.{index}")
}

/// 64 hexadecimal digits that look like none of the others from the first on.
fn digits(of: u64, index: usize) -> String {
    let spread = (index as u64 * 8 + of).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    format!("{spread:016x}{:048x}", index as u64 * 8 + of)
}
