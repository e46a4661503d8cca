-- The foundation: tenants, members, resources, grants, keys, and the log that every mutation writes.
-- Written once for both databases; «bytes» and «xid» stand for what differs (see the Rust file beside this one).
-- Times are microseconds since 1970-01-01T00:00:00Z. Every tenant-owned primary key leads with tenant_id.

CREATE TABLE instance (
    only_row    INTEGER NOT NULL PRIMARY KEY CHECK (only_row = 1),
    instance_id TEXT NOT NULL,
    created_us  BIGINT NOT NULL
);

-- Outlives its tenant, so that an id is never used twice. hash is that of the tenant's newest log row.
CREATE TABLE tenant_rev (
    tenant_id TEXT NOT NULL PRIMARY KEY,
    rev       BIGINT NOT NULL,
    hash      «bytes» NOT NULL
);

CREATE TABLE tenant (
    tenant_id          TEXT NOT NULL PRIMARY KEY REFERENCES tenant_rev (tenant_id),
    slug               TEXT NOT NULL,
    name               TEXT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('ACTIVE', 'SUSPENDED', 'DELETED')),
    plan               TEXT NOT NULL,
    subscription_state TEXT NOT NULL
        CHECK (subscription_state IN ('TRIALING', 'ACTIVE', 'PENDING_RENEWAL', 'EXPIRED', 'CANCELLED')),
    complimentary      BOOLEAN NOT NULL,
    trial_end_us       BIGINT,
    period_end_us      BIGINT,
    grace_end_us       BIGINT,
    access_until_us    BIGINT,
    switches           TEXT NOT NULL,
    section_defaults   TEXT NOT NULL,
    firewall           TEXT NOT NULL,
    created_us         BIGINT NOT NULL,
    changed_rev        BIGINT NOT NULL
);

CREATE TABLE tenant_slug (
    slug      TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL UNIQUE REFERENCES tenant (tenant_id)
);

CREATE TABLE member (
    tenant_id             TEXT NOT NULL REFERENCES tenant (tenant_id),
    member_id             TEXT NOT NULL,
    user_id               TEXT,
    email                 TEXT NOT NULL,
    email_key             TEXT NOT NULL,
    display_name          TEXT,
    role                  TEXT NOT NULL CHECK (role IN ('ADMIN', 'USER')),
    status                TEXT NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'DISABLED', 'DELETED')),
    created_us            BIGINT NOT NULL,
    invitation_expires_us BIGINT,
    person_version        INTEGER NOT NULL,
    changed_rev           BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id)
);
CREATE UNIQUE INDEX member_live_email ON member (tenant_id, email_key) WHERE status <> 'DELETED';
CREATE INDEX member_active_admin ON member (tenant_id) WHERE status = 'ACTIVE' AND role = 'ADMIN';

-- Which member a user is; a row without a member says that they are none any more, and since when.
CREATE TABLE tenant_user (
    tenant_id   TEXT NOT NULL,
    user_id     TEXT NOT NULL,
    member_id   TEXT,
    changed_rev BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, user_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

-- Personal data by version: the log refers to a version, so that erasing a person leaves the log whole.
CREATE TABLE member_person (
    tenant_id    TEXT NOT NULL,
    member_id    TEXT NOT NULL,
    version      INTEGER NOT NULL,
    email        TEXT NOT NULL,
    display_name TEXT,
    user_id      TEXT,
    PRIMARY KEY (tenant_id, member_id, version),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE TABLE member_section (
    tenant_id   TEXT NOT NULL,
    member_id   TEXT NOT NULL,
    section     TEXT NOT NULL,
    is_on       BOOLEAN NOT NULL,
    origin      TEXT NOT NULL CHECK (origin IN ('DEFAULT', 'SET')),
    changed_rev BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id, section),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);

CREATE TABLE invitation (
    tenant_id  TEXT NOT NULL,
    token_hash «bytes» NOT NULL,
    member_id  TEXT NOT NULL,
    expires_us BIGINT NOT NULL,
    status     TEXT NOT NULL CHECK (status IN ('LIVE', 'USED', 'CANCELLED')),
    PRIMARY KEY (tenant_id, token_hash),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id)
);
CREATE UNIQUE INDEX invitation_live ON invitation (tenant_id, member_id) WHERE status = 'LIVE';

