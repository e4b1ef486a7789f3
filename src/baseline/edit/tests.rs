use std::path::Path;

use proptest::prelude::*;

use super::*;

fn draft(text: &str) -> Draft {
    Draft::new(Path::new("b.toml"), text).unwrap()
}

fn edited(text: &str, edit: impl FnOnce(&mut Draft)) -> String {
    let mut draft = draft(text);
    edit(&mut draft);
    draft.0.parse().unwrap();
    draft.text().to_owned()
}

#[test]
fn values_of_variables() {
    let level = |text: &str| edited(text, |draft| draft.set(&["vars", "log_level"], "\"warn\"", Nested::Dotted).unwrap());
    let size = |text: &str| edited(text, |draft| draft.set(&["vars", "log", "max_size"], "\"9m\"", Nested::Dotted).unwrap());
    for (text, expected) in [
        // Replaced in its place, whatever is around it.
        ("[vars]\nlog_level  =  'info'   # as agreed\nx = 1\n", "[vars]\nlog_level  =  \"warn\"   # as agreed\nx = 1\n"),
        ("vars = { log_level = \"info\" } # c\n", "vars = { log_level = \"warn\" } # c\n"),
        ("vars.log_level = \"info\"\n", "vars.log_level = \"warn\"\n"),
        // New: below its comment, else below the last line, else below the header, else with a header.
        (
            "[vars]\n# The level.\n# log_level = \"info\"\n\n# other = 1\n\n[controls]\n",
            "[vars]\n# The level.\n# log_level = \"info\"\nlog_level = \"warn\"\n\n# other = 1\n\n[controls]\n",
        ),
        (
            "[vars]\nx = [\n  1, # log_level =\n]\ny.z = 2 # c\n\n[controls]\n",
            "[vars]\nx = [\n  1, # log_level =\n]\ny.z = 2 # c\nlog_level = \"warn\"\n\n[controls]\n",
        ),
        (
            "[vars] # none\n# text\n\n[controls]\n# log_level = 1\n",
            "[vars] # none\nlog_level = \"warn\"\n# text\n\n[controls]\n# log_level = 1\n",
        ),
        ("schema = 1\n", "schema = 1\n\n[vars]\nlog_level = \"warn\"\n"),
        ("schema = 1", "schema = 1\n\n[vars]\nlog_level = \"warn\"\n"),
        ("", "[vars]\nlog_level = \"warn\"\n"),
        ("schema = 1\r\n", "schema = 1\r\n\r\n[vars]\r\nlog_level = \"warn\"\r\n"),
        ("[vars.log]\nmax_files = \"3\"\n", "[vars.log]\nmax_files = \"3\"\n\n[vars]\nlog_level = \"warn\"\n"),
        ("vars = {}\n", "vars = { log_level = \"warn\" }\n"),
        ("vars = { audit.key = \"k\" }\n", "vars = { audit.key = \"k\", log_level = \"warn\" }\n"),
        (
            "vars.audit.key = \"k\" # c\nname = \"n\"\n[controls]\n",
            "vars.audit.key = \"k\" # c\nvars.log_level = \"warn\"\nname = \"n\"\n[controls]\n",
        ),
    ] {
        assert_eq!(level(text), expected, "{text}");
    }
    for (text, expected) in [
        ("[vars]\nlog.max_files = \"3\"\n", "[vars]\nlog.max_files = \"3\"\nlog.max_size = \"9m\"\n"),
        ("[vars]\n# log.max_size = \"10m\"\n# end\n", "[vars]\n# log.max_size = \"10m\"\nlog.max_size = \"9m\"\n# end\n"),
        ("[vars.log]\nmax_files = \"3\"\n", "[vars.log]\nmax_files = \"3\"\nmax_size = \"9m\"\n"),
        ("[vars]\nlog = { max_files = \"3\" }\n", "[vars]\nlog = { max_files = \"3\", max_size = \"9m\" }\n"),
        (
            "[vars]\na = 1\nlog.max_size = \"1m\"\nb = 2\nlog.max_files = \"2\"\n",
            "[vars]\na = 1\nlog.max_size = \"9m\"\nb = 2\nlog.max_files = \"2\"\n",
        ),
    ] {
        assert_eq!(size(text), expected, "{text}");
    }
}

