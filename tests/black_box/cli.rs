//! The command line as somebody meets it who types it.

use std::os::unix::ffi::OsStringExt;
use std::process::{Output, Stdio};

/// What a run of the binary said and how it ended.
struct Said {
    out: String,
    err: String,
    code: Option<i32>,
}

/// Runs the binary in an empty directory of its own, with these files in it and no environment but these variables.
fn aether(arguments: &[&str], files: &[(&str, &str)], variables: &[(&str, &str)]) -> Said {
    let directory = tempfile::tempdir().expect("a directory can be made");
    for (name, text) in files {
        std::fs::write(directory.path().join(name), text).expect("a file can be written");
    }
    let mut command = crate::support::aether();
    command.args(arguments).current_dir(directory.path()).env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    said(command.output().expect("the binary runs"))
}

fn said(output: Output) -> Said {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("output is text");
    Said { out: text(output.stdout), err: text(output.stderr), code: output.status.code() }
}

/// The claims of a token, as JSON.
fn claims(token: &str) -> serde_json::Value {
    use base64::Engine;
    let payload = token.trim_end().split('.').nth(1).expect("a token has three parts");
    let json = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(payload).expect("base64");
    serde_json::from_slice(&json).expect("claims are JSON")
}

#[test]
fn help_teaches() {
    let help = aether(&["--help"], &[], &[]);
    assert_eq!((help.code, help.err.as_str()), (Some(0), ""));
    for word in ["check-config", "default-config", "gen-token", "version", "AETHER_CLIENT_PING_INTERVAL", "Exit codes"] {
        assert!(help.out.contains(word), "{word} is missing:\n{}", help.out);
    }
    for command in ["check-config", "default-config", "gen-token", "version"] {
        let help = aether(&[command, "--help"], &[], &[]);
        assert!(help.code == Some(0) && help.out.contains("Example") && help.out.contains(&format!("aether {command}")), "{}", help.out);
    }
}

