-- What people want their dashboard to be like: one row a user.
CREATE TABLE settings (
    user TEXT PRIMARY KEY,
    body TEXT NOT NULL,
    saved_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX settings_saved ON settings (saved_at, user);
