-- Instants and lengths are milliseconds, instants since 1970-01-01T00:00:00Z. Unsigned numbers are stored as the signed
-- ones of the same bits. `fence` counts on when there is no lease.
--
-- `expires_hour` is `expires_at` in whole hours. It is there for the index that sweeping goes by: an index on
-- `expires_at` would have an entry in every index of the table written anew each time that a session is used, while the
-- hour stays the same most of the time, so that the update stays in its page (a "heap-only tuple"). The fill factor
-- leaves room for it there.
--
-- `sealed` is encrypted, so that there is nothing to compress.

CREATE TABLE auth_session (
    key          bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    version      bigint NOT NULL,
    subject      bytea NOT NULL CHECK (octet_length(subject) = 32),
    sid          bytea CHECK (octet_length(sid) = 32),
    created_at   bigint NOT NULL,
    last_seen_at bigint NOT NULL,
    expires_at   bigint NOT NULL,
    expires_hour bigint NOT NULL GENERATED ALWAYS AS (expires_at / 3600000) STORED,
    fence        bigint NOT NULL DEFAULT 0,
    lease_owner  bytea CHECK (octet_length(lease_owner) = 16),
    lease_until  bigint,
    sealed       bytea NOT NULL,
    CHECK ((lease_owner IS NULL) = (lease_until IS NULL))
) WITH (fillfactor = 70);
ALTER TABLE auth_session ALTER COLUMN sealed SET STORAGE EXTERNAL;
CREATE INDEX auth_session_subject ON auth_session (subject);
CREATE INDEX auth_session_sid ON auth_session (sid) WHERE sid IS NOT NULL;
CREATE INDEX auth_session_expires_hour ON auth_session (expires_hour);

CREATE TABLE auth_once (
    key   bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    until bigint NOT NULL
);
CREATE INDEX auth_once_until ON auth_once (until);

CREATE TABLE auth_app_data (
    key          bytea PRIMARY KEY CHECK (octet_length(key) = 32),
    expires_at   bigint NOT NULL,
    expires_hour bigint NOT NULL GENERATED ALWAYS AS (expires_at / 3600000) STORED,
    data         bytea NOT NULL
) WITH (fillfactor = 70);
ALTER TABLE auth_app_data ALTER COLUMN data SET STORAGE EXTERNAL;
CREATE INDEX auth_app_data_expires_hour ON auth_app_data (expires_hour);

-- One row: the number of this layout.
CREATE TABLE auth_schema (
    version   integer NOT NULL,
    singleton boolean PRIMARY KEY DEFAULT true CHECK (singleton)
);
INSERT INTO auth_schema (version) VALUES (1);
