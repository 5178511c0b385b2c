-- Format version 1: the one table. What the keys mean is in src/store/keys.rs.
CREATE TABLE kv (
    key   BLOB NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) WITHOUT ROWID;
