//! Configurations: whatever stands in the file and in the environment, loading does not panic and tells what is wrong; and what it accepted
//! it accepts again when the hub writes it.
//!
//! Input: parts separated by NUL. The first is the file, read in all three formats; each other is `NAME=value`, a variable when the name
//! begins with `AETHER_`, or else an option from the command line.

#![no_main]

use aether::config::{Config, Format, Layers};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let mut parts = input.split(|&byte| byte == 0);
    let file = parts.next().unwrap_or_default();
    let pairs = parts.filter_map(|part| std::str::from_utf8(part).ok()?.split_once('='));
    let pairs = pairs.map(|(name, value)| (name.to_string(), value.to_string()));
    let (variables, overrides): (Vec<_>, Vec<_>) = pairs.partition(|(name, _)| name.starts_with("AETHER_"));
    for format in [Format::Toml, Format::Yaml, Format::Json] {
        match Config::load(&Layers { file: Some((file, format)), variables: &variables, overrides: &overrides }) {
            Err(error) => assert!(!error.to_string().is_empty()),
            Ok(loaded) => {
                let written = serde_json::to_vec(&loaded.config).expect("a configuration can be written");
                let layers = Layers { file: Some((&written, Format::Json)), variables: &[], overrides: &[] };
                let again = Config::load(&layers).unwrap_or_else(|error| panic!("{error}\n{}", String::from_utf8_lossy(&written)));
                assert!(again.unknown.is_empty(), "{:?}", again.unknown);
                assert_eq!(serde_json::to_vec(&again.config).expect("a configuration can be written"), written);
            }
        }
    }
});