CREATE TABLE resource (
    tenant_id     TEXT NOT NULL REFERENCES tenant (tenant_id),
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    name          TEXT NOT NULL,
    tags          TEXT NOT NULL,
    status        TEXT NOT NULL CHECK (status IN ('ACTIVE', 'INACTIVE', 'DELETED')),
    created_us    BIGINT NOT NULL,
    changed_rev   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, resource_type, resource_id)
);
CREATE INDEX resource_live ON resource (tenant_id, resource_type) WHERE status <> 'DELETED';

CREATE TABLE resource_grant (
    tenant_id     TEXT NOT NULL,
    member_id     TEXT NOT NULL,
    resource_type TEXT NOT NULL,
    resource_id   TEXT NOT NULL,
    expires_us    BIGINT,
    changed_rev   BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, member_id, resource_type, resource_id),
    FOREIGN KEY (tenant_id, member_id) REFERENCES member (tenant_id, member_id),
    FOREIGN KEY (tenant_id, resource_type, resource_id)
        REFERENCES resource (tenant_id, resource_type, resource_id)
);
CREATE INDEX resource_grant_by_resource ON resource_grant (tenant_id, resource_type, resource_id, member_id);

CREATE TABLE api_key (
    tenant_id   TEXT NOT NULL REFERENCES tenant (tenant_id),
    key_id      TEXT NOT NULL,
    name        TEXT NOT NULL,
    secret_hash «bytes» NOT NULL,
    scopes      TEXT NOT NULL,
    created_by  TEXT,
    created_us  BIGINT NOT NULL,
    expires_us  BIGINT,
    revoked_us  BIGINT,
    changed_rev BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key_id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES member (tenant_id, member_id)
);
CREATE INDEX api_key_by_creator ON api_key (tenant_id, created_by) WHERE revoked_us IS NULL;

-- One row a mutation: the change event, the audit record and a link of the tenant's hash chain.
CREATE TABLE change_log (
    tenant_id  TEXT NOT NULL REFERENCES tenant_rev (tenant_id),
    rev        BIGINT NOT NULL,
    «xid»
    at_us      BIGINT NOT NULL,
    operation  TEXT NOT NULL,
    caller     TEXT NOT NULL,
    actor      TEXT,
    request_id TEXT,
    peer       TEXT,
    trace_id   TEXT,
    parts      TEXT NOT NULL,
    changes    TEXT NOT NULL,
    prev_hash  «bytes» NOT NULL,
    hash       «bytes» NOT NULL,
    PRIMARY KEY (tenant_id, rev)
);
«xid_index»

-- Answers kept for a day, so that a repeated request is applied once.
CREATE TABLE request (
    tenant_id  TEXT NOT NULL,
    caller     TEXT NOT NULL,
    request_id TEXT NOT NULL,
    digest     «bytes» NOT NULL,
    answer     TEXT NOT NULL,
    rev        BIGINT NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, caller, request_id)
);
CREATE INDEX request_age ON request (tenant_id, created_us);

-- What is to be told to the outside, sealed where it holds a secret.
CREATE TABLE outbox (
    tenant_id  TEXT NOT NULL REFERENCES tenant (tenant_id),
    outbox_id  TEXT NOT NULL,
    kind       TEXT NOT NULL,
    payload    «bytes» NOT NULL,
    created_us BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, outbox_id)
);

-- Every catalogue that was in force; the newest version is.
CREATE TABLE catalogue (
    version    BIGINT NOT NULL PRIMARY KEY,
    digest     TEXT NOT NULL,
    document   TEXT NOT NULL,
    applied_us BIGINT NOT NULL
);
