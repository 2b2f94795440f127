//! Letters to people: alerts and reports by e-mail, over SMTP (RFC 5321).
//!
//! Called by couriers, which queue, gather, repeat and give up; here one letter is written and handed over. One connection a letter: they are few,
//! and a connection that the server has closed meanwhile would cost a failure each time. A server that refuses a letter for good may mean one of those whom it
//! is for: it is then handed over for each alone, so that a wrong address costs nobody else his letters. Deliberately absent: reading mail, signing (the server's
//! work), any text of a server's answer to a password.

use crate::clock::Clock;
use crate::document::clean;
use crate::hooks::{Carrier, Uncarried};
use crate::telemetry::emit;
use crate::telemetry::mail::RecipientRefused;
use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use lettre::address::{Address, Envelope};
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Mailboxes, MultiPart};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Certificate, Tls, TlsParameters};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use parking_lot::Mutex;
use std::fmt::Write;
use std::time::{Duration, SystemTime};

/// Signs of a subject: what a lock screen shows, and more.
const SUBJECT_MAX: usize = 200;

/// Signs of a server's answer that are told.
const ANSWER_MAX: usize = 200;

/// Replies that are about who we are and not about the letter (RFC 4954, 6).
const ABOUT_US: [u16; 5] = [454, 530, 534, 535, 538];

/// How the connection is protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protection {
    None,
    /// Begun plainly, and gone on with only under TLS (RFC 3207).
    Starttls,
    /// TLS from the first byte (RFC 8314).
    Tls,
}

/// Where letters are handed over, and by whom.
#[derive(Clone)]
pub struct MailSettings {
    pub host: String,
    pub port: u16,
    pub protection: Protection,
    /// One more certificate that is believed, PEM; empty: those of the system.
    pub ca_pem: Vec<u8>,
    /// User and password; `None`: none are shown.
    pub login: Option<(String, String)>,
    pub from: String,
    /// For each answer of the server.
    pub timeout: Duration,
}

/// Why there is nobody to hand letters to.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    #[error("\"{address}\" is not an address of e-mail")]
    Address { address: String },
    #[error("email.ca_pem_file has no certificate")]
    Certificate,
    #[error("cannot prepare TLS for {host}")]
    Tls { host: String, source: lettre::transport::smtp::Error },
}

/// What is to be sent. The plain text comes with the page, for those who read no HTML.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Letter {
    pub subject: String,
    pub plain: String,
    pub html: String,
}

/// Writes one letter of what waits together.
pub type Writer = dyn Fn(&[Bytes]) -> Option<Letter> + Send + Sync;

/// Hands letters over, to one circle of people.
pub struct Mailer {
    shown: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
    to: Mailboxes,
    clock: Clock,
    write: Box<Writer>,
    settled: Mutex<Settled>,
}

/// Who need not be asked about a letter again, where it is handed over for each alone.
#[derive(Default)]
struct Settled {
    id: String,
    /// Those who have it, and those for whom it was refused for good.
    addresses: Vec<Address>,
    taken: usize,
}

