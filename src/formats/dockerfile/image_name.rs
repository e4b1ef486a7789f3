//! Names of images: registry, repository, tag, digest.

/// The name of an image, with what Docker adds to a short one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageName {
    /// The registry; `docker.io` where none is written.
    pub registry: String,
    /// The repository; on Docker Hub `library/` is put before a single name.
    pub repository: String,
    /// The tag, if one is written.
    pub tag: Option<String>,
    /// The digest, if one is written.
    pub digest: Option<String>,
}

impl ImageName {
    /// Reads a name; `None` where it is not one.
    pub fn parse(text: &str) -> Option<ImageName> {
        let (rest, digest) = text.split_once('@').map_or((text, None), |(rest, digest)| (rest, Some(digest.to_owned())));
        let last = rest.rfind('/').map_or(0, |slash| slash + 1);
        let (path, tag) = match rest[last..].split_once(':') {
            Some((name, tag)) => (&rest[..last + name.len()], Some(tag.to_owned())),
            None => (rest, None),
        };
        let (registry, repository) = match path.split_once('/') {
            Some((host, rest)) if host.contains(['.', ':']) || host == "localhost" => (host, rest.to_owned()),
            Some(_) => ("docker.io", path.to_owned()),
            None => ("docker.io", format!("library/{path}")),
        };
        let registry = if registry == "index.docker.io" { "docker.io" } else { registry };
        let word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-/:+".contains(c));
        let parts = [Some(registry), Some(&repository), tag.as_deref(), digest.as_deref()];
        (!path.is_empty() && parts.into_iter().flatten().all(word)).then(|| ImageName {
            registry: registry.to_owned(),
            repository,
            tag,
            digest,
        })
    }

    /// Registry and repository: `docker.io/library/debian`.
    pub fn full(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The last part of the repository: `debian`.
    pub fn short(&self) -> &str {
        self.repository.rsplit('/').next().unwrap_or_default()
    }

    /// Whether it has a digest that is one: `sha256:` and 64 hexadecimal digits.
    pub fn has_sha256(&self) -> bool {
        let digits = self.digest.as_deref().and_then(|digest| digest.strip_prefix("sha256:"));
        digits.is_some_and(|digits| digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }
}
