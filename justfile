# Thin names for what people type; the scripts are the truth. `just` lists them.

_default:
    @just --list

# Every test, Postgres and Redis included.
test *arguments:
    ./scripts/test.sh {{ arguments }}

# What a change must pass before it lands.
ci:
    ./.ci/run

# A service to try: embedded database, nothing to install.
demo:
    cargo run --release -- demo

# Postgres, Redis, three replicas and a client that asks them in turn, to see. Other arguments: --seconds N, --debug.
cluster *arguments:
    ./scripts/cluster.sh {{ arguments }}

# The last release (or the commit named) and this tree side by side on one database: no stale or failed answer.
upgrade *arguments:
    ./scripts/upgrade.sh {{ arguments }}

# Three replicas under faults for half an hour; the report goes to docs/chaos.md. Other arguments: --seconds, --seed.
chaos *arguments="--minutes 30 --report docs/chaos.md":
    cargo test --release --locked --features slips --test chaos -- soak {{ arguments }}

# What attacks on the gRPC port cost other clients: a table.
hostile:
    cargo test --locked --test it -- --ignored --exact --nocapture transport::measured::what_attacks_cost_others

# The server asked for twice and ten times what it can do; the report goes to docs/overload.md. Other arguments: --seconds, --only.
overload *arguments="--report docs/overload.md":
    cargo test --release --locked --test overload -- full {{ arguments }}

# What a check costs, beside what an empty call costs; the page goes to docs/performance.md. Other arguments: `doorward bench --help`.
bench *arguments="--suite readme --report docs/performance.md":
    cargo build --release --locked --bin doorward --example floor
    ./target/release/doorward bench {{ arguments }}

# What the parts of a check cost: the decision, facts from memory, messages. On a quiet machine.
parts *arguments:
    cargo bench --locked -p doorward-engine --bench decide -- {{ arguments }}
    cargo bench --locked --bench near -- {{ arguments }}
    cargo bench --locked --bench messages -- {{ arguments }}

# The suite of `bench` on a private Postgres and Redis, with three replicas where a change is waited for; it prints its figures.
bench-postgres *arguments="--suite readme":
    ./scripts/bench.sh {{ arguments }}

# Each target of fuzz/ for a minute, or for so many seconds (needs nightly Rust and cargo-fuzz).
fuzz seconds="60" *targets:
    ./scripts/fuzz.sh {{ seconds }} {{ targets }}

fmt:
    cargo fmt --all

lint:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The protobuf files (needs buf).
lint-proto:
    buf lint

# The chart, alerts, image and compose file, without a cluster: a minute.
helm:
    ./scripts/check-helm.sh

# Licences, bans, sources, advisories (needs cargo-deny).
deny:
    cargo deny --locked check

# Style and layers only: seconds.
tidy:
    cargo test --locked --test tidy

# Open the API documentation of the workspace.
doc:
    cargo doc --workspace --no-deps --open
