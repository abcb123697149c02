//! What a ceremony has done: one line of JSON for each step, with the hash of the line before it and of every file that
//! the step wrote. A root that signs puts its name under all lines so far. There is nothing secret in it.

use std::collections::BTreeMap;

use coffer_hsm_adapter::verify_es256_by;
use coffer_proto::{Base64, Hash, RootSignature, Time, transcript_message};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: u64,
    /// SHA-256 of the line before, zeros for the first.
    pub(crate) previous: Hash,
    pub(crate) at: Time,
    pub(crate) step: String,
    /// By a root, over `previous`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) signature: Option<RootSignature>,
    /// What was written, with the SHA-256 of its content.
    pub(crate) files: BTreeMap<String, Hash>,
}

/// All steps, each of which follows from the one before.
#[derive(Debug, Default)]
pub(crate) struct Transcript {
    pub(crate) lines: Vec<Line>,
    text: String,
}

impl Transcript {
    /// Reads a transcript, and holds each line against the one before it.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut read = Self::default();
        for (place, line) in text.lines().enumerate() {
            let number = place + 1;
            let parsed: Line = serde_json::from_str(line).map_err(|error| format!("line {number}: {error}"))?;
            if u64::try_from(number).ok() != Some(parsed.number) || parsed.previous != read.last() {
                return Err(format!("line {number} does not follow from the one before it"));
            }
            if parsed.signature.is_some_and(|signature| !holds(&signature, &parsed.previous)) {
                return Err(format!("line {number}: the root has not signed what stands above it"));
            }
            read.push(parsed, line);
        }
        Ok(read)
    }

    /// SHA-256 of the last line: whoever has noted it notices any change, and a line that is cut off at the end.
    pub(crate) fn last(&self) -> Hash {
        self.text.lines().last().map_or(Base64([0; 32]), |line| hash(line.as_bytes()))
    }

    /// One more step.
    pub(crate) fn add(
        &mut self,
        at: Time,
        step: String,
        signature: Option<RootSignature>,
        files: BTreeMap<String, Hash>,
    ) {
        let number = u64::try_from(self.lines.len()).unwrap_or(u64::MAX).saturating_add(1);
        let line = Line { number, previous: self.last(), at, step, signature, files };
        let text = serde_json::to_string(&line).expect("plain data in memory");
        self.push(line, &text);
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Each file as it was last written.
    pub(crate) fn files(&self) -> BTreeMap<&str, Hash> {
        self.lines.iter().flat_map(|line| line.files.iter().map(|(name, hash)| (name.as_str(), *hash))).collect()
    }

    fn push(&mut self, line: Line, text: &str) {
        self.lines.push(line);
        self.text.push_str(text);
        self.text.push('\n');
    }
}

fn holds(signature: &RootSignature, previous: &Hash) -> bool {
    verify_es256_by(&signature.key.0, &transcript_message(previous), &signature.signature.0)
}

pub(crate) fn hash(content: &[u8]) -> Hash {
    Base64(Sha256::digest(content).into())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use coffer_hsm_adapter::RootKey;
    use coffer_proto::{Time, transcript_message};

    use super::{Transcript, hash};

    fn three_steps() -> Transcript {
        let mut transcript = Transcript::default();
        for step in ["one", "two", "three"] {
            let files = [(step.to_owned(), hash(step.as_bytes()))].into();
            transcript.add(Time::from_unix_seconds(1_795_000_000), step.to_owned(), None, files);
        }
        transcript
    }

    fn changed(change: impl FnOnce(&mut Vec<String>)) -> String {
        let mut lines: Vec<String> = three_steps().text().lines().map(str::to_owned).collect();
        change(&mut lines);
        Transcript::parse(&lines.join("\n")).unwrap_err()
    }

    #[test]
    fn reads_what_it_wrote() {
        let transcript = three_steps();
        let again = Transcript::parse(transcript.text()).unwrap();
        assert_eq!((again.lines.len(), again.last()), (3, transcript.last()));
        assert_eq!(again.files()["two"], hash(b"two"));
    }

    #[test]
    fn refuses_a_transcript_with_a_line_removed() {
        assert!(changed(|lines| drop(lines.remove(0))).starts_with("line 1 "));
        assert!(changed(|lines| drop(lines.remove(1))).starts_with("line 2 "));
    }

    #[test]
    fn a_line_cut_off_at_the_end_changes_the_last_hash() {
        let transcript = three_steps();
        let shorter: Vec<&str> = transcript.text().lines().take(2).collect();
        assert_ne!(Transcript::parse(&shorter.join("\n")).unwrap().last(), transcript.last());
    }

    #[test]
    fn refuses_a_transcript_with_a_line_altered() {
        assert!(changed(|lines| lines[0] = lines[0].replace("one", "ONE")).starts_with("line 2 "));
        assert!(changed(|lines| lines[1].push(' ')).starts_with("line 3 "));
    }

    #[test]
    fn refuses_a_transcript_with_lines_reordered() {
        assert!(changed(|lines| lines.swap(0, 1)).starts_with("line 1 "));
        assert!(changed(|lines| lines.swap(1, 2)).starts_with("line 2 "));
    }

    #[test]
    fn refuses_a_root_s_name_under_other_lines_than_it_has_signed() {
        let (mut transcript, root) = (three_steps(), RootKey::generate().unwrap());
        let at = Time::from_unix_seconds(1_795_000_000);
        let signature = root.sign(&transcript_message(&transcript.last()));
        transcript.add(at, "signed".to_owned(), Some(signature), [].into());
        assert!(Transcript::parse(transcript.text()).is_ok());
        transcript.add(at, "signed".to_owned(), Some(signature), [].into());
        assert_eq!(
            Transcript::parse(transcript.text()).unwrap_err(),
            "line 5: the root has not signed what stands above it"
        );
    }
}
