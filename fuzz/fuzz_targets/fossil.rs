//! Patches in Fossil's delta format: one that is made of any two texts makes the second of the first, and stays text where they are; and whatever
//! is applied as a patch neither panics nor makes more than is taken.
//!
//! Input: one byte that says where the rest is cut in two.

#![no_main]

use aether::protocol::fossil::{apply, patch};
use libfuzzer_sys::fuzz_target;

const MADE_MAX: usize = 100_000;

fuzz_target!(|input: &[u8]| {
    let Some((&cut, rest)) = input.split_first() else { return };
    let (base, target) = rest.split_at(rest.len() * usize::from(cut) / 256);
    if let Some(made) = patch(base, target) {
        assert!(made.len() < target.len());
        assert_eq!(apply(base, &made, target.len()).as_deref(), Ok(target));
        if std::str::from_utf8(target).is_ok() {
            std::str::from_utf8(&made).expect("no character is parted");
        }
    }
    if let Ok(made) = apply(base, target, MADE_MAX) {
        assert!(made.len() <= MADE_MAX);
    }
});
