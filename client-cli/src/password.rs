//! A password as it comes from a file or a person. It is never an argument or in the environment, where others see it.

mod unseen;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use coffer_vault_client::Password;
use zeroize::Zeroizing;
use zxcvbn::Score;

use crate::context::Context;
use crate::error::{Error, VaultError};
use crate::{recovery_key, secret_text};
use unseen::Unseen;

/// How often a person is asked.
const TRIES: usize = 3;

/// Where the password comes from, if not from a prompt.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Password options")]
pub(crate) struct PasswordOptions {
    /// Read the password from the first line of this file; "-" reads it from standard input
    #[arg(long, value_name = "FILE", conflicts_with = "password_fd")]
    password_file: Option<PathBuf>,

    /// Read the password from the first line of this open file descriptor
    #[arg(long, value_name = "N")]
    password_fd: Option<u16>,
}

impl PasswordOptions {
    /// The password that was set before.
    pub(crate) fn ask(&self, context: &Context) -> Result<Password, Error> {
        if let Some(file) = self.file() {
            return from_file(&file).and_then(|typed| parse(&typed));
        }
        check_terminal()?;
        asking(context, || parse(&prompt(context, "Password: ")?))
    }

    /// A new password: asked for twice, and weighed.
    pub(crate) fn ask_for_new(&self, context: &Context) -> Result<Password, Error> {
        if let Some(file) = self.file() {
            return new(context, &from_file(&file)?);
        }
        check_terminal()?;
        asking(context, || {
            let typed = prompt(context, "New password: ")?;
            let password = new(context, &typed)?;
            if *typed != *prompt(context, "The same password again: ")? {
                return Err(VaultError::PasswordsDiffer.into());
            }
            Ok(password)
        })
    }

    /// Whether it is not to come from a prompt.
    pub(crate) const fn is_named(&self) -> bool {
        self.password_file.is_some() || self.password_fd.is_some()
    }

    fn file(&self) -> Option<PathBuf> {
        let of_descriptor = |number| Path::new("/dev/fd").join(format!("{number}"));
        match &self.password_file {
            Some(file) if file == Path::new("-") => Some("/dev/stdin".into()),
            Some(file) => Some(file.clone()),
            None => self.password_fd.map(of_descriptor),
        }
    }
}

fn check_terminal() -> Result<(), Error> {
    if recovery_key::can_ask() { Ok(()) } else { Err(VaultError::NoPassword.into()) }
}

/// Asks again after a slip.
fn asking(context: &Context, mut ask: impl FnMut() -> Result<Password, Error>) -> Result<Password, Error> {
    let mut tries = TRIES;
    loop {
        tries -= 1;
        match ask() {
            Err(error) if tries > 0 && error.is_slip_of_password() => context.output.error(&error),
            other => return other,
        }
    }
}

fn prompt(context: &Context, text: &str) -> Result<Zeroizing<String>, Error> {
    let unreadable = |source| Error::File { action: "read", path: "the terminal".into(), source };
    // The terminal that the prompt was found to stand on, rather than one that the process may not have. What is typed
    // at the prompt at once is not shown either.
    let terminal = recovery_key::standard_input().and_then(Unseen::begin).map_err(unreadable)?;
    context.output.prompt(text);
    let config = rpassword::ConfigBuilder::new().input_reader(terminal).output_discard();
    let typed = rpassword::read_password_with_config(config.build());
    context.output.prompt("\n");
    match typed {
        Ok(typed) => Ok(Zeroizing::new(typed)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(VaultError::NoPassword.into()),
        Err(source) => Err(unreadable(source)),
    }
}

/// The first line, without its end.
fn from_file(path: &Path) -> Result<Zeroizing<String>, Error> {
    let unreadable = |source| Error::File { action: "read", path: path.to_owned(), source };
    let text = secret_text::read(&mut File::open(path).map_err(unreadable)?).map_err(unreadable)?;
    Ok(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
}

fn parse(typed: &str) -> Result<Password, Error> {
    Ok(Password::new(typed).map_err(VaultError::Password)?)
}

fn new(context: &Context, typed: &str) -> Result<Password, Error> {
    let password = parse(typed)?;
    if let Some(advice) = weigh(typed)? {
        context.output.warning(&format!("this password is weak. {advice}"));
    }
    Ok(password)
}

/// What is to be said against a new password. The vault allows ten attempts, so even a weak one holds; one that is
/// among everybody's first guesses does not.
fn weigh(typed: &str) -> Result<Option<String>, VaultError> {
    let estimate = zxcvbn::zxcvbn(typed, &["coffer", "backup", "whatsapp"]);
    let advice = advice(&estimate);
    match estimate.score() {
        Score::Zero => Err(VaultError::Hopeless { advice }),
        Score::One | Score::Two => Ok(Some(advice)),
        _ => Ok(None),
    }
}

fn advice(estimate: &zxcvbn::Entropy) -> String {
    let Some(feedback) = estimate.feedback() else { return String::new() };
    let warning = feedback.warning().map(|warning| warning.to_string());
    let suggestions = feedback.suggestions().iter().map(ToString::to_string);
    warning.into_iter().chain(suggestions).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test")]
mod tests {
    use super::{PasswordOptions, VaultError, from_file, weigh};

    #[test]
    fn refuses_what_everybody_would_guess_first() {
        for typed in ["password", "123456", "coffer", "qwerty", "a"] {
            assert!(matches!(weigh(typed), Err(VaultError::Hopeless { .. })), "{typed}");
        }
    }

    #[test]
    fn warns_of_a_weak_password_and_says_why() {
        let advice = weigh("dolphin77").unwrap().unwrap();
        assert!(advice.contains("Add another word"), "{advice}");
    }

    #[test]
    fn says_nothing_against_four_random_words() {
        assert_eq!(weigh("correct horse battery staple").unwrap(), None);
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file_and_all_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("password");
        for text in ["a b \n", "a b ", "a b \r\n", "a b \nnot this\n"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(from_file(&path).unwrap().as_str(), "a b ", "{text:?}");
        }
    }

    #[test]
    fn a_descriptor_is_read_as_a_file() {
        let options = PasswordOptions { password_file: None, password_fd: Some(3) };
        assert_eq!(options.file().unwrap(), std::path::Path::new("/dev/fd/3"));
    }
}
