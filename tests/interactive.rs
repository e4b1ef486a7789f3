//! `harden` and `harden --dry-run` at a terminal (a pty): what is left out of the checklist can be kept as a baseline.

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::time::Duration;

use common::{STATE_DIR, Tree};
use expectrl::process::unix::WaitStatus;
use expectrl::session::OsSession;
use expectrl::{Eof, Expect, Session};

const CONFIG: &str = "/etc/docker/daemon.json";
const DOWN: &str = "\x1b[B";
const ENTER: &str = "\r";
const CTRL_C: &str = "\x03";

/// The checklist has two lines: daemon-debug-disabled and file-daemon-json-mode.
const ONLY: [&str; 4] = ["--only", "daemon-debug-disabled", "--only", "file-daemon-json-mode"];

const CHECKLIST: &str = "Fix which?";
const KEEP: &str = "left out. Keep that for the next time?";
const FILE: &str = "Baseline file to write (enter: ./my-essential.toml):";

struct Terminal {
    session: OsSession,
    tree: Tree,
    before: Vec<u8>,
}

impl Terminal {
    /// harden in a folder of its own within the tree, as the user carol with sudo.
    fn start(args: &[&str]) -> Self {
        let tree = Tree::host();
        tree.file(CONFIG, "{\n  \"debug\": true\n}\n", 0o666).dir("/home", 0o755);
        let root = tree.path().to_str().unwrap().to_owned();
        let mut command = Command::new(env!("CARGO_BIN_EXE_harden"));
        command.env_clear().envs([("PATH", "/usr/bin:/bin"), ("SUDO_USER", "carol"), ("TERM", "xterm")]);
        command.args(["--root", &root, "-b", "essential"]).args(ONLY).args(args).current_dir(tree.at("/home"));
        let mut session = Session::spawn(command).unwrap();
        session.set_expect_timeout(Some(Duration::from_secs(20)));
        let before = tree.read(CONFIG);
        Self { session, tree, before }
    }

    /// Waits for each text and then sends the keys.
    fn answer(mut self, answers: &[(&str, &[&str])]) -> Self {
        for (shown, keys) in answers {
            if let Err(error) = self.session.expect(shown) {
                panic!("`{shown}` is not shown ({error}), but {}", self.end().0);
            }
            for key in *keys {
                // An escape sequence has to arrive as one, apart from the next key.
                std::thread::sleep(Duration::from_millis(80));
                self.session.send(key).unwrap();
            }
        }
        self
    }

    /// Reads to the end; gives the rest of what was shown and the exit status.
    fn end(&mut self) -> (String, i32) {
        let rest = self.session.expect(Eof).unwrap();
        let text = String::from_utf8_lossy(rest.as_bytes()).into_owned();
        match self.session.get_process().wait().unwrap() {
            WaitStatus::Exited(_, code) => (text, code),
            other => panic!("{other:?}: {text}"),
        }
    }

    fn saved(&self, name: &str) -> String {
        fs::read_to_string(self.tree.at("/home").join(name)).unwrap()
    }

    #[track_caller]
    fn untouched(&self) {
        assert_eq!(self.tree.read(CONFIG), self.before);
        assert!(!self.tree.exists(STATE_DIR));
        assert_eq!(fs::read_dir(self.tree.at("/home")).unwrap().count(), 0);
    }
}

#[test]
fn left_out_controls_are_kept_as_a_baseline() {
    let mut terminal = Terminal::start(&["--set", "log.max_size=20m", "--dry-run"]).answer(&[
        (CHECKLIST, &[" ", ENTER]),
        (KEEP, &[DOWN, ENTER]),
        (FILE, &[ENTER]),
    ]);
    let (text, code) = terminal.end();
    assert_eq!(code, 2, "{text}");
    assert!(text.contains("mode 0666 to 0644") && !text.contains("\"debug\": false"), "{text}");
    assert!(text.contains("harden: wrote ./my-essential.toml; from now on: harden -b ./my-essential.toml"), "{text}");
    assert!(text.contains("nothing else was changed (--dry-run)"), "{text}");
    assert_eq!(
        terminal.saved("my-essential.toml"),
        "schema = 1\nname = \"my-essential\"\ntitle = \"Root-equivalent exposures and settings without surprises, adapted\"\n\
         extends = \"essential\"\n\n[vars]\nlog.max_size = \"20m\"\n\n[controls]\ndisable = [\n  \"daemon-debug-disabled\",\n]\n"
    );
    assert_eq!(terminal.tree.read(CONFIG), terminal.before);
    // It says what was chosen: what was left out is not found any more.
    let file = terminal.tree.at("/home/my-essential.toml");
    let ran = terminal.tree.harden(&["check", "-b", file.to_str().unwrap(), "--only", "daemon-*", "-q"]);
    assert!(!ran.stdout().contains("daemon-debug-disabled"), "{ran}");
}

