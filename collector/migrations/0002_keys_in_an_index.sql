-- Values of megabytes do not stand in the tree that is searched: in a table WITHOUT ROWID every
-- step of a search reads a whole row, with all of its overflow pages, to compare its key. So keys
-- get an index of their own, and values stand beside it.
CREATE TABLE next (
    key BLOB NOT NULL UNIQUE,
    value BLOB NOT NULL
) STRICT;
INSERT INTO next (key, value) SELECT key, value FROM kv ORDER BY key;
DROP TABLE kv;
ALTER TABLE next RENAME TO kv;
