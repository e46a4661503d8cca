//! How much the service takes on at once, for how long, and how often. It does not know how it is kept.

/// How much is taken on, and for how long.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The most calls in flight, all but health.
    pub in_flight: usize,
    /// Of these, the most checks.
    pub checks: usize,
    /// Of these, the most lists, gets and explanations.
    pub reads: usize,
    /// Of these, the most mutations; one whose caller has hung up counts until it has ended.
    pub writes: usize,
    /// Of these, the most streams.
    pub streams: usize,
    /// The most questions that are read from the database at once, those that wait for a connection included; one that
    /// several ask counts once. What is in memory or in Redis is answered without.
    pub loads: usize,
    /// The longest that a check may take.
    pub check_deadline_ms: u64,
    /// The longest that any other call may take that is no stream.
    pub admin_deadline_ms: u64,
    /// Mutations and reads of one caller in one tenant, each second; 0: as many as they like.
    pub tenant_calls_per_s: u32,
    /// Checks of one caller in one tenant, each second; 0: as many as they like.
    pub tenant_checks_per_s: u32,
    /// Attempts of one caller to accept invitations in one tenant, each second, five times as many at once; 0: as
    /// many as they like.
    pub accepts_per_s: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            in_flight: 4096,
            checks: 4096,
            reads: 64,
            writes: 128,
            streams: 256,
            loads: 256,
            check_deadline_ms: 5_000,
            admin_deadline_ms: 30_000,
            tenant_calls_per_s: 500,
            tenant_checks_per_s: 0,
            accepts_per_s: 10,
        }
    }
}
