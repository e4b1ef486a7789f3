//! The report as one JSON document; `schema/report-1.schema.json` describes it.

use std::io::{self, BufWriter, Write};

use serde::Serialize;

use super::style::steers_terminal;
use crate::report::Report;

/// Writes a report as exactly one JSON document, indented by two spaces, with a line break at its end.
///
/// Characters that could steer a terminal are written as `\u…` escapes; whoever parses the document gets them back.
///
/// # Errors
/// Those of `out`.
pub fn render(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    document(report, out)
}

/// The same of any document.
pub(super) fn document(value: &impl Serialize, out: &mut dyn Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    serde_json::to_writer_pretty(Escaping(&mut out), value)?;
    out.write_all(b"\n")?;
    out.flush()
}

/// Passes a document on piece by piece: the whole of it may be large. Outside of strings it has no other control character than line
/// breaks, so the rest may be replaced blindly.
struct Escaping<'w>(&'w mut dyn Write);

impl Write for Escaping<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // The serializer cuts strings only where it escapes an ASCII character.
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        let mut plain = 0;
        for (at, c) in text.char_indices().filter(|(_, c)| *c != '\n' && steers_terminal(*c)) {
            self.0.write_all(&bytes[plain..at])?;
            plain = at + c.len_utf8();
            c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(self.0, "\\u{unit:04x}"))?;
        }
        self.0.write_all(&bytes[plain..])?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::render::samples;

    fn schema() -> jsonschema::Validator {
        let schema = serde_json::from_str(include_str!("../../schema/report-1.schema.json")).unwrap();
        jsonschema::draft202012::meta::validate(&schema).unwrap();
        jsonschema::validator_for(&schema).unwrap()
    }

    fn rendered(report: &Report) -> String {
        let mut out = Vec::new();
        render(report, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_sample_fits_the_schema() {
        let schema = schema();
        for (name, report) in samples::all() {
            let text = rendered(&report);
            assert!(text.starts_with("{\n  \"schema\": \"harden/report/1\",\n") && text.ends_with("}\n"), "{name}");
            let document: Value = serde_json::from_str(&text).unwrap();
            let errors: Vec<_> =
                schema.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{name}: {errors:?}");
            let read: Report = serde_json::from_value(document).unwrap();
            assert_eq!(read.findings, report.findings, "{name}");
        }
    }

    #[test]
    fn nothing_in_it_steers_a_terminal() {
        let text = rendered(&samples::hostile());
        assert!(!text.contains(|c| steers_terminal(c) && c != '\n'), "{text}");
        assert!(text.contains(r"\u001b[2J") && text.contains(r"\u202e") && text.contains(r"\udb40\udc41"), "{text}");
    }

    #[test]
    fn a_wrong_document_fails() {
        let schema = schema();
        let good = serde_json::to_value(samples::applied()).unwrap();
        assert!(schema.is_valid(&good));
        type Spoil = fn(&mut Value);
        let table: [(&str, Spoil); 15] = [
            ("another schema", |d| d["schema"] = json!("harden/report/2")),
            ("a key too many", |d| d["extra"] = json!(1)),
            ("a key too many in a finding", |d| d["findings"][0]["extra"] = json!(1)),
            ("a key too many in the host", |d| d["host"]["docker"]["extra"] = json!(1)),
            ("no summary", |d| drop(d.as_object_mut().unwrap().remove("summary"))),
            ("a negative count", |d| d["summary"]["drift"] = json!(-1)),
            ("a status that is none", |d| d["findings"][0]["status"] = json!("fail")),
            ("drift without a fix", |d| d["findings"][0]["fix"]["kind"] = json!("none")),
            ("by hand without a reason", |d| {
                d["findings"][0]["fix"] = json!({"kind": "manual", "changes": [], "reason": null})
            }),
            ("a change id that is none", |d| d["changes"][0]["id"] = json!("1")),
            ("an action that is none", |d| d["activations"][0]["action"] = json!("reboot")),
            ("half an outcome", |d| drop(d.as_object_mut().unwrap().remove("failed"))),
            ("an outcome without `changed`", |d| drop(d.as_object_mut().unwrap().remove("changed"))),
            ("a diff without a side", |d| d["diff"] = json!([{"before_header": "", "after_header": "", "before": ""}])),
            ("a digest that is none", |d| d["baseline"]["digest"] = json!("latest")),
        ];
        for (name, spoil) in table {
            let mut document = good.clone();
            spoil(&mut document);
            assert!(!schema.is_valid(&document), "{name}");
        }
    }
}