#[test]
fn the_version_is_told() {
    assert_eq!(aether(&["--version"], &[], &[]).out, format!("aether {}\n", env!("CARGO_PKG_VERSION")));
    assert!(aether(&["version"], &[], &[]).out.starts_with(&format!("aether {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn a_slip_of_the_tongue_is_exit_code_2_with_the_nearest_word() {
    let said = aether(&["check-confg"], &[], &[]);
    assert!(said.code == Some(2) && said.err.contains("check-config") && said.out.is_empty(), "{}", said.err);
    assert_eq!(aether(&[], &[], &[]).code, Some(2));
    let said = aether(&["check-config", "--set", "nonsense"], &[], &[]);
    assert!(said.code == Some(2) && said.err.contains("OPTION=VALUE"), "{}", said.err);
}

#[test]
fn the_default_configuration_is_a_valid_file() {
    let printed = aether(&["default-config"], &[], &[]);
    assert_eq!((printed.code, printed.err.as_str()), (Some(0), ""));
    let checked = aether(&["check-config", "-c", "aether.toml"], &[("aether.toml", &printed.out)], &[]);
    assert!(checked.code == Some(0) && checked.out.starts_with("OK: aether.toml is valid\n"), "{}{}", checked.out, checked.err);
}

#[test]
fn the_same_configuration_may_be_toml_yaml_or_json() {
    let files = [
        ("a.toml", "[http_server]\nport = 9123\n"),
        ("a.yaml", "http_server:\n  port: 9123\n"),
        ("a.yml", "http_server: {port: 9123}\n"),
        ("a.json", "{\"http_server\": {\"port\": 9123}}"),
    ];
    for (name, _) in files {
        let said = aether(&["check-config", "--config", name], &files, &[]);
        assert!(said.code == Some(0) && said.out.contains("port 9123"), "{name}: {}{}", said.out, said.err);
    }
}

#[test]
fn the_environment_wins_over_the_file_and_the_command_line_over_both() {
    let files = [("a.toml", "[http_server]\nport = 9001\naddress = \"127.0.0.1\"\n")];
    let variables = [("AETHER_CONFIG", "a.toml"), ("AETHER_HTTP_SERVER_PORT", "9002")];
    assert!(aether(&["check-config"], &files, &variables).out.contains("127.0.0.1, port 9002 (plain)"));
    let said = aether(
        &["check-config", "--set", "http_server.port=9003", "--set", "client.allowed_origins=https://a.org,https://b.org"],
        &files,
        &variables,
    );
    assert!(said.out.contains("127.0.0.1, port 9003 (plain)") && said.out.contains("https://a.org, https://b.org"), "{}{}", said.out, said.err);
}

#[test]
fn every_mistake_is_told_with_its_cure_and_the_exit_code_is_1() {
    let file = "[client]\nping_interval = 25\nallowed_origin = [\"*\"]\n[http_server]\nport = \"eighty\"\n";
    let said = aether(&["check-config", "--config", "a.toml"], &[("a.toml", file)], &[]);
    let expected = "\
error: the configuration has 2 mistakes:
  client.ping_interval: 25 is not a duration with its unit, such as \"25s\", \"1h30m\" or \"300ms\"
  http_server.port: \"eighty\" is not a whole number from 0 to 65535
an option is unknown and has no effect:
  client.allowed_origin (did you mean client.allowed_origins?)
";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
}

#[test]
fn check_config_does_not_pass_what_is_unknown() {
    let said = aether(
        &["check-config", "-c", "a.json"],
        &[("a.json", r#"{"admin": {"enabled": true}, "client": {"chanel_limit": 1}}"#)],
        &[("AETHER_CLIENT_INSECUR", "1")],
    );
    let expected = "\
error: 3 options are unknown and have no effect:
  AETHER_CLIENT_INSECUR (did you mean AETHER_CLIENT_INSECURE?)
  admin (an option of Centrifugo that Aether does not have)
  client.chanel_limit (did you mean client.channel_limit?)
";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
}

#[test]
fn files_that_are_no_configuration_are_refused_with_a_sentence() {
    let deep = "- ".repeat(200_000);
    let long = " ".repeat((1 << 20) + 1);
    let files = [("broken.toml", "a = 1\nb = \"hush"), ("deep.yaml", deep.as_str()), ("long.json", long.as_str()), ("a.ini", "a=1")];
    let cases = [
        ("none.toml", "error: cannot read none.toml: No such file or directory (os error 2)\n"),
        ("a.ini", "error: cannot tell how a.ini is written; its name must end with .toml, .yaml, .yml or .json\n"),
        ("long.json", "error: cannot read long.json: a configuration has at most 1048576 bytes, this one has 1048577\n"),
        ("deep.yaml", "error: cannot read deep.yaml: line 1, column 129: deeper than any configuration is (read as YAML)\n"),
    ];
    for (name, expected) in cases {
        let said = aether(&["check-config", "-c", name], &files, &[]);
        assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
    }
    let said = aether(&["check-config", "-c", "broken.toml"], &files, &[]);
    assert!(
        said.code == Some(1) && said.err.starts_with("error: cannot read broken.toml: line 2, column ") && !said.err.contains("hush"),
        "{}",
        said.err
    );
}

#[test]
fn a_key_that_is_none_is_noticed_before_the_server_starts() {
    let pem = "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----";
    let said = aether(&["check-config"], &[], &[("AETHER_CLIENT_TOKEN_RSA_PUBLIC_KEY", pem)]);
    let expected = "error: client.token cannot be used: token key is not a RSA public key in PEM\n";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
}

#[test]
fn a_variable_that_is_not_text_is_named() {
    let mut command = crate::support::aether();
    command
        .arg("check-config")
        .env_clear()
        .env("AETHER_NODE_NAME", std::ffi::OsString::from_vec(vec![0xff]))
        .env("OTHER", std::ffi::OsString::from_vec(vec![0xff]));
    let said = said(command.output().expect("the binary runs"));
    assert_eq!((said.code, said.err.as_str()), (Some(1), "error: AETHER_NODE_NAME: the value is not UTF-8\n"));
}

#[test]
fn a_token_is_printed_alone() {
    let file = [("a.toml", "[client.token]\nhmac_secret_key = \"hush\"\naudience = \"hub\"\nunknown = 1\n")];
    let said = aether(&["gen-token", "-c", "a.toml", "--user", "alice", "--ttl", "5m"], &file, &[]);
    assert_eq!(said.code, Some(0), "{}", said.err);
    assert!(said.err.starts_with("warning: an option is unknown") && !said.err.contains("hush"), "{}", said.err);
    assert!(
        said.out.ends_with('\n') && said.out.trim_end().split('.').count() == 3 && !said.out.trim_end().contains(char::is_whitespace),
        "{}",
        said.out
    );
    let claims = claims(&said.out);
    assert_eq!((claims["sub"].as_str(), claims["aud"].as_str(), claims.get("channel")), (Some("alice"), Some("hub"), None));
    assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 300);
}

#[test]
fn a_subscription_token_names_its_channel() {
    let said = aether(&["gen-token", "-u", "alice", "--channel", "$chat:1"], &[], &[("AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY", "hush")]);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
    assert_eq!(claims(&said.out)["channel"], "$chat:1");
}

#[test]
fn no_token_without_a_key() {
    let said = aether(&["gen-token", "--user", "alice"], &[], &[]);
    let expected =
        "error: cannot sign a token, since client.token.hmac_secret_key is empty; set it in the file, or as AETHER_CLIENT_TOKEN_HMAC_SECRET_KEY\n";
    assert_eq!((said.code, said.out.as_str(), said.err.as_str()), (Some(1), "", expected));
    assert_eq!(aether(&["gen-token", "--ttl", "0"], &[], &[]).code, Some(2));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let mut child = crate::support::aether().arg("default-config").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("the binary runs");
    drop(child.stdout.take());
    let said = said(child.wait_with_output().expect("the binary ends"));
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""));
}