#[test]
fn left_out_findings_are_kept_as_waivers() {
    let mut terminal = Terminal::start(&["--dry-run"]).answer(&[
        (CHECKLIST, &["a", ENTER]),
        (KEEP, &[DOWN, DOWN, ENTER]),
        ("Why is it accepted?", &[ENTER]),
        ("write a few words", &["we are debugging", ENTER]),
        ("Who decided (enter: carol)?", &[ENTER]),
        ("or never)?", &["2020-01-01", ENTER]),
        ("2020-01-01 is past", &["2099-01-31", ENTER]),
        (FILE, &["waived.toml", ENTER]),
    ]);
    let (text, code) = terminal.end();
    assert_eq!(code, 2, "{text}");
    let block = |control: &str, target: &str| {
        format!(
            "\n[[waive]]\ncontrol = \"{control}\"\ntarget = \"{target}\"\nreason = \"we are debugging\"\nby = \"carol\"\nuntil = 2099-01-31\n"
        )
    };
    let saved = terminal.saved("waived.toml");
    let waivers = block("daemon-debug-disabled", "debug") + &block("file-daemon-json-mode", CONFIG);
    assert!(saved.ends_with(&waivers), "{saved}");
    let file = terminal.tree.at("/home/waived.toml");
    let (_, report) = terminal.tree.json(&[&["check", "-b", file.to_str().unwrap()], &ONLY[..]].concat());
    assert_eq!(report["summary"]["waived"], 2, "{report:#}");
}

#[test]
fn what_is_applied_and_what_is_kept_go_together() {
    let mut terminal = Terminal::start(&[]).answer(&[
        (CHECKLIST, &[" ", ENTER]),
        (KEEP, &[DOWN, ENTER]),
        (FILE, &["mine.toml", ENTER]),
        ("Type yes to go on", &["yes", ENTER]),
    ]);
    let (text, code) = terminal.end();
    assert_eq!(code, 0, "{text}");
    assert_eq!(terminal.tree.text(CONFIG), "{\n  \"debug\": true\n}\n");
    assert_eq!(fs::metadata(terminal.tree.at(CONFIG)).unwrap().mode() & 0o7777, 0o644);
    assert!(terminal.saved("mine.toml").contains("\"daemon-debug-disabled\""));
}

#[test]
fn ctrl_c_at_any_question_leaves_everything_as_it_was() {
    let path: [(&str, &[&str]); 7] = [
        (CHECKLIST, &[" ", ENTER]),
        (KEEP, &[DOWN, DOWN, ENTER]),
        ("Why is it accepted?", &["r", ENTER]),
        ("Who decided", &[ENTER]),
        ("or never)?", &[ENTER]),
        (FILE, &[ENTER]),
        ("Type yes to go on", &["yes", ENTER]),
    ];
    for at in 0..path.len() {
        let mut terminal = Terminal::start(&[]).answer(&path[..at]).answer(&[(path[at].0, &[CTRL_C])]);
        let (text, code) = terminal.end();
        assert_eq!(code, 1, "{}: {text}", path[at].0);
        assert!(text.contains("cancelled; nothing was changed"), "{}: {text}", path[at].0);
        terminal.untouched();
    }
}

#[test]
fn keeping_nothing_is_an_answer() {
    let mut terminal = Terminal::start(&["--dry-run"]).answer(&[(CHECKLIST, &["a", ENTER]), (KEEP, &[ENTER])]);
    let (text, code) = terminal.end();
    assert_eq!(code, 1, "{text}");
    assert!(text.contains("nothing was chosen, nothing was changed"), "{text}");
    terminal.untouched();
    // With everything chosen there is nothing to ask.
    let mut terminal = Terminal::start(&["--dry-run"]).answer(&[(CHECKLIST, &[ENTER])]);
    let (text, code) = terminal.end();
    assert_eq!(code, 2, "{text}");
    assert!(!text.contains(KEEP) && text.contains("harden: nothing was changed (--dry-run)"), "{text}");
    terminal.untouched();
}

#[test]
fn a_file_that_is_there_is_not_written_over() {
    let mut terminal = Terminal::start(&["--dry-run"]);
    fs::write(terminal.tree.at("/home/mine.toml"), "mine").unwrap();
    terminal = terminal.answer(&[
        (CHECKLIST, &["a", ENTER]),
        (KEEP, &[DOWN, ENTER]),
        (FILE, &["mine.toml", ENTER]),
        ("it is there already", &["essential.toml", ENTER]),
        ("like a built-in one", &["other.toml", ENTER]),
    ]);
    let (text, code) = terminal.end();
    assert_eq!(code, 2, "{text}");
    assert_eq!(terminal.saved("mine.toml"), "mine");
    assert!(terminal.saved("other.toml").contains("file-daemon-json-mode"));
}