#[test]
fn values_taken_back() {
    let size = |text: &str| edited(text, |draft| assert!(draft.unset(&["vars", "log", "max_size"]).unwrap()));
    for (text, expected) in [
        ("[vars]\n# why\nlog.max_size = \"9m\" # c\nx = 1\n", "[vars]\n# why\nx = 1\n"),
        ("[vars]\nlog = { max_size = \"9m\", max_files = \"3\" }\n", "[vars]\nlog = { max_files = \"3\" }\n"),
        ("[vars]\nlog = { max_files = \"3\", max_size = \"9m\" }\n", "[vars]\nlog = { max_files = \"3\" }\n"),
        ("[vars]\nlog = { max_size = \"9m\" } # c\nx = 1\n", "[vars]\nx = 1\n"),
        ("vars = { x = 1, log.max_size = \"9m\", y = 2 }\n", "vars = { x = 1, y = 2 }\n"),
        ("[vars.log]\nmax_size = \"\"\"\n9m\"\"\"\n# end\n", "[vars.log]\n# end\n"),
        ("[vars]\nlog.max_size = \"9m\"", "[vars]\n"),
    ] {
        assert_eq!(size(text), expected, "{text}");
    }
    for text in ["", "[vars]\nlog.max_files = \"3\"\n", "vars = 1\n"] {
        assert!(!draft(text).unset(&["vars", "log", "max_size"]).unwrap(), "{text}");
    }
}

#[test]
fn parameters() {
    let mode =
        |text: &str| edited(text, |draft| draft.set(&["params", "file-x", "mode_max"], "\"0750\"", Nested::Braces).unwrap());
    for (text, expected) in [
        ("", "[params]\nfile-x = { mode_max = \"0750\" }\n"),
        ("[params]\nfile-x = { owner = \"root\" } # c\n", "[params]\nfile-x = { owner = \"root\", mode_max = \"0750\" } # c\n"),
        (
            "[params.file-x]\nowner = \"root\"\n\n[params.file-y]\n",
            "[params.file-x]\nowner = \"root\"\nmode_max = \"0750\"\n\n[params.file-y]\n",
        ),
        ("[params]\nfile-x.owner = \"root\"\n", "[params]\nfile-x.owner = \"root\"\nfile-x.mode_max = \"0750\"\n"),
        (
            "[params]\n# file-x = { mode_max = \"0755\" }\n# end\n",
            "[params]\n# file-x = { mode_max = \"0755\" }\nfile-x = { mode_max = \"0750\" }\n# end\n",
        ),
        ("[params.file-y]\nowner = \"o\"\n", "[params.file-y]\nowner = \"o\"\n\n[params]\nfile-x = { mode_max = \"0750\" }\n"),
    ] {
        assert_eq!(mode(text), expected, "{text}");
    }
    let all = |text: &str| edited(text, |draft| assert!(draft.unset(&["params", "file-x"]).unwrap()));
    assert_eq!(all("[params]\nfile-x = { owner = \"root\" } # c\n"), "[params]\n");
    assert_eq!(all("[params.file-x]\nowner = \"root\"\nmode_max = \"0750\"\n"), "[params.file-x]\n");
    assert_eq!(
        all("[params]\nfile-x.owner = \"root\"\nfile-y.owner = \"o\"\nfile-x.group = \"g\"\n"),
        "[params]\nfile-y.owner = \"o\"\n"
    );
}

