//! A second opinion on JSON: a strict reader of its own that gives the bytes of each member.

/// The members of an object with the bytes of their values; an error for anything that is not strict JSON, or a key given twice.
pub fn members(text: &[u8]) -> Result<Vec<(String, Vec<u8>)>, String> {
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
    let mut reader = Reader { text, at: 0 };
    reader.blank();
    let found = reader.object()?;
    reader.blank();
    if reader.at != text.len() {
        return Err(format!("text after the end, at byte {}", reader.at));
    }
    Ok(found)
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(0)
    }

    fn blank(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
    }

    fn take(&mut self, byte: u8) -> Result<(), String> {
        if self.peek() != byte {
            return Err(format!("expected `{}` at byte {}", byte as char, self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn object(&mut self) -> Result<Vec<(String, Vec<u8>)>, String> {
        let mut members: Vec<(String, Vec<u8>)> = Vec::new();
        self.take(b'{')?;
        self.blank();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(members);
        }
        loop {
            self.blank();
            let start = self.at;
            self.string()?;
            let name: String = serde_json::from_slice(&self.text[start..self.at]).map_err(|error| error.to_string())?;
            if members.iter().any(|(other, _)| *other == name) {
                return Err(format!("`{name}` twice"));
            }
            self.blank();
            self.take(b':')?;
            self.blank();
            let start = self.at;
            self.value()?;
            members.push((name, self.text[start..self.at].to_vec()));
            self.blank();
            if self.peek() != b',' {
                self.take(b'}')?;
                return Ok(members);
            }
            self.at += 1;
        }
    }

    fn array(&mut self) -> Result<(), String> {
        self.take(b'[')?;
        self.blank();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.blank();
            self.value()?;
            self.blank();
            if self.peek() != b',' {
                return self.take(b']');
            }
            self.at += 1;
        }
    }

    fn string(&mut self) -> Result<(), String> {
        self.take(b'"')?;
        loop {
            match self.peek() {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => self.at += 2,
                0..0x20 => return Err(format!("a control character or the end in a text at byte {}", self.at)),
                _ => self.at += 1,
            }
        }
    }

    fn value(&mut self) -> Result<(), String> {
        match self.peek() {
            b'{' => self.object().map(drop),
            b'[' => self.array(),
            b'"' => self.string(),
            _ => {
                let start = self.at;
                while matches!(self.peek(), b'a'..=b'z' | b'0'..=b'9' | b'E' | b'.' | b'-' | b'+') {
                    self.at += 1;
                }
                let plain = &self.text[start..self.at];
                serde_json::from_slice::<serde_json::Value>(plain).map(drop).map_err(|error| format!("{error} at byte {start}"))
            }
        }
    }
}
