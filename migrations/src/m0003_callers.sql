-- Services that call: what they may do, and the hashes of their secrets. Calls that were denied, a sample. What is needed
-- to find an API key by its secret alone, and a letter by its member.
-- Written once for both databases; «bytes» stands for what differs (see the Rust file beside this one).

-- Of the platform, not of a tenant: scopes and tenants are JSON arrays; no tenants: all of them.
CREATE TABLE service_credential (
    credential_id TEXT NOT NULL PRIMARY KEY,
    name          TEXT NOT NULL,
    scopes        TEXT NOT NULL,
    tenants       TEXT NOT NULL,
    created_us    BIGINT NOT NULL,
    revoked_us    BIGINT,
    changed_rev   BIGINT NOT NULL
);

CREATE TABLE service_secret (
    credential_id TEXT NOT NULL REFERENCES service_credential (credential_id),
    secret_hash   «bytes» NOT NULL,
    created_us    BIGINT NOT NULL,
    expires_us    BIGINT,
    last_used_us  BIGINT,
    PRIMARY KEY (credential_id, secret_hash)
);

-- A key that calls names no tenant: it is found by its id and its secret's hash.
CREATE INDEX api_key_by_secret ON api_key (key_id, secret_hash);

-- Not chained, sampled, and pruned. Of a call that names no tenant, tenant_id is empty.
CREATE TABLE denied_call (
    tenant_id TEXT NOT NULL,
    denied_id TEXT NOT NULL,
    at_us     BIGINT NOT NULL,
    operation TEXT NOT NULL,
    caller    TEXT NOT NULL,
    actor     TEXT,
    peer      TEXT,
    trace_id  TEXT,
    PRIMARY KEY (tenant_id, denied_id)
);
CREATE INDEX denied_call_age ON denied_call (at_us);

-- Whom a letter is to: it goes when the person is erased.
ALTER TABLE outbox ADD COLUMN member_id TEXT;
