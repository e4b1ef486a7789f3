//! The text of a new baseline file: everything that it could say, as comments, so that it says what its parent says.

use std::fmt::Write;

use super::control::Control;
use super::{Baseline, Catalogue, Variable, params_of, toml_text};

/// The lines that every baseline begins with.
pub fn head(name: &str, title: &str, extends: &str) -> String {
    let quoted = |text: &str| toml_text(&text.into());
    format!("schema = 1\nname = {}\ntitle = {}\nextends = {}\n", quoted(name), quoted(title), quoted(extends))
}

/// A file to start from: it extends `parent`, which it names `extends`, and changes nothing of it. The files are
/// named as in a shell, where the user is.
pub fn commented(name: &str, extends: &str, parent: &Baseline, [parent_file, file]: [&str; 2]) -> String {
    let mut text = format!(
        "# A baseline of your own. What it does not say is as in {extends}. To change something, take the # before it away.\n#\n"
    );
    let commands = [
        (format!("harden baseline validate {file}"), "every mistake, with its line"),
        (format!("harden baseline diff {parent_file} {file}"), "what is different here"),
        (format!("harden -b {file} --dry-run"), "judge this host by it"),
    ];
    let width = commands.iter().map(|(command, _)| command.len()).max().unwrap_or(0);
    for (command, about) in commands {
        let _ = writeln!(text, "#     {command:width$}   {about}");
    }
    text.push('\n');
    text += &head(name, &format!("{}, adapted", parent.title), extends);
    text += "\n# Values of policy. Each line shows the value that is in force.\n[vars]\n";
    for variable in &Catalogue::builtin().variables {
        text += &var(variable, parent);
    }
    controls(&mut text, extends, parent);
    params(&mut text, parent);
    text += "\n# Drift that is known and accepted. control and target are patterns with * and ?; target and until may be left out.\n\
             # [[waive]]\n\
             # control = \"file-registry-certs-*\"\n\
             # target = \"/etc/docker/certs.d/build.example/*\"\n\
             # reason = \"renewed in place by the build robot\"\n\
             # by = \"ops\"\n\
             # until = 2027-06-30\n";
    text
}

fn var(variable: &Variable, parent: &Baseline) -> String {
    let expected = variable.expected();
    match parent.vars.get(&variable.name) {
        Some(value) => format!("\n# {}\n# {expected}\n# {} = {}\n", variable.about, variable.name, toml_text(value)),
        None => format!("\n# {}\n# {expected}; not set\n# {} = …\n", variable.about, variable.name),
    }
}

fn controls(text: &mut String, extends: &str, parent: &Baseline) {
    let has = |control: &&Control| parent.controls.iter().any(|other| other.id == control.id);
    let rows = &Catalogue::builtin().controls;
    let (members, others): (Vec<&Control>, Vec<&Control>) = rows.iter().partition(has);
    let _ = writeln!(text, "\n# harden explain CONTROL tells what each is about.\n[controls]\n# Not in {extends}:\nenable = [");
    list(text, &others);
    let _ = writeln!(text, "]\n# In {extends}:\ndisable = [");
    list(text, &members);
    text.push_str("]\n");
}

fn list(text: &mut String, controls: &[&Control]) {
    let width = controls.iter().map(|control| control.id.len()).max().unwrap_or(0) + "\"\",".len();
    for control in controls {
        let _ = writeln!(text, "  # {:width$}  # {}", format!("\"{}\",", control.id), control.title);
    }
}

fn params(text: &mut String, parent: &Baseline) {
    text.push_str("\n# What a control leaves open. Each line shows the value that is in force.\n[params]\n");
    for control in &parent.controls {
        // A choice of several names is the row's; a parameter is one name.
        let given = params_of(control).into_iter().filter(|(_, value)| !value.contains(" or "));
        let given: Vec<String> = given.map(|(name, value)| format!("{name} = {}", toml_text(&value.into()))).collect();
        if !given.is_empty() {
            let _ = writeln!(text, "# {} = {{ {} }}", control.id, given.join(", "));
        }
    }
}
