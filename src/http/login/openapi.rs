//! The endpoints in the description of the server API.

use super::logins::LoginsAnswer;
use super::logout::{LogoutEverywhereRequest, LogoutRequest};
use super::me::MeAnswer;
use super::password::PasswordRequest;
use super::sign_in::SignInRequest;
use super::subscription_token::{SubscriptionTokenAnswer, SubscriptionTokenRequest};
use super::token::TokenRequest;
use super::{Refusal, SignedInAnswer};
use crate::http::api::openapi::{AccountsEndpoint, Description};
use utoipa::ToSchema;
use utoipa::openapi::HttpMethod::{self, Delete, Get, Post};

/// Name and description of the cookie over TLS; on this machine without TLS it is called `aether`.
pub const COOKIE: (&str, &str) = ("__Host-aether", "The cookie that `POST …/login` sets. Without TLS, on this machine alone, it is called `aether`.");

const ID: &str = "The id of a login.";

/// Adds all of them, under `prefix`.
pub fn describe(description: &mut Description, prefix: &str) {
    let mut about = About { refusal: description.schema::<Refusal>(), description, prefix };
    let signed_in = r#"{"user":{"name":"alice","role":"operator"},"token":"eyJhbGciOiJIUzI1NiIs…","expires_in":900}"#;
    about.post::<SignInRequest>("login", r#"{"name":"alice","password":"correct horse battery staple"}"#, &["400", "401", "413", "429", "503"]);
    about.gives::<SignedInAnswer<'_>>(signed_in);
    about.post::<TokenRequest>("token", "{}", &["401", "503"]);
    about.gives::<SignedInAnswer<'_>>(signed_in);
    about.post::<SubscriptionTokenRequest>("subscription-token", r#"{"channel":"$chat:1"}"#, &["401", "503"]);
    about.gives::<SubscriptionTokenAnswer>(r#"{"token":"eyJhbGciOiJIUzI1NiIs…"}"#);
    about.post::<LogoutRequest>("logout", "{}", &["401", "503"]);
    about.post::<LogoutEverywhereRequest>("logout-everywhere", "{}", &["401", "503"]);
    let passwords = r#"{"current":"correct horse battery staple","new":"incorrect horse battery staple"}"#;
    about.post::<PasswordRequest>("password", passwords, &["400", "401", "413", "429", "503"]);
    about.other(Get, "me", "Who is signed in, and what that allows.", &["401", "503"]);
    about.gives::<MeAnswer>(
        r#"{"name":"alice","role":"publisher","created_at":1763700000000,"password_changed_at":1763700000000,"rights":["sessions.read","publish"],"grants":{"chat":["subscribe"]}}"#,
    );
    about.other(Get, "sessions", "The user's logins that have not ended, the most recently used first.", &["401", "503"]);
    about.gives::<LoginsAnswer>(
        r#"{"sessions":[{"id":"0a4f4a3e-8d5b-4a44-9a44-1f6a4f0a4b11","device":"Mozilla/5.0","address":"192.0.2.1","created_at":1763700000000,"last_seen_at":1763700900000,"is_current":true,"live":[]}]}"#,
    );
    about.other(Delete, "sessions/{id}", "Ends one of the user's own logins, and its live connections.", &["401", "404", "503"]);
    about.description.accounts_parameter("id", ID);
}

struct About<'a> {
    description: &'a mut Description,
    prefix: &'a str,
    refusal: String,
}

impl About<'_> {
    fn post<Request: ToSchema>(&mut self, name: &str, example: &str, refusals: &[&'static str]) {
        let request = self.description.schema::<Request>();
        let text = Description::text_of::<Request>();
        self.add(Post, name, &text, Some((request, example)), refusals);
    }

    fn other(&mut self, method: HttpMethod, name: &str, text: &str, refusals: &[&'static str]) {
        self.add(method, name, text, None, refusals);
    }

    /// What the endpoint that was added last answers with.
    fn gives<Answer: ToSchema>(&mut self, example: &str) {
        let answer = self.description.schema::<Answer>();
        self.description.accounts_answer(&answer, example);
    }

    fn add(&mut self, method: HttpMethod, name: &str, text: &str, request: Option<(String, &str)>, refusals: &[&'static str]) {
        let needs_cookie = name != "login";
        let when = |status: &'static str| {
            (
                status,
                match status {
                    "400" => "The body is not what it must be, or the password cannot be one.",
                    "401" if !needs_cookie => "`wrong`: name or password.",
                    "401" if name == "password" => "`wrong`: the present password; `signed_out`: nobody is signed in any more, and why.",
                    "401" => "`signed_out`: nobody is signed in any more, and why.",
                    "404" => "`not_found`: the user has no such login.",
                    "413" => "The body is larger than 64 KiB.",
                    "429" => "`paused`: too many tries; when to try again.",
                    _ => "`store`: accounts cannot be looked up; `busy`: too many sign in at this moment.",
                },
            )
        };
        let mut refusals: Vec<_> = refusals.iter().copied().map(when).collect();
        if method != Get {
            refusals.push((
                "403",
                "`origin`: a page of another origin asks; `insecure`: without TLS, and not on this machine; `forbidden`: not granted; `banned`: kept out by an operator.",
            ));
            refusals.push(("415", "The body is not said to be JSON."));
        }
        refusals.sort_unstable();
        let path = format!("{}/{name}", self.prefix);
        let endpoint = AccountsEndpoint { path, method, text, request, refusals: &refusals, refusal: &self.refusal, needs_cookie };
        self.description.accounts_endpoint(endpoint);
    }
}
