//! Large hosts: ten times as many files, audit rules, containers or images cost about ten times as much, counted in allocations, memory and
//! system calls. Time is not asserted.

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use common::Tree;
use common::engine::RecordedEngine;
use expectrl::{Eof, Expect, Session};
use harden::assess::{self, Limits};
use harden::baseline::Baseline;
use harden::baseline::control::Risk;
use harden::fact::{Fact, Facts, KernelAudit};
use harden::formats::audit_rule::our_watch;
use harden::host::{Access, Host};
use harden::observe;

/// Counts what the program asks for: nothing that compares or copies everything with everything goes without it for long.
struct Counting;

static CALLS: AtomicUsize = AtomicUsize::new(0);
static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
/// The counters are of the whole process: one measurement at a time.
static ONE: Mutex<()> = Mutex::new(());

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: every call is the system allocator's own, with the arguments that came; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        CALLS.fetch_add(1, Relaxed);
        let now = NOW.fetch_add(layout.size(), Relaxed) + layout.size();
        PEAK.fetch_max(now, Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

/// Allocations, and the most bytes held at once.
#[derive(Debug, Clone, Copy)]
struct Cost {
    calls: usize,
    bytes: usize,
}

fn cost<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (calls, held) = (CALLS.load(Relaxed), NOW.load(Relaxed));
    PEAK.store(held, Relaxed);
    let result = work();
    (result, Cost { calls: CALLS.load(Relaxed) - calls, bytes: PEAK.load(Relaxed) - held })
}

/// Ten times as much costs at most thirteen times as much, the part that everything costs left out.
fn in_proportion(what: &str, none: Cost, some: Cost, ten_times: Cost) {
    let parts = [("allocations", none.calls, some.calls, ten_times.calls), ("bytes", none.bytes, some.bytes, ten_times.bytes)];
    for (unit, none, some, ten_times) in parts {
        let (small, large) = (some.saturating_sub(none), ten_times.saturating_sub(none));
        // What is held for a moment may hide beneath the peak of what everything costs.
        assert!(large <= 13 * small.max(none), "{what}: {small} {unit} become {large} (beside {none})");
        assert!(large > small, "{what}: ten times as much was not looked at: {small} {unit}, {large}");
    }
}

fn whole_run(tree: &Tree) -> (Facts, usize) {
    let baseline = harden::baseline::load("cis-l2", &[]).unwrap();
    let host = Host::open(&Access {
        root: Some(tree.path()),
        docker_version: Some("28.5.2"),
        state_dir: "/var/lib/harden",
        ..Access::default()
    });
    let facts = observe::observe(&host.unwrap(), &baseline).unwrap();
    let changes = judged(&facts);
    (facts, changes)
}

/// Judges, plans and renders; gives the number of changes.
fn judged(facts: &Facts) -> usize {
    judged_by(&harden::baseline::load("cis-l2", &[]).unwrap(), facts)
}

fn judged_by(baseline: &Baseline, facts: &Facts) -> usize {
    let limits = Limits { max_risk: Risk::Disruptive, wanted: &|_, _| true };
    let assessment = assess::assess(baseline, facts, &limits).unwrap();
    let report = assess::report(facts, &assessment, None);
    let mut out = Vec::new();
    harden::render::json::render(&report, &mut out).unwrap();
    let view = harden::render::text::View::of(std::io::stdin());
    harden::render::text::review(&report, &view, &mut out).unwrap();
    assessment.plan.changes.len()
}

fn with_certificates(number: usize) -> Tree {
    let tree = Tree::host();
    for index in 0..number {
        tree.file(&format!("/etc/docker/certs.d/r{}.example/{index}.crt", index / 100), "", 0o666);
    }
    tree
}

fn with_rules(number: usize) -> Tree {
    let tree = Tree::host();
    let rules: String = (0..number).map(|index| format!("-w /srv/d{index} -p wa -k k\n")).collect();
    tree.file("/etc/audit/rules.d/10-many.rules", rules, 0o640);
    tree
}

#[test]
fn certificates_each_with_a_fix() {
    let _one = ONE.lock();
    let trees = [0, 1_000, 10_000].map(with_certificates);
    let [none, some, many] = trees.each_ref().map(|tree| cost(|| whole_run(tree).1));
    assert_eq!((some.0 - none.0, many.0 - none.0), (1_000, 10_000), "every one is planned");
    in_proportion("certificates", none.1, some.1, many.1);
}

