//! WebSocket frames, the server's side (RFC 6455): the bytes of a client to messages, our payloads to frames.
//!
//! Called by the WebSocket transport, which owns the socket and the buffer, and by the topics, which encode a frame once for all
//! subscribers. Every rule that a client can break is judged here, as early as the bytes allow: a frame's length as soon as its header
//! is there, its text while it arrives. Deliberately absent: the opening handshake, I/O, time, the answers to pings and closes (the caller
//! decides), and extensions; so reserved bits are always an error.

use super::codes::Disconnect;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// A control frame carries at most 125 bytes (RFC 6455, 5.5).
pub const CONTROL_PAYLOAD_BYTES_MAX: usize = 125;
/// Two of a close frame's bytes are the code (RFC 6455, 5.5.1).
pub const CLOSE_REASON_BYTES_MAX: usize = CONTROL_PAYLOAD_BYTES_MAX - 2;
/// The longest header of a server's frame: two bytes and a 64-bit length; a server does not mask (RFC 6455, 5.1 and 5.2).
pub const HEADER_BYTES_MAX: usize = 10;

const FIN: u8 = 0x80;
const RESERVED: u8 = 0x70;
const OPCODE: u8 = 0x0f;
const MASKED: u8 = 0x80;
const LENGTH: u8 = 0x7f;
const LENGTH_IS_16_BITS: u8 = 126;
const LENGTH_IS_64_BITS: u8 = 127;
const MASK_BYTES: usize = 4;

/// What a frame is (RFC 6455, 11.8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Opcode {
    Continuation = 0x0,
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xa,
}

impl Opcode {
    const fn from_bits(bits: u8) -> Option<Self> {
        match bits {
            0x0 => Some(Self::Continuation),
            0x1 => Some(Self::Text),
            0x2 => Some(Self::Binary),
            0x8 => Some(Self::Close),
            0x9 => Some(Self::Ping),
            0xa => Some(Self::Pong),
            _ => None,
        }
    }

    pub const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What one client may make us hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one message, all its fragments together.
    pub message_bytes_max: usize,
    /// Frames of one message. Without it, empty fragments would keep a message open for ever.
    pub fragments_max: usize,
}

/// What a client said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming {
    /// Valid UTF-8.
    Text(Bytes),
    Binary(Bytes),
    Ping(Bytes),
    Pong(Bytes),
    /// The last thing that counts: whatever follows it is not to be read (RFC 6455, 5.5.1).
    Close(Option<CloseReason>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseReason {
    pub code: u16,
    pub reason: String,
}

/// A rule that a client broke. The connection cannot be used any more: send a close frame with `close_code`, then hang up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    #[error("a frame with reserved bits {bits:#05b} set")]
    ReservedBits { bits: u8 },
    #[error("a frame with the unknown opcode {opcode:#x}")]
    UnknownOpcode { opcode: u8 },
    #[error("a frame without a mask")]
    Unmasked,
    #[error("a fragmented control frame")]
    FragmentedControl,
    #[error("a control frame of more than {CONTROL_PAYLOAD_BYTES_MAX} bytes")]
    OversizedControl,
    #[error("a continuation of no message")]
    UnexpectedContinuation,
    #[error("a new message inside a fragmented one")]
    InterleavedMessage,
    #[error("a frame length of more than 63 bits")]
    LengthOverflow,
    #[error("a message of {announced} bytes or more, {limit} are allowed")]
    TooBig { announced: u64, limit: usize },
    #[error("a message of more than {limit} frames")]
    TooManyFragments { limit: usize },
    #[error("a close frame of one byte")]
    CloseCodeCut,
    #[error("a close frame with the code {code}, which may not be sent")]
    CloseCode { code: u16 },
    #[error("text that is not UTF-8")]
    InvalidText,
    #[error("a close reason that is not UTF-8")]
    InvalidCloseReason,
}

impl FrameError {
    /// The code for our close frame (RFC 6455, 7.4.1).
    pub const fn close_code(self) -> u16 {
        match self {
            Self::ReservedBits { .. }
            | Self::UnknownOpcode { .. }
            | Self::Unmasked
            | Self::FragmentedControl
            | Self::OversizedControl
            | Self::UnexpectedContinuation
            | Self::InterleavedMessage
            | Self::LengthOverflow
            | Self::CloseCodeCut
            | Self::CloseCode { .. } => Disconnect::WS_PROTOCOL_ERROR.code,
            Self::TooBig { .. } | Self::TooManyFragments { .. } => Disconnect::WS_TOO_BIG.code,
            Self::InvalidText | Self::InvalidCloseReason => Disconnect::WS_INVALID_TEXT.code,
        }
    }

