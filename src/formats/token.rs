//! Secrets that are known by their form: keys and tokens of well-known services. What is found is named, never shown.

/// A secret in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// Where it begins.
    pub at: usize,
    /// What it is, to be read after "with".
    pub what: &'static str,
}

/// How a token begins, how many more characters it has at least, and what it is.
const FORMS: [(&str, usize, &str); 17] = [
    ("AKIA", 16, "an access key of AWS"),
    ("ASIA", 16, "an access key of AWS"),
    ("ghp_", 36, "a token of GitHub"),
    ("gho_", 36, "a token of GitHub"),
    ("ghu_", 36, "a token of GitHub"),
    ("ghs_", 36, "a token of GitHub"),
    ("ghr_", 36, "a token of GitHub"),
    ("github_pat_", 60, "a token of GitHub"),
    ("glpat-", 20, "a token of GitLab"),
    ("xoxb-", 20, "a token of Slack"),
    ("xoxp-", 20, "a token of Slack"),
    ("sk_live_", 20, "a key of Stripe"),
    ("npm_", 36, "a token of npm"),
    ("pypi-", 50, "a token of PyPI"),
    ("dckr_pat_", 20, "a token of Docker Hub"),
    ("AIza", 35, "a key of Google"),
    ("hvs.", 24, "a token of Vault"),
];

/// Every secret of a text that is known by its form.
pub fn find(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        // A token begins where a word does.
        let begins = bytes[at].is_ascii() && (at == 0 || !is_word(bytes[at - 1]));
        let token = if begins { text.get(at..).and_then(|rest| token(rest)) } else { None };
        match token {
            Some((length, what)) => {
                found.push(Token { at, what });
                at += length;
            }
            None => at += 1,
        }
    }
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The token that a text begins with, and how long it is.
fn token(text: &str) -> Option<(usize, &'static str)> {
    if text.starts_with("-----BEGIN ") {
        let head = text.get(11..)?.split("-----").next()?;
        let private = head.len() <= 40 && head.ends_with("PRIVATE KEY") || head == "PGP PRIVATE KEY BLOCK";
        return private.then_some((11, "a private key"));
    }
    if text.starts_with("eyJ") {
        return web_token(text).map(|length| (length, "a JSON web token"));
    }
    let (prefix, least, what) = FORMS.into_iter().find(|(prefix, _, _)| text.starts_with(prefix))?;
    let rest = &text[prefix.len()..];
    let length = run(rest);
    let fits = match prefix {
        // These have one length, and one alphabet.
        "AKIA" | "ASIA" => {
            length == least && rest[..length].bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit())
        }
        _ => length >= least,
    };
    (fits && is_random(&rest[..length])).then_some((prefix.len() + length, what))
}

/// How many characters of a token a text begins with.
fn run(text: &str) -> usize {
    text.bytes().take_while(|byte| is_word(*byte) || *byte == b'-').count()
}

/// `xxxxxxxx…` stands for a token and is none.
fn is_random(text: &str) -> bool {
    let mut letters: Vec<u8> = text.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    letters.len() >= 5
}

/// Three parts in base64, the first two of them JSON objects.
fn web_token(text: &str) -> Option<usize> {
    let head = run(text);
    let body = text.get(head..)?.strip_prefix('.').filter(|body| body.starts_with("eyJ"))?;
    let length = run(body);
    let signature = body.get(length..)?.strip_prefix('.')?;
    let signed = run(signature);
    (head >= 10 && length >= 10 && signed >= 16).then_some(head + length + signed + 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms() {
        for (text, expected) in [
            ("AKIAIOSFODNN7EXAMPLE", Some("an access key of AWS")),
            ("AKIAIOSFODNN7EXAMPL", None),
            ("AKIAIOSFODNN7EXAMPLEX", None),
            ("XAKIAIOSFODNN7EXAMPLE", None),
            ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", Some("a token of GitHub")),
            ("ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", None),
            ("ghp_$TOKEN", None),
            ("glpat-abcdefghij0123456789", Some("a token of GitLab")),
            ("-----BEGIN OPENSSH PRIVATE KEY-----", Some("a private key")),
            ("-----BEGIN PRIVATE KEY-----", Some("a private key")),
            ("-----BEGIN PUBLIC KEY-----", None),
            ("-----BEGIN CERTIFICATE-----", None),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", Some("a JSON web token")),
            ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0", None),
            ("npm_config_registry", None),
            ("pypi-server", None),
        ] {
            let text = format!("é=\"{text}\" x");
            let found = find(&text);
            assert_eq!(found.first().map(|token| token.what), expected, "{text}");
            assert!(found.iter().all(|token| token.at == 4), "{text}");
        }
    }
}