#[test]
fn audit_rules_on_disk() {
    let _one = ONE.lock();
    let trees = [0, 1_000, 10_000].map(with_rules);
    let [none, some, many] = trees.each_ref().map(|tree| cost(|| whole_run(tree).1));
    assert!(none.0 > 0 && many.0 > 0);
    in_proportion("audit rules in rules.d", none.1, some.1, many.1);
}

#[test]
fn audit_rules_in_the_kernel() {
    let _one = ONE.lock();
    let (recorded, _) = whole_run(&Tree::host());
    let [none, some, many] = [0, 1_000, 10_000].map(|number| {
        let mut facts = recorded.clone();
        let rule = |index| our_watch(&format!("/srv/d{index}"), true, "wa".parse().unwrap(), "k");
        facts.audit.kernel = Fact::Known(KernelAudit { enabled: 1, daemon_pid: 1, rules: (0..number).map(rule).collect() });
        cost(|| judged(&facts)).1
    });
    in_proportion("audit rules in the kernel", none, some, many);
}

/// Asking costs in proportion, over few connections, and so does judging what was answered.
#[test]
fn containers_and_images() {
    let _one = ONE.lock();
    let engines = [(0, 0), (100, 50), (1_000, 500)].map(|(containers, images)| RecordedEngine::with(containers, images));
    for (name, set) in [("cis-l2", vec![]), ("guide", policies())] {
        let of_engine = ["container-*", "image-*"].map(String::from);
        let baseline = harden::baseline::load(name, &set).unwrap().select(&of_engine, &[]).unwrap();
        let look = |engine: &RecordedEngine| {
            let url = engine.url();
            let access = Access { docker_host: Some(&url), state_dir: "/nowhere", ..Access::default() };
            observe::observe(&Host::open(&access).unwrap(), &baseline).unwrap()
        };
        let asked = engines.each_ref().map(|engine| {
            let (requests, connections) = (engine.asked.requests.load(Relaxed), engine.asked.connections.load(Relaxed));
            let (facts, cost) = cost(|| look(engine));
            let requests = engine.asked.requests.load(Relaxed) - requests;
            (facts, cost, requests, engine.asked.connections.load(Relaxed) - connections)
        });
        let seen = asked
            .each_ref()
            .map(|(facts, ..)| (facts.containers.known().map_or(0, Vec::len), facts.images.known().map_or(0, Vec::len)));
        assert_eq!(seen, [(0, 0), (100, 50), (1_000, 500)], "{name}");
        // The test serves that socket, and is no dockerd: what it tells is not mixed with what this machine is.
        assert!(asked.iter().all(|(facts, ..)| matches!(facts.daemon.layout.kind, harden::fact::Layout::Remote(_))), "{name}");
        in_proportion(&format!("{name}: asking"), asked[0].1, asked[1].1, asked[2].1);
        let [none, some, many] = asked.each_ref().map(|(.., requests, _)| *requests);
        assert!(many - none <= 11 * (some - none) && many < 1_000 + 4 * 500, "{name}: {none} {some} {many} requests");
        assert!(asked.iter().all(|(.., connections)| *connections <= 6 * 16), "{name}: {} connections", asked[2].3);
        let judged = asked.each_ref().map(|(facts, ..)| cost(|| judged_by(&baseline, facts)).1);
        in_proportion(&format!("{name}: judging"), judged[0], judged[1], judged[2]);
    }
}

/// Without a policy a control says so once and for all.
fn policies() -> Vec<String> {
    let sets = [
        "container.memory=512m",
        "container.memory_max=1g",
        "allowed_registries=[\"docker.io\"]",
        "private_registries=[\"docker.io\"]",
        "require_digest=true",
        "image.max_age_days=30",
    ];
    sets.map(String::from).to_vec()
}

fn system_calls(tree: &Tree) -> usize {
    let harden = env!("CARGO_BIN_EXE_harden");
    let root = tree.path().to_str().unwrap();
    let output = Command::new("strace")
        .args(["-f", "-c", "-S", "calls", harden, "--root", root, "check", "-b", "cis-l2", "--format", "json"])
        .output()
        .expect("strace is needed: apt-get install strace");
    let text = String::from_utf8_lossy(&output.stderr);
    let total = text.lines().find(|line| line.trim_end().ends_with(" total")).unwrap_or_else(|| panic!("{text}"));
    total.split_ascii_whitespace().filter_map(|word| word.parse().ok()).next_back().map_or_else(
        || panic!("{total}"),
        |last: usize| {
            let numbers: Vec<usize> = total.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
            numbers.into_iter().max().unwrap_or(last)
        },
    )
}