#[test]
fn lists() {
    let with = |text: &str| edited(text, |draft| draft.list(&["controls", "enable"], "new").unwrap());
    for (text, expected) in [
        ("", "[controls]\nenable = [\n  \"new\",\n]\n"),
        ("[controls]\nenable = []\n", "[controls]\nenable = [\"new\"]\n"),
        ("[controls]\nenable = [\"a\"] # c\n", "[controls]\nenable = [\"a\", \"new\"] # c\n"),
        ("[controls]\nenable = [\"a\", ]\n", "[controls]\nenable = [\"a\", \"new\", ]\n"),
        (
            "[controls]\nenable = [\n    \"a\", # first\n    # done\n]\n",
            "[controls]\nenable = [\n    \"a\", # first\n    \"new\",\n    # done\n]\n",
        ),
        ("[controls]\nenable = [\n\t\"a\" # first\n]\n", "[controls]\nenable = [\n\t\"a\", # first\n\t\"new\",\n]\n"),
        ("[controls]\nenable = [\n  \"a\",\n  \"b\"]\n", "[controls]\nenable = [\n  \"a\",\n  \"b\",\n  \"new\"]\n"),
        ("[controls]\nenable = [ # none\n]\n", "[controls]\nenable = [ # none\n  \"new\",\n]\n"),
        (
            "[controls]\nenable = [\n  # \"a\",  # A\n  # \"new\",  # N\n  # \"z\",  # Z\n]\n",
            "[controls]\nenable = [\n  # \"a\",  # A\n  # \"new\",  # N\n  \"new\",\n  # \"z\",  # Z\n]\n",
        ),
        (
            "[controls]\nenable = [\n  \"a\"\n  # \"new\",\n  # \"z\",\n]\n",
            "[controls]\nenable = [\n  \"a\",\n  # \"new\",\n  \"new\",\n  # \"z\",\n]\n",
        ),
        ("controls.enable = [\"a\"]\n", "controls.enable = [\"a\", \"new\"]\n"),
        ("controls = { disable = [\"a\"] }\n", "controls = { disable = [\"a\"], enable = [\n  \"new\",\n] }\n"),
    ] {
        let after = with(text);
        assert_eq!(after, expected, "{text}");
        let back = edited(&after, |draft| assert!(draft.unlist(&["controls", "enable"], "new").unwrap()));
        let enabled = |text: &str| {
            let list = draft(text).document(text).unwrap().get("controls").and_then(|item| item.get("enable")).cloned();
            list.and_then(|list| {
                list.as_array().map(|array| array.iter().map(|id| id.to_string().trim().to_owned()).collect::<Vec<_>>())
            })
        };
        assert_eq!(enabled(&back).unwrap_or_default(), enabled(text).unwrap_or_default(), "{text}\n{back}");
    }
    let without = |text: &str| edited(text, |draft| assert!(draft.unlist(&["controls", "enable"], "x").unwrap()));
    for (text, expected) in [
        ("[controls]\nenable = [\"x\"] # c\ndisable = []\n", "[controls]\ndisable = []\n"),
        ("[controls]\nenable = [\"x\", \"a\"]\n", "[controls]\nenable = [\"a\"]\n"),
        ("[controls]\nenable = [\"a\", \"x\"]\n", "[controls]\nenable = [\"a\"]\n"),
        (
            "[controls]\nenable = [\n  \"a\", # A\n  # Why x.\n  \"x\", # X\n  \"b\",\n]\n",
            "[controls]\nenable = [\n  \"a\", # A\n  # Why x.\n  \"b\",\n]\n",
        ),
        ("[controls]\nenable = [\n  \"a\", \"x\",\n  \"b\",\n]\n", "[controls]\nenable = [\n  \"a\", \n  \"b\",\n]\n"),
        ("[controls]\nenable = [\n  \"a\",\n  \"x\"\n]\n", "[controls]\nenable = [\n  \"a\",\n]\n"),
        ("[controls]\nenable = [\n  # \"a\",\n  \"x\",\n]\n", "[controls]\nenable = [\n  # \"a\",\n]\n"),
    ] {
        assert_eq!(without(text), expected, "{text}");
    }
    assert!(!draft("[controls]\nenable = [\"a\"]\n").unlist(&["controls", "enable"], "x").unwrap());
    let error = draft("[controls]\nenable = 1\n").list(&["controls", "enable"], "x").unwrap_err();
    assert_eq!(
        error.to_string(),
        "b.toml:2:10: this is no list\n    |\n  2 | enable = 1\n    |          ^\n  help: write controls.enable = [\"x\"]"
    );
}