impl Mailer {
    pub fn new(settings: &MailSettings, to: &[String], clock: &Clock, write: Box<Writer>) -> Result<Self, MailError> {
        let MailSettings { host, port, protection, ca_pem, login, from, timeout } = settings;
        let mailbox = |address: &str| address.parse::<Mailbox>().map_err(|_| MailError::Address { address: clean(address) });
        let tls = || -> Result<TlsParameters, MailError> {
            let mut parameters = TlsParameters::builder(host.clone());
            if !ca_pem.is_empty() {
                parameters = parameters.add_root_certificate(Certificate::from_pem(ca_pem).map_err(|_| MailError::Certificate)?);
            }
            parameters.build().map_err(|source| MailError::Tls { host: host.clone(), source })
        };
        let mut transport =
            AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host.clone()).port(*port).timeout(Some(*timeout)).tls(match protection {
                Protection::None => Tls::None,
                Protection::Starttls => Tls::Required(tls()?),
                Protection::Tls => Tls::Wrapper(tls()?),
            });
        if let Some((user, password)) = login {
            transport = transport.credentials(Credentials::new(user.clone(), password.clone()));
        }
        Ok(Self {
            shown: format!("smtp://{host}:{port}"),
            transport: transport.build(),
            from: mailbox(from)?,
            to: to.iter().map(|address| mailbox(address)).collect::<Result<Vec<_>, _>>()?.into_iter().collect(),
            clock: clock.clone(),
            write,
            settled: Mutex::default(),
        })
    }

    /// One attempt to hand a letter over for each alone, but for those about whom that is settled.
    async fn carry_apart(&self, id: &str, message: &Message) -> Result<(), Uncarried> {
        let bytes = message.formatted();
        let envelope = message.envelope();
        let (mut refused, mut again) = (None, None);
        for address in envelope.to() {
            {
                let mut settled = self.settled.lock();
                if settled.id != id {
                    *settled = Settled { id: id.to_string(), ..Settled::default() };
                }
                if settled.addresses.contains(address) {
                    continue;
                }
            }
            let alone = Envelope::new(envelope.from().cloned(), vec![address.clone()]).map_err(|error| Uncarried::Refused(error.to_string()))?;
            let is_taken = match self.transport.send_raw(&alone, &bytes).await.map_err(|error| why(&error)) {
                Ok(_) => true,
                Err(Uncarried::Refused(why)) => {
                    emit(RecipientRefused { server: &self.shown, address: address.as_ref(), why: &why });
                    refused = Some(why);
                    false
                }
                Err(Uncarried::Again(why)) => {
                    again = Some(why);
                    continue;
                }
            };
            let mut settled = self.settled.lock();
            settled.addresses.push(address.clone());
            settled.taken += usize::from(is_taken);
        }
        if let Some(why) = again {
            return Err(Uncarried::Again(why));
        }
        let settled = std::mem::take(&mut *self.settled.lock());
        match refused {
            Some(why) if settled.taken == 0 => Err(Uncarried::Refused(why)),
            _ => Ok(()),
        }
    }

    fn message(&self, letter: &Letter, id: &str) -> Result<Message, lettre::error::Error> {
        // Machines that answer letters (absences, tickets) leave this one alone (RFC 3834, 5).
        let of_machine = HeaderValue::new(HeaderName::new_from_ascii_str("Auto-Submitted"), "auto-generated".to_string());
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(self.clock.wall_ms()).unwrap_or(0));
        let domain = self.from.email.domain();
        let mut builder = Message::builder()
            .from(self.from.clone())
            .date(at)
            .message_id(Some(format!("<{id}@{domain}>")))
            .subject(clean(&letter.subject).chars().take(SUBJECT_MAX).collect::<String>())
            .raw_header(of_machine);
        for to in self.to.iter() {
            builder = builder.to(to.clone());
        }
        builder.multipart(MultiPart::alternative_plain_html(letter.plain.clone(), letter.html.clone()))
    }
}

#[async_trait]
impl Carrier for Mailer {
    fn shown(&self) -> &str {
        &self.shown
    }

    async fn carry(&self, events: &[Bytes]) -> Result<(), Uncarried> {
        let Some(letter) = (self.write)(events) else { return Ok(()) };
        let id = id_of(events);
        let message = self.message(&letter, &id).map_err(|error| Uncarried::Refused(error.to_string()))?;
        let has_begun = self.settled.lock().id == id;
        if has_begun {
            return self.carry_apart(&id, &message).await;
        }
        match self.transport.send_raw(message.envelope(), &message.formatted()).await.map_err(|error| why(&error)) {
            Err(Uncarried::Refused(_)) if message.envelope().to().len() > 1 => self.carry_apart(&id, &message).await,
            carried => carried.map(drop),
        }
    }
}