/// Four calls a file at most, and none that grows with what was seen before.
#[test]
fn system_calls_follow_the_number_of_files() {
    let [none, some, many] = [0, 300, 3000].map(|number| system_calls(&with_certificates(number)));
    assert!(many - none <= 12 * (some - none), "{none} {some} {many}");
    assert!(many - none <= 3000 * 8, "{none} {many}");
}

const CLEAR: &str = "\r\u{1b}[K";

/// A person sees how far a slow engine has come, and nothing of it afterwards.
#[test]
fn progress_of_a_slow_engine() {
    let engine = RecordedEngine::slow(320, 160, Duration::from_millis(40));
    let url = engine.url();
    let args = ["--docker-host", &url, "check", "-b", "cis-l2", "--only", "container-*", "--only", "image-*", "-q"];
    let mut session = Session::spawn(common::command(&args)).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    let found = session.expect(Eof).unwrap();
    let shown = String::from_utf8_lossy(found.as_bytes()).into_owned();
    let (lines, report) = shown.rsplit_once(CLEAR).unwrap_or_else(|| panic!("{shown:.200}"));
    let lines: Vec<&str> = lines.split(CLEAR).collect();
    for (doing, all) in [("inspecting containers: ", " of 320…"), ("inspecting images: ", " of 160…")] {
        let counts: Vec<usize> =
            lines.iter().filter_map(|line| line.strip_prefix(doing)?.strip_suffix(all)?.parse().ok()).collect();
        assert!(counts.is_sorted() && counts.first() < counts.last(), "{doing}{counts:?} in {lines:?}");
    }
    assert!(!report.contains('…') && report.contains("not as wanted"), "{report:.300}");
}

/// A person sees what takes long, and nothing of it afterwards; whoever is no terminal sees nothing.
#[test]
fn progress_on_a_terminal_only() {
    let tree = with_certificates(12_000);
    let root = tree.path().to_str().unwrap();
    let args = ["--root", root, "check", "-b", "cis-l2", "-q"];
    let mut session = Session::spawn(common::command(&args)).unwrap();
    session.set_expect_timeout(Some(Duration::from_secs(120)));
    let found = session.expect(Eof).unwrap();
    let shown = String::from_utf8_lossy(found.as_bytes()).into_owned();
    let (line, rest) = shown.strip_prefix(CLEAR).unwrap_or_else(|| panic!("{shown:.200}")).split_once(CLEAR).unwrap();
    assert!(line.ends_with('…') && ["looking ", "judging ", "planning "].iter().any(|word| line.starts_with(word)), "{line}");
    let report = rest.rsplit(CLEAR).next().unwrap_or_default();
    assert!(!report.contains('…') && report.contains("not as wanted"), "{report:.300}");
    let ran = common::harden(&args).expect(2);
    assert_eq!(ran.stderr(), "");
}

/// Not a test: what the binary needs for large hosts, in seconds of a processor and MiB.
#[test]
#[ignore = "measures; run it with --release -- --ignored --nocapture measured"]
fn measured() {
    for (containers, images) in [(0, 0), (100, 50), (1_000, 500)] {
        let engine = RecordedEngine::with(containers, images);
        let url = engine.url();
        measure(&format!("{containers} containers, {images} images"), &["--docker-host", &url, "check", "-b", "guide"]);
    }
    for number in [0, 10_000, 100_000] {
        let tree = with_certificates(number);
        measure(&format!("{number} certificates"), &["--root", tree.path().to_str().unwrap(), "check", "-b", "cis-l2"]);
    }
    for number in [0, 1_000, 10_000] {
        let tree = with_rules(number);
        measure(&format!("{number} audit rules"), &["--root", tree.path().to_str().unwrap(), "check", "-b", "cis-l2"]);
    }
}

#[allow(clippy::zombie_processes)] // wait4 waits.
fn measure(what: &str, args: &[&str]) {
    for format in ["text", "json"] {
        let mut command = common::command(args);
        let child = command.args(["--format", format]).stdout(std::process::Stdio::null()).spawn().unwrap();
        // SAFETY: zeros are a valid rusage.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        let mut status = 0;
        // SAFETY: both pointers are to values that live as long.
        unsafe { libc::wait4(child.id().try_into().unwrap(), &raw mut status, 0, &raw mut usage) };
        let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
        let seconds = seconds(usage.ru_utime) + seconds(usage.ru_stime);
        println!("{what}, {format}: {seconds:.2} s, {} MiB", usage.ru_maxrss / 1024);
    }
}