#[test]
fn waivers() {
    let fields = |until: Option<&str>| {
        let mut fields = vec![("control", "\"c\"".to_owned()), ("reason", "\"r\"".into()), ("by", "\"ops\"".into())];
        fields.extend(until.map(|until| ("until", until.to_owned())));
        fields
    };
    let block = "[[waive]]\ncontrol = \"c\"\nreason = \"r\"\nby = \"ops\"\n";
    for (text, expected) in [
        ("schema = 1\n", format!("schema = 1\n\n{block}")),
        (
            "schema = 1\n[[waive]]\ncontrol = \"a\" # A\n\n# end\n[vars]\n",
            format!("schema = 1\n[[waive]]\ncontrol = \"a\" # A\n\n{block}\n# end\n[vars]\n"),
        ),
        (
            "waive = [ { control = \"a\" } ]\n",
            "waive = [ { control = \"a\" }, { control = \"c\", reason = \"r\", by = \"ops\" } ]\n".into(),
        ),
    ] {
        let after = edited(text, |draft| draft.waive(None, &fields(None)).unwrap());
        assert_eq!(after, expected, "{text}");
        let last = draft(&after).waivers().unwrap().len() - 1;
        assert_eq!(edited(&after, |draft| draft.unwaive(last).unwrap()), text);
    }
    // The same control and target: its fields are given anew.
    let text = "[[waive]]\nby = \"me\" # M\n# note\ncontrol = \"c\"\nreason = \"old\"\nuntil = 2026-01-01 # soon\n\n[vars]\n";
    let after = edited(text, |draft| draft.waive(Some(0), &fields(None)).unwrap());
    assert_eq!(after, "[[waive]]\nby = \"ops\" # M\n# note\ncontrol = \"c\"\nreason = \"r\"\n\n[vars]\n");
    let after = edited(&after, |draft| draft.waive(Some(0), &fields(Some("2030-01-01"))).unwrap());
    assert_eq!(after, "[[waive]]\nby = \"ops\" # M\n# note\ncontrol = \"c\"\nreason = \"r\"\nuntil = 2030-01-01\n\n[vars]\n");
    let inline =
        edited("waive = [{ control = \"c\" }, { control = \"d\" }]\n", |draft| draft.waive(Some(0), &fields(None)).unwrap());
    assert_eq!(inline, "waive = [{ control = \"c\", reason = \"r\", by = \"ops\" }, { control = \"d\" }]\n");
    assert_eq!(draft(&inline).waivers().unwrap(), [("c".to_owned(), None), ("d".to_owned(), None)]);
}

#[test]
fn what_is_no_toml() {
    let error = Draft::new(Path::new("b.toml"), "a = \n").unwrap_err();
    assert!(error.to_string().starts_with("b.toml:1:5: this is not TOML: "), "{error}");
}

/// Lines of `[vars]`, in any order, with comments and empty lines between them.
fn vars() -> impl Strategy<Value = String> {
    let names = ["log_level", "log.max_size", "log.max_files", "audit.key", "cgroup_parent"];
    let line = |name: &'static str| {
        prop_oneof![
            Just(String::new()),
            Just(format!("# {name} = \"commented\"\n")),
            Just(format!("{name} = \"old\" # {name}\n")),
            Just(format!("# what follows\n\n{name} = 'old'\n\n")),
        ]
    };
    let lines: Vec<_> = names.into_iter().map(line).collect();
    (lines, any::<bool>(), any::<bool>()).prop_map(|(lines, more, crlf)| {
        let more = if more { "\n[controls]\nenable = [\"a\"]\n" } else { "" };
        let text = format!("# head\nschema = 1\n\n[vars] # v\n{}{more}", lines.concat());
        if crlf { text.replace('\n', "\r\n") } else { text }
    })
}

type Edit = dyn Fn(&mut Draft) -> Result<()>;

