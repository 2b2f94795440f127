-- Times are Unix milliseconds. Something that is good until t has ended at t.

CREATE TABLE user (
    name TEXT PRIMARY KEY,
    password TEXT NOT NULL,
    role TEXT NOT NULL,
    grants TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    password_changed_at INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE login (
    id BLOB PRIMARY KEY,
    user TEXT NOT NULL,
    salt BLOB NOT NULL,
    generation INTEGER NOT NULL,
    rotated_at INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    last_seen_at INTEGER NOT NULL,
    idle_until INTEGER NOT NULL,
    absolute_until INTEGER NOT NULL,
    address TEXT NOT NULL,
    device TEXT NOT NULL,
    ended_at INTEGER,
    ended_reason TEXT NOT NULL,
    -- Whichever way it ends.
    over_at INTEGER NOT NULL GENERATED ALWAYS AS (min(ifnull(ended_at, idle_until), idle_until, absolute_until)) VIRTUAL
) STRICT, WITHOUT ROWID;
CREATE INDEX login_of_user ON login (user, created_at, id);
CREATE INDEX login_over ON login (over_at);

CREATE TABLE block (
    kind INTEGER NOT NULL,
    subject TEXT NOT NULL,
    reason TEXT NOT NULL,
    by TEXT NOT NULL,
    since INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (kind, subject)
) STRICT, WITHOUT ROWID;
CREATE INDEX block_until ON block (until) WHERE until IS NOT NULL;

CREATE TABLE api_key (
    id TEXT PRIMARY KEY,
    name TEXT NOT NULL,
    secret_hash TEXT NOT NULL,
    -- JSON lists of texts.
    methods TEXT NOT NULL,
    namespaces TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    created_by TEXT NOT NULL,
    expires_at INTEGER,
    last_used_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,
    origin TEXT NOT NULL,
    action TEXT NOT NULL,
    object TEXT NOT NULL,
    details TEXT NOT NULL,
    outcome TEXT NOT NULL,
    previous TEXT NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE INDEX audit_at ON audit (at);
CREATE INDEX audit_actor ON audit (actor);
CREATE INDEX audit_action ON audit (action);

CREATE TABLE stream (
    id INTEGER PRIMARY KEY,
    channel TEXT NOT NULL UNIQUE,
    epoch TEXT NOT NULL,
    top INTEGER NOT NULL,
    forgotten_at INTEGER NOT NULL
) STRICT;
CREATE INDEX stream_forgotten ON stream (forgotten_at);

-- Bodies may be large, so the rows lie in a tree of their own and the key's index stays small.
CREATE TABLE publication (
    stream INTEGER NOT NULL,
    number INTEGER NOT NULL,
    body BLOB NOT NULL,
    at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    stream_expires_at INTEGER NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (stream, number)
) STRICT;
CREATE INDEX publication_expires ON publication (expires_at);

CREATE TABLE value (
    key TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- One row, written to find out whether writing works.
CREATE TABLE pulse (
    id INTEGER PRIMARY KEY CHECK (id = 1),
    beats INTEGER NOT NULL
) STRICT;
INSERT INTO pulse VALUES (1, 0);
