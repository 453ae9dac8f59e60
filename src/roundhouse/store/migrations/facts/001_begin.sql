-- What people decided and what was learned. Times are seconds since the epoch, JSON is text, ids are UUIDv7.

CREATE TABLE servers (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL CHECK (name <> ''),
    entry TEXT NOT NULL,                        -- the member of `mcpServers`, secrets by reference
    traits TEXT NOT NULL,                       -- what was learned about it
    position INTEGER NOT NULL,
    created DOUBLE PRECISION NOT NULL,
    updated DOUBLE PRECISION NOT NULL,
    UNIQUE (tenant, name)
);

CREATE TABLE catalogues (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    server TEXT NOT NULL,
    profile TEXT NOT NULL,                      -- of the client's capabilities: a server may offer more to one than to another
    digest TEXT NOT NULL,                       -- of the launch that offered these
    tools TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    instructions TEXT NOT NULL,
    checksum INTEGER NOT NULL,                  -- CRC-32: SQLite itself does not see a flipped bit in a text
    listed_at DOUBLE PRECISION NOT NULL,
    UNIQUE (tenant, server, profile)
);

CREATE TABLE approvals (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    server TEXT NOT NULL,
    digest TEXT NOT NULL CHECK (digest <> ''),
    proposal TEXT NOT NULL,                     -- what a person is shown; names of secrets, never values
    asked_by TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'approved', 'denied', 'withdrawn')),
    asked_at DOUBLE PRECISION NOT NULL,
    decided_at DOUBLE PRECISION,
    decided_by TEXT
);

CREATE UNIQUE INDEX approvals_pending ON approvals (tenant, server, digest) WHERE state = 'pending';

CREATE INDEX approvals_by_server ON approvals (tenant, server, state);

CREATE TABLE secrets (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    name TEXT NOT NULL CHECK (name <> ''),      -- the value is in the keyring, or in a file of its own
    server TEXT,                                -- the only one that may be given it
    origin TEXT,                                -- the only one it may be sent to
    kept_in TEXT NOT NULL CHECK (kept_in IN ('keyring', 'file')),
    created DOUBLE PRECISION NOT NULL,
    updated DOUBLE PRECISION NOT NULL,
    UNIQUE (tenant, name)
);