    /// The label of the counter: a closed set.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::ReservedBits { .. } => "reserved_bits",
            Self::UnknownOpcode { .. } => "unknown_opcode",
            Self::Unmasked => "unmasked",
            Self::FragmentedControl => "fragmented_control",
            Self::OversizedControl => "oversized_control",
            Self::UnexpectedContinuation => "unexpected_continuation",
            Self::InterleavedMessage => "interleaved_message",
            Self::LengthOverflow => "length_overflow",
            Self::TooBig { .. } => "too_big",
            Self::TooManyFragments { .. } => "too_many_fragments",
            Self::CloseCodeCut => "close_code_cut",
            Self::CloseCode { .. } => "close_code",
            Self::InvalidText => "invalid_text",
            Self::InvalidCloseReason => "invalid_close_reason",
        }
    }
}

/// Reads what one client sends. Lives as long as the connection, so it is small and owns memory only inside a fragmented message.
#[derive(Debug)]
pub struct Reader {
    /// The frame whose header was taken out of the buffer and whose payload is still arriving.
    frame: Option<Frame>,
    /// The message whose last fragment is still missing.
    message: Option<Box<Fragmented>>,
}

/// Ten thousand idle connections hold ten thousand of these.
const _: () = assert!(size_of::<Reader>() <= 40);

#[derive(Debug)]
struct Frame {
    opcode: Opcode,
    is_final: bool,
    /// Turned so that its first byte masks the next byte that arrives.
    mask: [u8; MASK_BYTES],
    /// Payload bytes that are still in the buffer or on their way.
    payload_len: usize,
    /// How many bytes at the front of the buffer are unmasked already.
    unmasked_len: usize,
    /// How many bytes at the front of the buffer are known to be UTF-8.
    valid_len: usize,
}

#[derive(Debug)]
struct Fragmented {
    is_text: bool,
    payload: Vec<u8>,
    /// How many bytes of the payload are known to be UTF-8. A character may be cut at a fragment's end.
    valid_len: usize,
    frames: usize,
}

impl Reader {
    pub const fn new() -> Self {
        Self { frame: None, message: None }
    }