/// Any file that a person could write, good or bad.
fn anything() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("[vars]"),
        Just("[vars.log]"),
        Just("[controls]"),
        Just("[params]"),
        Just("[params.x]"),
        Just("[[waive]]"),
        Just("[waive]"),
        Just("log_level = 'é'"),
        Just("log.max_size = \"\"\"\n1\n\"\"\""),
        Just("vars.log.max_size = '1'"),
        Just("vars = { log = { max_size = 1, } , log_level = 2 }"),
        Just("vars = {log.max_size=1,log.max_files=2}"),
        Just("vars = [1]"),
        Just("enable = ["),
        Just("\"x\","),
        Just("\"x\""),
        Just("]"),
        Just("enable = [ 'x', 'é' ] # é"),
        Just("controls.enable = ['x',]"),
        Just("x = { mode_max = '1' }"),
        Just("x.mode_max = '1'"),
        Just("mode_max = 3"),
        Just("control = 'x'"),
        Just("waive = [{ control = 'x' }, { control = 'y' } ]"),
        Just("# x = 1 é"),
        Just("# \"x\", é"),
        Just(""),
    ];
    (proptest::collection::vec(piece, 0..12), any::<bool>(), any::<bool>(), any::<bool>()).prop_map(
        |(pieces, crlf, end, mark)| {
            let text = pieces.join(if crlf { "\r\n" } else { "\n" }) + if end { "\n" } else { "" };
            if mark { format!("\u{feff}{text}") } else { text }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    /// Whatever is in the file: an edit is done, or refused; it never breaks the file, and never panics.
    #[test]
    fn no_edit_breaks_a_file(text in anything()) {
        let Ok(start) = Draft::new(Path::new("b.toml"), &text) else { return Ok(()) };
        let edits: [&Edit; 12] = [
            &|draft| draft.set(&["vars", "log_level"], "\"new\"", Nested::Dotted),
            &|draft| draft.set(&["vars", "log", "max_size"], "\"new\"", Nested::Dotted),
            &|draft| draft.set(&["params", "x", "mode_max"], "\"new\"", Nested::Braces),
            &|draft| draft.unset(&["vars", "log_level"]).map(|_| ()),
            &|draft| draft.unset(&["vars", "log", "max_size"]).map(|_| ()),
            &|draft| draft.unset(&["params", "x"]).map(|_| ()),
            &|draft| draft.list(&["controls", "enable"], "new"),
            &|draft| draft.unlist(&["controls", "enable"], "x").map(|_| ()),
            &|draft| draft.waive(None, &[("control", "\"new\"".into())]),
            &|draft| draft.waive(Some(0), &[("control", "\"new\"".into()), ("by", "\"b\"".into())]),
            &|draft| draft.unwaive(0),
            &|draft| draft.waivers().map(|_| ()),
        ];
        for (index, edit) in edits.iter().enumerate() {
            let mut draft = start.clone();
            let done = edit(&mut draft);
            let document = Document::parse(draft.text());
            prop_assert!(document.is_ok(), "edit {index} of {text:?} gave {:?}", draft.text());
            match done {
                Ok(()) if index == 0 => {
                    let value = lookup(document.unwrap().as_table(), &["vars", "log_level"]).and_then(Item::as_str).map(str::to_owned);
                    prop_assert_eq!(value.as_deref(), Some("new"), "{:?}", draft.text());
                }
                Ok(()) if index == 3 => {
                    prop_assert!(lookup(document.unwrap().as_table(), &["vars", "log_level"]).is_none(), "{:?}", draft.text());
                }
                Ok(()) => {}
                Err(_) => prop_assert_eq!(draft.text(), &text),
            }
        }
    }
}

proptest! {
    #[test]
    fn an_edit_changes_its_line_alone(text in vars(), name in 0_usize..5) {
        let path: &[&str] = [&["vars", "log_level"][..], &["vars", "log", "max_size"], &["vars", "log", "max_files"], &["vars", "audit", "key"], &["vars", "cgroup_parent"]][name];
        let mut after = draft(&text);
        let was = lookup(draft(&text).document(&text).unwrap().as_table(), path).is_some();
        after.set(path, "\"new\"", Nested::Dotted).unwrap();
        let written = after.text().to_owned();
        let document = Document::parse(written.as_str()).unwrap();
        prop_assert_eq!(lookup(document.as_table(), path).and_then(Item::as_str), Some("new"));
        // Every line but one is as it was, in its place.
        let (old, new): (Vec<&str>, Vec<&str>) = (text.split_inclusive('\n').collect(), written.split_inclusive('\n').collect());
        prop_assert_eq!(new.len(), old.len() + usize::from(!was));
        let first = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
        prop_assert_eq!(&old[first + usize::from(was)..], &new[first + 1..]);
        if !was {
            after.unset(path).unwrap();
            prop_assert_eq!(after.text(), text);
        }
    }
}
