-- What happened. Times are seconds since the epoch, ids are UUIDv7.

CREATE TABLE calls (
    id TEXT PRIMARY KEY,
    tenant TEXT NOT NULL,
    owner TEXT NOT NULL,
    server TEXT NOT NULL,
    tool TEXT NOT NULL,
    client TEXT NOT NULL,
    started DOUBLE PRECISION NOT NULL,
    duration_ms DOUBLE PRECISION NOT NULL,
    outcome TEXT NOT NULL,                      -- ok, tool_error, error
    code TEXT NOT NULL,
    bytes_in BIGINT NOT NULL,
    bytes_out BIGINT NOT NULL,
    arguments TEXT NOT NULL,                    -- redacted, the first 16 KiB
    result TEXT NOT NULL                        -- the same
);

CREATE INDEX calls_by_time ON calls (started);

CREATE INDEX calls_by_server ON calls (server, started);

CREATE TABLE health (
    id TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    instance TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    state TEXT NOT NULL,
    ping_ms DOUBLE PRECISION,
    rss_bytes BIGINT,
    cpu_percent DOUBLE PRECISION,
    fds INTEGER,
    children INTEGER,
    verdict TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX health_by_time ON health (at);

CREATE INDEX health_by_server ON health (server, at);

CREATE TABLE states (
    id TEXT PRIMARY KEY,
    server TEXT NOT NULL,
    instance TEXT NOT NULL,
    at DOUBLE PRECISION NOT NULL,
    before TEXT NOT NULL,
    after TEXT NOT NULL,
    event TEXT NOT NULL,
    reason TEXT NOT NULL
);

CREATE INDEX states_by_time ON states (at);

CREATE INDEX states_by_server ON states (server, at);