    /// Takes the next message or control frame out of `buf`, or says `None` when more bytes are needed.
    ///
    /// The caller only appends to `buf` between two calls, since the payload that has arrived is unmasked in place. An unfragmented
    /// payload is split off without a copy; fragments move into memory of their own as they arrive. After a `Close` or an error there
    /// is nothing left to read: drop the reader.
    pub fn next(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<Option<Incoming>, FrameError> {
        loop {
            let mut frame = match self.frame.take() {
                Some(frame) => frame,
                None => match self.take_header(buf, limits)? {
                    Some(frame) => frame,
                    None => return Ok(None),
                },
            };
            let is_complete = match &mut self.message {
                Some(message) if !frame.opcode.is_control() => message.append(&mut frame, buf, limits)?,
                _ => frame.arrive(buf)?,
            };
            if !is_complete {
                self.frame = Some(frame);
                return Ok(None);
            }
            let incoming = match frame.opcode {
                Opcode::Ping => Incoming::Ping(frame.take_payload(buf)),
                Opcode::Pong => Incoming::Pong(frame.take_payload(buf)),
                Opcode::Close => Incoming::Close(close_reason(&frame.take_payload(buf))?),
                Opcode::Text | Opcode::Binary | Opcode::Continuation => match self.message.take() {
                    None if frame.opcode == Opcode::Text => Incoming::Text(frame.take_payload(buf)),
                    None => Incoming::Binary(frame.take_payload(buf)),
                    Some(message) if frame.is_final => message.finish()?,
                    unfinished => {
                        self.message = unfinished;
                        continue;
                    }
                },
            };
            return Ok(Some(incoming));
        }
    }

    /// How many bytes are missing until `next` can say more: the rest of the frame, or of its header. Never zero after `next` said
    /// `None`, and never more than `Limits::message_bytes_max` (or than a control frame or a header holds, where that is more).
    ///
    /// It is what the client announced, not what it will send, so reserve it in steps.
    pub fn wanted(&self, buf: &BytesMut) -> usize {
        match &self.frame {
            Some(frame) => frame.payload_len.saturating_sub(buf.len()),
            None => header_len(buf).saturating_sub(buf.len()),
        }
    }

    /// Judges a header byte by byte, in their order, so that a client hears the same verdict however its bytes were cut.
    fn take_header(&mut self, buf: &mut BytesMut, limits: &Limits) -> Result<Option<Frame>, FrameError> {
        let &[first, second, ..] = &buf[..] else { return Ok(None) };
        if first & RESERVED != 0 {
            return Err(FrameError::ReservedBits { bits: (first & RESERVED) >> 4 });
        }
        let opcode = Opcode::from_bits(first & OPCODE).ok_or(FrameError::UnknownOpcode { opcode: first & OPCODE })?;
        let is_final = first & FIN != 0;
        match opcode {
            Opcode::Close | Opcode::Ping | Opcode::Pong if !is_final => return Err(FrameError::FragmentedControl),
            Opcode::Close | Opcode::Ping | Opcode::Pong => {}
            Opcode::Text | Opcode::Binary if self.message.is_some() => return Err(FrameError::InterleavedMessage),
            Opcode::Text | Opcode::Binary => {}
            Opcode::Continuation if self.message.is_none() => return Err(FrameError::UnexpectedContinuation),
            Opcode::Continuation => {}
        }
        if second & MASKED == 0 {
            return Err(FrameError::Unmasked);
        }
        if opcode.is_control() && second & LENGTH > CONTROL_PAYLOAD_BYTES_MAX as u8 {
            return Err(FrameError::OversizedControl);
        }
        let announced = match (second & LENGTH, &buf[2..]) {
            (LENGTH_IS_16_BITS, &[a, b, ..]) => u64::from(u16::from_be_bytes([a, b])),
            (LENGTH_IS_64_BITS, &[a, b, c, d, e, f, g, h, ..]) => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            (LENGTH_IS_16_BITS | LENGTH_IS_64_BITS, _) => return Ok(None),
            (length, _) => u64::from(length),
        };
        if announced > i64::MAX as u64 {
            return Err(FrameError::LengthOverflow);
        }
        let payload_len = match usize::try_from(announced) {
            Ok(payload_len) if opcode.is_control() => payload_len,
            Ok(payload_len) => {
                let held = self.message.as_ref().map_or(0, |message| message.payload.len());
                if held.saturating_add(payload_len) > limits.message_bytes_max {
                    return Err(FrameError::TooBig { announced: held as u64 + announced, limit: limits.message_bytes_max });
                }
                payload_len
            }
            Err(_) => return Err(FrameError::TooBig { announced, limit: limits.message_bytes_max }),
        };
        if !opcode.is_control() && (self.message.is_some() || !is_final) {
            let frames = 1 + self.message.as_ref().map_or(0, |message| message.frames);
            if frames > limits.fragments_max {
                return Err(FrameError::TooManyFragments { limit: limits.fragments_max });
            }
        }
        let header_len = header_len(buf);
        let Some(&[a, b, c, d]) = buf.get(header_len - MASK_BYTES..header_len) else { return Ok(None) };
        buf.advance(header_len);
        if !opcode.is_control() {
            match &mut self.message {
                Some(message) => message.frames += 1,
                None if is_final => {}
                None => {
                    let is_text = opcode == Opcode::Text;
                    self.message = Some(Box::new(Fragmented { is_text, payload: Vec::new(), valid_len: 0, frames: 1 }));
                }
            }
        }
        Ok(Some(Frame { opcode, is_final, mask: [a, b, c, d], payload_len, unmasked_len: 0, valid_len: 0 }))
    }
}

impl Default for Reader {
    fn default() -> Self {
        Self::new()
    }
}

impl Frame {
    /// Unmasks what has arrived of a payload that stays in the buffer, and says whether it is complete.
    fn arrive(&mut self, buf: &mut BytesMut) -> Result<bool, FrameError> {
        let arrived_len = self.payload_len.min(buf.len());
        let arrived = &mut buf[..arrived_len];
        unmask(&mut arrived[self.unmasked_len..], &mut self.mask);
        self.unmasked_len = arrived_len;
        let is_complete = arrived_len == self.payload_len;
        if self.opcode == Opcode::Text {
            self.valid_len += valid_prefix_len(&arrived[self.valid_len..])?;
            if is_complete && self.valid_len < arrived_len {
                return Err(FrameError::InvalidText);
            }
        }
        Ok(is_complete)
    }

    fn take_payload(&self, buf: &mut BytesMut) -> Bytes {
        // An empty payload must not make a shared buffer out of one that nobody shares.
        if self.payload_len == 0 { Bytes::new() } else { buf.split_to(self.payload_len).freeze() }
    }
}

impl Fragmented {
    /// Moves what has arrived of a fragment out of the buffer, and says whether the fragment is complete.
    fn append(&mut self, frame: &mut Frame, buf: &mut BytesMut, limits: &Limits) -> Result<bool, FrameError> {
        let arrived_len = frame.payload_len.min(buf.len());
        unmask(&mut buf[..arrived_len], &mut frame.mask);
        let needed = self.payload.len() + arrived_len;
        if needed > self.payload.capacity() {
            // Doubling keeps the copying linear; the limit keeps the doubling from holding more than one message may.
            let capacity = (self.payload.capacity() * 2).min(limits.message_bytes_max).max(needed);
            self.payload.reserve_exact(capacity - self.payload.len());
        }
        self.payload.extend_from_slice(&buf[..arrived_len]);
        buf.advance(arrived_len);
        frame.payload_len -= arrived_len;
        if self.is_text {
            self.valid_len += valid_prefix_len(&self.payload[self.valid_len..])?;
        }
        Ok(frame.payload_len == 0)
    }

