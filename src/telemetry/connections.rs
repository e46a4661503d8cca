//! Metrics of the gRPC port: connections that are open, turned away and cut, and the certificate that it shows.

use std::sync::atomic::AtomicU64;

use doorward_engine::instant::Instant;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::outcomes::{DONE_OR_FAILED, Outcomes, place};

/// Why a connection was turned away before its first call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// As many are open as may be.
    Full,
    /// Too many were being opened at once, and it was the oldest of them.
    Crowded,
    /// The TLS handshake failed.
    Handshake,
    /// It did not begin as HTTP/2 does.
    Greeting,
    /// Its handshake and greeting did not come in time.
    Late,
}

impl Refusal {
    /// Every reason.
    pub const ALL: [Self; 5] = [Self::Full, Self::Crowded, Self::Handshake, Self::Greeting, Self::Late];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Full => "full",
            Self::Crowded => "crowded",
            Self::Handshake => "handshake",
            Self::Greeting => "greeting",
            Self::Late => "late",
        }
    }
}

/// Why an open connection was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// It was asked to end for its age, and had not when the grace was over.
    Old,
    /// It took nothing of what it was sent.
    Stalled,
    /// It sent frames that ask for work and are no call.
    Flood,
}

impl Cut {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::Old, Self::Stalled, Self::Flood];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Old => "old",
            Self::Stalled => "stalled",
            Self::Flood => "flood",
        }
    }
}

/// The metrics of the gRPC port.
#[derive(Debug)]
pub struct Connections {
    open: Gauge,
    refused: Outcomes<{ Refusal::ALL.len() }>,
    cut: Outcomes<{ Cut::ALL.len() }>,
    reloads: Outcomes<2>,
    expiry: Gauge<f64, AtomicU64>,
}

impl Connections {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let refused = Outcomes::of("reason", Refusal::ALL.map(Refusal::name));
        let help = "Connections turned away before their first call, by reason";
        let refused = refused.registered(registry, "doorward_connections_refused", help);
        let cut = Outcomes::of("reason", Cut::ALL.map(Cut::name));
        let help = "Open connections that were cut, by reason";
        let cut = cut.registered(registry, "doorward_connections_cut", help);
        let reloads = Outcomes::of("outcome", DONE_OR_FAILED);
        let help = "Changed files of TLS, by whether they could be used";
        let reloads = reloads.registered(registry, "doorward_tls_reloads", help);
        let connections = Self { open: Gauge::default(), refused, cut, reloads, expiry: Gauge::default() };
        registry.register("doorward_connections", "Open connections", connections.open.clone());
        registry.register_with_unit(
            "doorward_tls_certificate_expiry",
            "When the certificate ends that is shown to clients, since 1970; 0 without TLS",
            Unit::Seconds,
            connections.expiry.clone(),
        );
        connections
    }

    /// One more is open.
    pub fn opened(&self) {
        self.open.inc();
    }

    /// One is open no more.
    pub fn closed(&self) {
        self.open.dec();
    }

    /// One was turned away.
    pub fn refused(&self, refusal: Refusal) {
        self.refused.inc(refusal as usize);
    }

    /// One was cut.
    pub fn cut(&self, cut: Cut) {
        self.cut.inc(cut as usize);
    }

    /// A changed certificate, key or authority was taken, or could not be.
    pub fn reloaded(&self, done: bool) {
        self.reloads.inc(place(done));
    }

    /// The certificate that is shown from now on ends then.
    pub fn shown_until(&self, expiry: Instant) {
        #[expect(clippy::cast_precision_loss, reason = "a fraction of a second more or less")]
        self.expiry.set(expiry.micros() as f64 / 1e6);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_under_the_names_that_docs_give() {
        let mut registry = Registry::default();
        let connections = Connections::registered(&mut registry);
        connections.opened();
        connections.opened();
        connections.closed();
        Refusal::ALL.into_iter().for_each(|refusal| connections.refused(refusal));
        Cut::ALL.into_iter().for_each(|cut| connections.cut(cut));
        connections.reloaded(false);
        connections.shown_until(Instant::from_micros(1_500_000));
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for line in [
            "doorward_connections 1",
            r#"doorward_connections_refused_total{reason="full"} 1"#,
            r#"doorward_connections_refused_total{reason="crowded"} 1"#,
            r#"doorward_connections_refused_total{reason="handshake"} 1"#,
            r#"doorward_connections_refused_total{reason="greeting"} 1"#,
            r#"doorward_connections_refused_total{reason="late"} 1"#,
            r#"doorward_connections_cut_total{reason="old"} 1"#,
            r#"doorward_connections_cut_total{reason="stalled"} 1"#,
            r#"doorward_connections_cut_total{reason="flood"} 1"#,
            r#"doorward_tls_reloads_total{outcome="done"} 0"#,
            r#"doorward_tls_reloads_total{outcome="failed"} 1"#,
            "doorward_tls_certificate_expiry_seconds 1.5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}
