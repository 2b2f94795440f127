//! What several fuzz targets share.

/// Cuts `bytes` as a network might: the same `seed` always cuts at the same places, most pieces are short, some are empty.
pub fn cut(bytes: &[u8], seed: u8) -> impl Iterator<Item = &[u8]> {
    let mut state = u32::from(seed);
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        // A linear congruential generator (Numerical Recipes); its high bits are the good ones.
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let len = if state >> 31 == 0 { state >> 29 } else { (state >> 24) & 0x7f };
        let (piece, after) = rest.split_at(rest.len().min(len as usize));
        rest = after;
        Some(piece)
    })
}