    fn finish(self) -> Result<Incoming, FrameError> {
        if !self.is_text {
            Ok(Incoming::Binary(self.payload.into()))
        } else if self.valid_len == self.payload.len() {
            Ok(Incoming::Text(self.payload.into()))
        } else {
            Err(FrameError::InvalidText)
        }
    }
}

/// How long the header at the front of `buf` is, as far as it can be seen: two bytes tell.
fn header_len(buf: &[u8]) -> usize {
    match buf.get(1).map(|second| second & LENGTH) {
        None => 2,
        Some(LENGTH_IS_16_BITS) => 2 + 2 + MASK_BYTES,
        Some(LENGTH_IS_64_BITS) => 2 + 8 + MASK_BYTES,
        Some(_) => 2 + MASK_BYTES,
    }
}

/// Unmasks eight bytes at a time, which the compiler widens further, and turns the mask on to the next byte (RFC 6455, 5.3).
fn unmask(payload: &mut [u8], mask: &mut [u8; MASK_BYTES]) {
    let [a, b, c, d] = *mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c, d]) {
        *byte ^= mask;
    }
    mask.rotate_left(rest.len() % MASK_BYTES);
}

/// How many bytes are whole characters. The rest, at most three bytes, can still become one; what cannot is an error at once.
fn valid_prefix_len(text: &[u8]) -> Result<usize, FrameError> {
    match std::str::from_utf8(text) {
        Ok(_) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(FrameError::InvalidText),
    }
}

fn close_reason(payload: &[u8]) -> Result<Option<CloseReason>, FrameError> {
    match payload {
        [] => Ok(None),
        [_] => Err(FrameError::CloseCodeCut),
        &[high, low, ref reason @ ..] => {
            let code = u16::from_be_bytes([high, low]);
            if !may_be_sent(code) {
                return Err(FrameError::CloseCode { code });
            }
            let reason = std::str::from_utf8(reason).map_err(|_| FrameError::InvalidCloseReason)?;
            Ok(Some(CloseReason { code, reason: reason.to_owned() }))
        }
    }
}

/// Whether a close frame may carry this code: those of RFC 6455, 7.4.1, the three that IANA's registry added (1012 service restart, 1013
/// try again later, 1014 bad gateway), and those of libraries and applications (7.4.2). 1004, 1005, 1006 and 1015 stand for what was
/// never sent.
const fn may_be_sent(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// A server's frame header, without a heap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SmallHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: u8,
}

impl std::ops::Deref for SmallHeader {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// The header of an unfragmented, unmasked frame with the shortest form of the length (RFC 6455, 5.2).
pub const fn header(opcode: Opcode, payload_len: usize) -> SmallHeader {
    debug_assert!(!opcode.is_control() || payload_len <= CONTROL_PAYLOAD_BYTES_MAX);
    let first = FIN | opcode as u8;
    let [b0, b1, b2, b3, b4, b5, b6, b7] = (payload_len as u64).to_be_bytes();
    let (bytes, len) = if payload_len < LENGTH_IS_16_BITS as usize {
        ([first, b7, 0, 0, 0, 0, 0, 0, 0, 0], 2)
    } else if payload_len <= u16::MAX as usize {
        ([first, LENGTH_IS_16_BITS, b6, b7, 0, 0, 0, 0, 0, 0], 4)
    } else {
        ([first, LENGTH_IS_64_BITS, b0, b1, b2, b3, b4, b5, b6, b7], 10)
    };
    SmallHeader { bytes, len }
}

/// Writes the header of an unfragmented frame; `payload_len` bytes have to follow.
pub fn write_header(opcode: Opcode, payload_len: usize, out: &mut impl BufMut) {
    out.put_slice(&header(opcode, payload_len));
}

/// One whole frame, ready for the wire and to be shared by all who get it. A control frame's payload must fit
/// `CONTROL_PAYLOAD_BYTES_MAX`; an answer to a ping does, because the ping did.
pub fn frame(opcode: Opcode, payload: &[u8]) -> Bytes {
    let header = header(opcode, payload.len());
    let mut out = BytesMut::with_capacity(header.len() + payload.len());
    out.put_slice(&header);
    out.put_slice(payload);
    out.freeze()
}

/// A close frame. A reason that is too long is cut at a character, since half of one would not be UTF-8.
pub fn close_frame(code: u16, reason: &str) -> Bytes {
    debug_assert!(may_be_sent(code));
    let reason = &reason[..reason.floor_char_boundary(CLOSE_REASON_BYTES_MAX)];
    let mut out = BytesMut::with_capacity(HEADER_BYTES_MAX + CONTROL_PAYLOAD_BYTES_MAX);
    write_header(Opcode::Close, 2 + reason.len(), &mut out);
    out.put_u16(code);
    out.put_slice(reason.as_bytes());
    out.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { message_bytes_max: 100_000, fragments_max: 8 };
    const MASK: [u8; MASK_BYTES] = [0x37, 0xfa, 0x21, 0x3d];

    /// A client's frame: masked, with the shortest length form unless one of the others is asked for.
    struct ClientFrame<'a> {
        first: u8,
        payload: &'a [u8],
        mask: [u8; MASK_BYTES],
        length_bytes: usize,
    }

