-- The tables of mmoinv in SQLite, schema version 1.
--
-- SQLite's integers are signed: a u64 (guids, nonces) is kept as its two's complement, so
-- numbers from 2^63 on look negative. The view character_inventory_unsigned shows them as
-- people know them.

CREATE TABLE mmoinv_meta (
    name TEXT NOT NULL PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- One row an item. slot is absolute: bag << 8 | slot in bag. An item that has no name yet
-- (item_guid 0) has NULL here, so that the index can hold the others unique.
CREATE TABLE character_inventory (
    character_guid INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    entry INTEGER NOT NULL,
    stack_count INTEGER NOT NULL,
    creator INTEGER NOT NULL,
    contained INTEGER NOT NULL,
    durability INTEGER NOT NULL,
    random_property_index INTEGER NOT NULL,
    random_suffix_index INTEGER NOT NULL,
    item_flags INTEGER NOT NULL,
    item_guid INTEGER,
    PRIMARY KEY (character_guid, slot)
) STRICT, WITHOUT ROWID;

CREATE UNIQUE INDEX character_inventory_item_guid ON character_inventory (item_guid);

-- Who may write a character. epoch is the fencing token, version counts the commits.
CREATE TABLE character_session (
    character_guid INTEGER NOT NULL PRIMARY KEY,
    world_id INTEGER NOT NULL,
    process_nonce INTEGER NOT NULL,
    epoch INTEGER NOT NULL CHECK (epoch BETWEEN 1 AND 4294967295),
    version INTEGER NOT NULL DEFAULT 0,
    online INTEGER NOT NULL CHECK (online IN (0, 1))
) STRICT;

-- Which operations are committed. applied_at in seconds since 1970.
CREATE TABLE applied_operation (
    operation_id INTEGER NOT NULL PRIMARY KEY,
    applied_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The world servers that may log on. node_epoch is the last one that the world was given.
CREATE TABLE world (
    world_id INTEGER NOT NULL PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    verifier TEXT NOT NULL,
    node_epoch INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Rows of character_inventory that could not be read, as JSON: nothing is thrown away.
CREATE TABLE set_aside_item (
    set_aside_id INTEGER NOT NULL PRIMARY KEY,
    character_guid INTEGER NOT NULL,
    slot INTEGER NOT NULL,
    stored_row TEXT NOT NULL,
    reason TEXT NOT NULL,
    set_aside_at INTEGER NOT NULL
) STRICT;

CREATE VIEW character_inventory_unsigned AS
SELECT
    printf('%u', character_guid) AS character_guid,
    slot >> 8 AS bag,
    slot & 255 AS slot_in_bag,
    slot,
    entry,
    stack_count,
    printf('%u', creator) AS creator,
    printf('%u', contained) AS contained,
    durability,
    random_property_index,
    random_suffix_index,
    item_flags,
    printf('%u', item_guid) AS item_guid
FROM character_inventory;

INSERT INTO mmoinv_meta (name, value) VALUES ('schema_version', 1), ('node_epoch', 0);
