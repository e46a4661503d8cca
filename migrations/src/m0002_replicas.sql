-- Replicas that keep facts, what a database was when it was last seen, and whose revision a kept answer tells.
-- Written once for both databases; «snapshot» is pg_snapshot on Postgres. SQLite is for one process, which knows its
-- replicas itself: there `replica` stays empty.

CREATE TABLE replica (
    replica_id        TEXT NOT NULL PRIMARY KEY,
    lease_ms          BIGINT NOT NULL,
    stale_ms          BIGINT NOT NULL,
    registered_us     BIGINT NOT NULL,
    standing          TEXT NOT NULL CHECK (standing IN ('MEMBER', 'SUSPENDED', 'EXPIRED')),
    standing_since_us BIGINT NOT NULL,
    applied           «snapshot»
);

-- Of Postgres: system identifier, and where the file of tenant_rev is. Another one after a restore.
ALTER TABLE instance ADD COLUMN cluster TEXT NOT NULL DEFAULT '';

-- The tenant that the act changed: of a creation, the one that it made. Empty where it was not kept.
ALTER TABLE request ADD COLUMN scope TEXT NOT NULL DEFAULT '';