    impl ClientFrame<'_> {
        fn encode(&self) -> Vec<u8> {
            let length = self.payload.len();
            let mut bytes = vec![self.first];
            match self.length_bytes {
                8 => bytes.push(MASKED | LENGTH_IS_64_BITS),
                2 => bytes.push(MASKED | LENGTH_IS_16_BITS),
                _ => bytes.push(MASKED | length as u8),
            }
            bytes.extend(&(length as u64).to_be_bytes()[8 - self.length_bytes..]);
            bytes.extend(self.mask);
            bytes.extend(self.payload.iter().zip(self.mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
            bytes
        }
    }

    fn shortest_length(payload: &[u8]) -> usize {
        match payload.len() {
            0..126 => 0,
            126..65_536 => 2,
            _ => 8,
        }
    }

    fn client(first: u8, payload: &[u8]) -> Vec<u8> {
        ClientFrame { first, payload, mask: MASK, length_bytes: shortest_length(payload) }.encode()
    }

    /// All that the reader says about the bytes, and its verdict if they break a rule. Stops, as a caller does, after a close.
    fn read(chunks: &[&[u8]], limits: &Limits) -> (Vec<Incoming>, Option<FrameError>) {
        let (mut reader, mut buf, mut said) = (Reader::new(), BytesMut::new(), Vec::new());
        for chunk in chunks {
            buf.extend_from_slice(chunk);
            loop {
                match reader.next(&mut buf, limits) {
                    Ok(Some(Incoming::Close(reason))) => {
                        said.push(Incoming::Close(reason));
                        return (said, None);
                    }
                    Ok(Some(incoming)) => said.push(incoming),
                    Ok(None) => break,
                    Err(error) => return (said, Some(error)),
                }
            }
            let wanted = reader.wanted(&buf);
            assert!((1..=limits.message_bytes_max.max(CONTROL_PAYLOAD_BYTES_MAX)).contains(&wanted), "wants {wanted} more bytes");
        }
        (said, None)
    }

    fn text(payload: &str) -> Incoming {
        Incoming::Text(Bytes::copy_from_slice(payload.as_bytes()))
    }
    fn binary(payload: &[u8]) -> Incoming {
        Incoming::Binary(Bytes::copy_from_slice(payload))
    }

    #[test]
    fn the_examples_of_rfc_6455_5_7_read_and_write() {
        let hello = [0x81, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&[&hello], &LIMITS), (vec![text("Hello")], None));
        assert_eq!(&frame(Opcode::Text, b"Hello")[..], [0x81, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        assert_eq!(&frame(Opcode::Ping, b"Hello")[..], [0x89, 0x05, 0x48, 0x65, 0x6c, 0x6c, 0x6f]);
        let pong = [0x8a, 0x85, 0x37, 0xfa, 0x21, 0x3d, 0x7f, 0x9f, 0x4d, 0x51, 0x58];
        assert_eq!(read(&[&pong], &LIMITS), (vec![Incoming::Pong(Bytes::from_static(b"Hello"))], None));
        assert_eq!(frame(Opcode::Binary, &[7; 256])[..4], [0x82, 0x7e, 0x01, 0x00]);
        assert_eq!(frame(Opcode::Binary, &[7; 65_536])[..10], [0x82, 0x7f, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn every_rule_that_a_client_can_break_has_its_verdict() {
        let long = [b'a'; 126];
        let message = |frames: &[Vec<u8>]| frames.concat();
        let cases: [(&str, Vec<u8>, FrameError, u16); 32] = [
            ("RSV1", vec![0xc1, 0x80], FrameError::ReservedBits { bits: 0b100 }, 1002),
            ("RSV2", vec![0xa1, 0x80], FrameError::ReservedBits { bits: 0b010 }, 1002),
            ("RSV3 on a ping", vec![0x99, 0x80], FrameError::ReservedBits { bits: 0b001 }, 1002),
            ("opcode 3", client(0x83, b""), FrameError::UnknownOpcode { opcode: 3 }, 1002),
            ("opcode 7", client(0x87, b""), FrameError::UnknownOpcode { opcode: 7 }, 1002),
            ("opcode 11", client(0x8b, b""), FrameError::UnknownOpcode { opcode: 11 }, 1002),
            ("opcode 15", client(0x8f, b""), FrameError::UnknownOpcode { opcode: 15 }, 1002),
            ("no mask", vec![0x81, 0x00], FrameError::Unmasked, 1002),
            ("no mask on a close", vec![0x88, 0x00], FrameError::Unmasked, 1002),
            ("ping without FIN", client(0x09, b""), FrameError::FragmentedControl, 1002),
            ("close without FIN", client(0x08, b""), FrameError::FragmentedControl, 1002),
            ("ping of 126 bytes", client(0x89, &long), FrameError::OversizedControl, 1002),
            ("pong of 126 bytes", client(0x8a, &long), FrameError::OversizedControl, 1002),
            ("close of 126 bytes", client(0x88, &long), FrameError::OversizedControl, 1002),
            ("ping with a 64-bit length", vec![0x89, 0xff], FrameError::OversizedControl, 1002),
            ("continuation of nothing", client(0x80, b"a"), FrameError::UnexpectedContinuation, 1002),
            ("continuation of nothing, more to come", client(0x00, b"a"), FrameError::UnexpectedContinuation, 1002),
            ("text inside a message", message(&[client(0x01, b"a"), client(0x81, b"b")]), FrameError::InterleavedMessage, 1002),
            ("binary inside a message", message(&[client(0x01, b"a"), client(0x02, b"b")]), FrameError::InterleavedMessage, 1002),
            ("64-bit length with its top bit", vec![0x82, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0], FrameError::LengthOverflow, 1002),
            (
                "the longest length",
                vec![0x82, 0xff, 0x7f, 255, 255, 255, 255, 255, 255, 255],
                FrameError::TooBig { announced: i64::MAX as u64, limit: 100_000 },
                1009,
            ),
            ("2^40 bytes announced", vec![0x82, 0xff, 0, 0, 1, 0, 0, 0, 0, 0], FrameError::TooBig { announced: 1 << 40, limit: 100_000 }, 1009),
            (
                "one byte too many announced",
                vec![0x82, 0xff, 0, 0, 0, 0, 0, 1, 0x86, 0xa1],
                FrameError::TooBig { announced: 100_001, limit: 100_000 },
                1009,
            ),
            (
                "one byte too many in fragments",
                message(&[client(0x02, &[0; 50_000]), client(0x00, &[0; 50_000]), client(0x00, b"a")]),
                FrameError::TooBig { announced: 100_001, limit: 100_000 },
                1009,
            ),
            (
                "one fragment too many",
                message(&[client(0x02, b""), client(0x00, b"").repeat(7), client(0x80, b"")]),
                FrameError::TooManyFragments { limit: 8 },
                1009,
            ),
            ("close of one byte", client(0x88, &[3]), FrameError::CloseCodeCut, 1002),
            ("close reason not UTF-8", client(0x88, &[3, 232, 0xff]), FrameError::InvalidCloseReason, 1007),
            ("close reason with half a character", client(0x88, &[3, 232, 0xc3]), FrameError::InvalidCloseReason, 1007),
            ("text not UTF-8", client(0x81, b"a\xffb"), FrameError::InvalidText, 1007),
            ("text with a surrogate", client(0x81, b"\xed\xa0\x80"), FrameError::InvalidText, 1007),
            ("text that ends in half a character", client(0x81, b"a\xc3"), FrameError::InvalidText, 1007),
            ("fragments that end in half a character", message(&[client(0x01, b"a\xc3"), client(0x80, b"")]), FrameError::InvalidText, 1007),
        ];
        for (what, bytes, verdict, close_code) in cases {
            let (said, error) = read(&[&bytes], &LIMITS);
            assert_eq!((error, said), (Some(verdict), Vec::new()), "{what}");
            assert_eq!(verdict.close_code(), close_code, "{what}");
        }
        let finished = [client(0x01, b"a"), client(0x80, b"b"), client(0x80, b"c")].concat();
        assert_eq!(read(&[&finished], &LIMITS), (vec![text("ab")], Some(FrameError::UnexpectedContinuation)));
    }

    #[test]
    fn what_just_keeps_the_rules_is_read() {
        let full = [b'a'; 100_000];
        let cases: [(&str, Vec<u8>, Incoming); 9] = [
            ("a message of the limit", client(0x82, &full), binary(&full)),
            ("fragments of the limit", [client(0x02, &full[..60_000]), client(0x80, &full[60_000..])].concat(), binary(&full)),
            ("as many fragments as allowed", [client(0x01, b"a"), client(0x00, b"b").repeat(6), client(0x80, b"c")].concat(), text("abbbbbbc")),
            ("a ping of 125 bytes", client(0x89, &[7; 125]), Incoming::Ping(Bytes::from_static(&[7; 125]))),
            ("a longer length form than needed", ClientFrame { first: 0x82, payload: b"a", mask: MASK, length_bytes: 8 }.encode(), binary(b"a")),
            ("an empty text", client(0x81, b""), text("")),
            ("an empty text in fragments", [client(0x01, b""), client(0x80, b"")].concat(), text("")),
            ("a character cut in two", [client(0x01, b"\xf0\x9f"), client(0x80, b"\xa6\x80")].concat(), text("🦀")),
            ("bytes that are no text", client(0x82, b"\xff"), binary(b"\xff")),
        ];
        for (what, bytes, incoming) in cases {
            assert_eq!(read(&[&bytes], &LIMITS), (vec![incoming], None), "{what}");
        }
    }

    #[test]
    fn close_codes_are_judged_as_the_registry_has_them() {
        let allowed = [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999];
        for code in 0..=u16::MAX {
            let (said, error) = read(&[&client(0x88, &code.to_be_bytes())], &LIMITS);
            if allowed.contains(&code) || (3000..=4999).contains(&code) {
                assert_eq!((said, error), (vec![Incoming::Close(Some(CloseReason { code, reason: String::new() }))], None));
            } else {
                assert_eq!((said, error), (Vec::new(), Some(FrameError::CloseCode { code })));
            }
        }
        assert_eq!(read(&[&client(0x88, b"")], &LIMITS), (vec![Incoming::Close(None)], None));
        let reason = CloseReason { code: 4001, reason: "müde".to_string() };
        let payload = [&4001u16.to_be_bytes(), "müde".as_bytes()].concat();
        assert_eq!(read(&[&client(0x88, &payload)], &LIMITS), (vec![Incoming::Close(Some(reason))], None));
    }

    #[test]
    fn a_control_frame_between_fragments_is_handed_out_at_once() {
        let bytes = [client(0x01, b"Hel"), client(0x89, b"now"), client(0x00, b"l"), client(0x8a, b""), client(0x80, b"o")].concat();
        let said = vec![Incoming::Ping(Bytes::from_static(b"now")), Incoming::Pong(Bytes::new()), text("Hello")];
        assert_eq!(read(&[&bytes], &LIMITS), (said, None));
        let leaving = [client(0x01, b"Hel"), client(0x88, b"")].concat();
        assert_eq!(read(&[&leaving], &LIMITS), (vec![Incoming::Close(None)], None));
    }

    #[test]
    fn text_is_refused_before_the_rest_of_its_frame_is_there() {
        let whole = client(0x81, b"valid, then not: \xf4\x90\x80\x80 and more");
        let until_bad = 6 + 17 + 2;
        assert_eq!(read(&[&whole[..until_bad - 1]], &LIMITS), (Vec::new(), None));
        assert_eq!(read(&[&whole[..until_bad]], &LIMITS), (Vec::new(), Some(FrameError::InvalidText)));
        let second = client(0x80, b"\x90 and more");
        let fragments = [&client(0x01, b"\xf4")[..], &second[..7]].concat();
        assert_eq!(read(&[&fragments], &LIMITS), (Vec::new(), Some(FrameError::InvalidText)));
    }

    #[test]
    fn an_unfragmented_message_is_handed_out_without_a_copy() {
        let mut buf = BytesMut::from(&client(0x82, &[7; 1_000])[..]);
        let payload_at = buf[8..].as_ptr();
        let Ok(Some(Incoming::Binary(payload))) = Reader::new().next(&mut buf, &LIMITS) else { panic!("no message") };
        assert_eq!((payload.as_ptr(), payload.len()), (payload_at, 1_000));
    }

    #[test]
    fn fragments_never_hold_more_memory_than_one_message_may() {
        let (mut reader, mut buf) = (Reader::new(), BytesMut::new());
        let limits = Limits { message_bytes_max: 100_000, fragments_max: usize::MAX };
        buf.extend(client(0x02, &[0; 999]));
        for _ in 0..99 {
            assert_eq!(reader.next(&mut buf, &limits), Ok(None));
            let message = reader.message.as_ref().map(|message| (message.payload.len(), message.payload.capacity()));
            assert!(message.is_some_and(|(len, capacity)| len <= capacity && capacity <= 100_000), "{message:?}");
            buf.extend(client(0x00, &[0; 999]));
        }
        buf.clear();
        buf.extend(client(0x80, b""));
        assert!(matches!(reader.next(&mut buf, &limits), Ok(Some(Incoming::Binary(payload))) if payload.len() == 99 * 999));
        assert!(reader.message.is_none() && reader.frame.is_none());
    }

    #[test]
    fn a_close_reason_that_is_too_long_is_cut_at_a_character() {
        let cut = close_frame(3001, &format!("a{}", "ü".repeat(100)));
        assert_eq!(cut.len(), 2 + 2 + 123);
        assert_eq!(&cut[..5], [0x88, 125, 0x0b, 0xb9, b'a']);
        assert!(std::str::from_utf8(&cut[4..]).is_ok());
        assert_eq!(close_frame(3001, &"ü".repeat(100)).len(), 2 + 2 + 122);
        assert_eq!(&close_frame(1000, "")[..], [0x88, 2, 0x03, 0xe8]);
    }

    /// A message in frames of a client, with what the reader must say about it.
    fn messages() -> impl Strategy<Value = (Vec<u8>, Vec<Incoming>)> {
        let payload = prop_oneof![
            ".{0,40}".prop_map(|text| (0x1, text.into_bytes())),
            proptest::collection::vec(any::<u8>(), 0..700).prop_map(|bytes| (0x2, bytes))
        ];
        let control = prop_oneof![Just(0x9u8), Just(0xau8)];
        let message = (
            payload,
            proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
            any::<[u8; 4]>(),
            proptest::option::of((control, proptest::collection::vec(any::<u8>(), 0..=125))),
        );
        proptest::collection::vec(message, 0..6).prop_map(|messages| {
            let (mut bytes, mut said) = (Vec::new(), Vec::new());
            for ((opcode, payload), cuts, mask, control) in messages {
                let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(payload.len() + 1)).collect();
                cuts.sort_unstable();
                let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([payload.len()]).collect();
                let frames = bounds.len() - 1;
                for (i, bound) in bounds.windows(2).enumerate() {
                    let first = if i == 0 { opcode } else { 0 } | if i + 1 == frames { FIN } else { 0 };
                    let payload = &payload[bound[0]..bound[1]];
                    if let (true, Some((opcode, payload))) = (i + 1 == frames, &control) {
                        bytes.extend(ClientFrame { first: FIN | opcode, payload, mask, length_bytes: 0 }.encode());
                        let payload = Bytes::copy_from_slice(payload);
                        said.push(if *opcode == 0x9 { Incoming::Ping(payload) } else { Incoming::Pong(payload) });
                    }
                    bytes.extend(ClientFrame { first, payload, mask, length_bytes: shortest_length(payload) }.encode());
                }
                said.push(if opcode == 0x1 { Incoming::Text(payload.into()) } else { Incoming::Binary(payload.into()) });
            }
            (bytes, said)
        })
    }

    fn cut<'a>(bytes: &'a [u8], cuts: &[prop::sample::Index]) -> Vec<&'a [u8]> {
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let bounds: Vec<usize> = [0].into_iter().chain(cuts).chain([bytes.len()]).collect();
        bounds.windows(2).map(|bound| &bytes[bound[0]..bound[1]]).collect()
    }

    proptest! {
        #[test]
        fn what_a_client_says_is_heard_however_its_bytes_are_cut(
            (bytes, said) in messages(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            prop_assert_eq!(read(&cut(&bytes, &cuts), &LIMITS), (said.clone(), None));
            prop_assert_eq!(read(&bytes.chunks(1).collect::<Vec<_>>(), &LIMITS), (said, None));
        }

        #[test]
        fn a_damaged_byte_gets_the_same_verdict_however_the_bytes_are_cut(
            (mut bytes, _) in messages(),
            (at, value) in any::<(prop::sample::Index, u8)>(),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= value;
            }
            prop_assert_eq!(read(&cut(&bytes, &cuts), &LIMITS), read(&[&bytes], &LIMITS));
        }

        #[test]
        fn any_bytes_get_the_same_verdict_however_they_are_cut(
            bytes in proptest::collection::vec(any::<u8>(), 0..300),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            prop_assert_eq!(read(&cut(&bytes, &cuts), &LIMITS), read(&[&bytes], &LIMITS));
        }

        #[test]
        fn a_frame_of_ours_is_its_header_and_its_payload(payload_len in prop_oneof![0..300usize, 65_000..66_000usize], byte: u8) {
            let payload = vec![byte; payload_len];
            let frame = frame(Opcode::Binary, &payload);
            let header = header(Opcode::Binary, payload.len());
            prop_assert_eq!(&frame[..header.len()], &header[..]);
            prop_assert_eq!(&frame[header.len()..], &payload[..]);
            // Seen from the other side: with the mask bit and an empty mask it is a client's frame.
            let masked = [&[header[0], header[1] | MASKED], &header[2..], &[0; 4], &payload].concat();
            prop_assert_eq!(read(&[&masked], &LIMITS), (vec![binary(&payload)], None));
        }
    }
}