/// The same for the same events: a letter that came twice, because the server's last word was lost, is seen to be the same one.
fn id_of(events: &[Bytes]) -> String {
    let mut all = Vec::new();
    for event in events {
        all.extend_from_slice(&(event.len() as u64).to_be_bytes());
        all.extend_from_slice(event);
    }
    digest(&SHA256, &all).as_ref().iter().take(16).fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What is wrong, without anything that a server may say when it was shown a password.
fn why(error: &lettre::transport::smtp::Error) -> Uncarried {
    let Some(code) = error.status().and_then(|code| code.to_string().parse::<u16>().ok()) else {
        return Uncarried::Again(cut(&error.to_string()));
    };
    if ABOUT_US.contains(&code) {
        return Uncarried::Again(format!("the server answers {code}: it does not accept email.user and its password"));
    }
    // 421 to 4yz may be otherwise later; a 5yz of this letter stays what it is (RFC 5321, 4.2.1).
    if error.is_permanent() { Uncarried::Refused(cut(&error.to_string())) } else { Uncarried::Again(cut(&error.to_string())) }
}

fn cut(text: &str) -> String {
    clean(text).chars().take(ANSWER_MAX).collect()
}

/// Letters whose texts are ready: one each.
pub fn ready_letters() -> Box<Writer> {
    Box::new(|events| events.first().and_then(|event| serde_json::from_slice(event).ok()))
}

/// A courier carries these.
pub fn bytes_of(letter: &Letter) -> Bytes {
    Bytes::from(serde_json::to_vec(letter).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mailer() -> Mailer {
        let settings = MailSettings {
            host: "127.0.0.1".to_string(),
            port: 2525,
            protection: Protection::None,
            ca_pem: Vec::new(),
            login: None,
            from: "Aether <hub@example.org>".to_string(),
            timeout: Duration::from_secs(1),
        };
        Mailer::new(&settings, &["one@example.org".to_string(), "two@example.org".to_string()], &Clock::manual(1_795_219_200_000), ready_letters())
            .unwrap()
    }

    #[test]
    fn a_hostile_subject_is_one_header_and_adds_none() {
        let hostile = "Feed a\r\nBcc: mallory@example.org\r\n\r\n<script> is down\u{202e} \u{1f4a5}";
        let letter = Letter { subject: hostile.to_string(), plain: "plain".to_string(), html: "<p>html".to_string() };
        let message = mailer().message(&letter, "x").unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let names: Vec<&str> =
            head.split("\r\n").filter(|line| !line.starts_with([' ', '\t'])).filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
        assert_eq!(names, ["From", "Date", "Message-ID", "Subject", "Auto-Submitted", "To", "MIME-Version", "Content-Type"], "{head}");
        assert_eq!(message.envelope().to().iter().map(ToString::to_string).collect::<Vec<_>>(), ["one@example.org", "two@example.org"]);
        assert!(body.contains("text/plain") && body.contains("text/html"), "{body}");
    }

    #[test]
    fn the_same_events_have_the_same_id() {
        let events = |texts: &[&'static str]| texts.iter().map(|text| Bytes::from_static(text.as_bytes())).collect::<Vec<_>>();
        assert_eq!(id_of(&events(&["a", "b"])), id_of(&events(&["a", "b"])));
        for other in [&["ab"][..], &["a"], &["b", "a"], &["a", "b", ""]] {
            assert_ne!(id_of(&events(&["a", "b"])), id_of(&events(other)), "{other:?}");
        }
    }

    #[test]
    fn addresses_that_are_none_are_refused() {
        let Err(error) = Mailer::new(
            &MailSettings {
                from: "nobody".to_string(),
                host: "x".to_string(),
                port: 1,
                protection: Protection::None,
                ca_pem: Vec::new(),
                login: None,
                timeout: Duration::ZERO,
            },
            &[],
            &Clock::manual(0),
            ready_letters(),
        ) else {
            panic!("that is no address")
        };
        assert_eq!(error.to_string(), "\"nobody\" is not an address of e-mail");
    }
}
