use std::path::Path;

use crate::render::samples;
use crate::render::style::{columns, steers_terminal};

use super::*;

fn shown(report: &Report, view: &View) -> String {
    let mut out = Vec::new();
    review(report, view, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn view(report: &Report) -> View {
    let tense = if report.outcome.is_some() { Tense::Did } else { Tense::Would };
    View { tense, options: Some("-b essential".into()), ..View::default() }
}

/// Compares with a file in `tests/data/text`; `UPDATE_GOLDEN=1` writes it instead.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/text").join(format!("{name}.txt"));
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == expected,
        "{} is different now:\n{}",
        path.display(),
        crate::render::diff::unified("file", "now", &expected, text)
    );
}

#[test]
fn reviews_are_those_on_file() {
    for (name, report) in samples::all() {
        golden(name, &shown(&report, &view(&report)));
    }
    let report = samples::drift();
    golden("drift-verbose", &shown(&report, &View { verbose: true, ..view(&report) }));
    golden("drift-color-utf8", &shown(&report, &View { color: true, utf8: true, ..view(&report) }));
    golden("drift-wide", &shown(&report, &View { width: 110, ..view(&report) }));
}

#[test]
fn quiet_is_one_line_and_failures() {
    let table = [
        (
            "drift",
            samples::drift(),
            "web-1: 7 not as wanted (2 critical, 1 high, 2 medium, 2 low; 1 by hand), 1 unknown, 1 waived, 21 compliant, 3 not applicable\n",
        ),
        ("clean", samples::clean(), "web-1: everything is as wanted, 3 compliant\n"),
        (
            "applied",
            samples::applied(),
            "web-1: 1 not as wanted (1 critical; 1 by hand), 1 unknown, 1 waived, 21 compliant, 3 not applicable\n",
        ),
        ("early failure", samples::early_failure(), "FAILED mine.toml:3:1: unknown key `sevrity`\n"),
    ];
    for (name, report, expected) in table {
        assert_eq!(shown(&report, &View { quiet: true, width: 200, ..view(&report) }), expected, "{name}");
    }
    let failed = samples::failed();
    let text = shown(&failed, &View { quiet: true, width: 200, ..view(&failed) });
    assert_eq!(
        text.lines().nth(1),
        Some("FAILED dockerd did not answer within 30 s after its restart; everything was put back")
    );
}

#[test]
fn nothing_from_the_host_steers_the_terminal() {
    for verbose in [false, true] {
        let text = shown(&samples::hostile(), &View { verbose, ..view(&samples::hostile()) });
        assert!(!text.contains(|c| steers_terminal(c) && c != '\n' && c != '\t'), "{text}");
        assert!(!text.lines().any(|line| line.trim() == "web-1: nothing to fix"), "a forged line:\n{text}");
    }
}

#[test]
fn colours_add_nothing_but_colours() {
    for (name, report) in samples::all() {
        let plain = shown(&report, &view(&report));
        let color = shown(&report, &View { color: true, ..view(&report) });
        assert!(color.contains("\u{1b}["), "{name}");
        assert_eq!(anstream::adapter::strip_str(&color).to_string(), plain, "{name}");
    }
}

#[test]
fn every_finding_and_change_is_there_with_v() {
    for (name, report) in samples::all() {
        let text = shown(&report, &View { verbose: true, width: 10_000, ..view(&report) });
        for finding in &report.findings {
            let target = crate::render::style::visible(&finding.target);
            assert!(text.contains(&finding.control) && text.contains(&*target), "{name}: {} {target}", finding.control);
        }
        for change in &report.changes {
            assert!(text.contains(&*crate::render::style::visible(&change.summary)), "{name}: {}", change.id);
        }
    }
}

#[test]
fn lines_fit_the_page() {
    for width in [60, 80, 110] {
        for (name, report) in samples::all().into_iter().filter(|(name, _)| *name != "hostile") {
            for line in shown(&report, &View { width, ..view(&report) }).lines() {
                let is_diff = line.trim_start().starts_with(['+', '-', '@', '{', '}', '"', '/']);
                let one_word = line.trim().split(' ').filter(|word| columns(word) + 30 > width).count() > 0;
                assert!(columns(line) <= width || is_diff || one_word, "{name} at {width}: {line}");
            }
        }
    }
}

#[test]
fn the_width_of_a_terminal_is_asked_for() {
    assert_eq!(View::of(std::fs::File::open("/dev/null").unwrap()).width, 80);
    let pty = nix::pty::openpty(Some(&nix::pty::Winsize { ws_row: 24, ws_col: 97, ws_xpixel: 0, ws_ypixel: 0 }), None).unwrap();
    assert_eq!(View::of(&pty.slave).width, 97);
    let pty =
        nix::pty::openpty(Some(&nix::pty::Winsize { ws_row: 24, ws_col: 300, ws_xpixel: 0, ws_ypixel: 0 }), None).unwrap();
    assert_eq!(View::of(&pty.slave).width, 110);
    let unset = nix::pty::openpty(None, None).unwrap();
    assert_eq!(View::of(&unset.slave).width, 80, "a terminal that does not know its size");
}
