/**
 * Every code that the hub can send, as its own table has them (`src/protocol/codes.rs`; a test of the hub compares the two).
 * One `[code, "reason"]` a line.
 */
export const ERRORS = [
  [100, "internal server error"],
  [101, "unauthorized"],
  [102, "unknown channel"],
  [103, "permission denied"],
  [104, "method not found"],
  [105, "already subscribed"],
  [106, "limit exceeded"],
  [107, "bad request"],
  [108, "not available"],
  [109, "token expired"],
  [110, "expired"],
  [111, "too many requests"],
  [112, "unrecoverable position"],
] as const;

export const DISCONNECTS = [
  [1000, ""],
  [1002, ""],
  [1007, ""],
  [1009, ""],
  [3000, "connection closed"],
  [3001, "shutdown"],
  [3004, "internal server error"],
  [3005, "connection expired"],
  [3006, "subscription expired"],
  [3008, "slow"],
  [3009, "write error"],
  [3010, "insufficient state"],
  [3011, "force reconnect"],
  [3012, "no pong"],
  [3013, "too many requests"],
  [3500, "invalid token"],
  [3501, "bad request"],
  [3502, "stale"],
  [3503, "force disconnect"],
  [3504, "connection limit"],
  [3505, "channel limit"],
  [3506, "inappropriate protocol"],
  [3507, "permission denied"],
  [3508, "not available"],
  [3509, "too many errors"],
] as const;

export const UNSUBSCRIBES = [
  [2000, "server unsubscribe"],
  [2500, "insufficient state"],
  [2501, "subscription expired"],
] as const;

export type ErrorCode = (typeof ERRORS)[number][0];
export type DisconnectCode = (typeof DISCONNECTS)[number][0];

/** The hub goes away on purpose and comes back: a restart or a move. */
export const SHUTDOWN: DisconnectCode = 3001;
/** The token is no longer one: its login ended, or its key did. */
export const INVALID_TOKEN: DisconnectCode = 3500;
/** An operator closed the connection. */
export const KICKED: DisconnectCode = 3503;
export const TOKEN_EXPIRED: ErrorCode = 109;
export const PERMISSION_DENIED: ErrorCode = 103;
/** No such command, or no such thing. */
export const NOT_FOUND: ErrorCode = 104;
export const NOT_AVAILABLE: ErrorCode = 108;
