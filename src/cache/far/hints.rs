//! Hints that something has changed: knows the channel on which replicas send and hear them. They may be lost.

use std::sync::Arc;
use std::time::Duration;

use redis::{PushInfo, PushKind};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::connect::Connector;
use super::link::{Pauses, reason};
use crate::clock::Stopwatch;

/// The channel.
pub(super) const CHANNEL: &str = "doorward";
/// How long subscribing may take in all.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// How often the connection is looked at, and how long that may take.
const LOOK_EVERY: Duration = Duration::from_secs(2);
const LOOK_MAX: Duration = Duration::from_secs(1);
/// How many looks pass between two questions to sentinels.
const LOOKS_PER_QUESTION: u32 = 5;
/// After that long a connection is taken to be a good one.
const STEADY: Duration = Duration::from_secs(5);

/// Listens, on a connection of its own, for ever; tells `heard` of each hint, and when it has begun to listen: hints
/// may have been missed until then.
pub(super) async fn listen(connector: &Connector, heard: &Arc<Notify>) {
    let mut pauses = Pauses::new();
    loop {
        let since = Stopwatch::start();
        if let Err(reason) = listen_once(connector, heard).await {
            tracing::debug!(reason, "no hints are heard from redis");
        }
        if since.elapsed() > STEADY + OPEN_MAX {
            pauses = Pauses::new();
        }
        sleep(pauses.next()).await;
    }
}

/// Until the connection ends.
async fn listen_once(connector: &Connector, heard: &Arc<Notify>) -> Result<(), String> {
    let ended = Arc::new(Notify::new());
    let open = async {
        let (mut connection, leads_to) = connector.listen(pushed(heard, &ended)).await?;
        connection.subscribe(CHANNEL).await?;
        Ok::<_, redis::RedisError>((connection, leads_to))
    };
    let opened = timeout(OPEN_MAX, open).await.map_err(|_| "timeout".to_owned())?;
    let (mut connection, leads_to) = opened.map_err(|error| reason(&error))?;
    heard.notify_one();
    for look in 1u32.. {
        tokio::select! {
            () = ended.notified() => return Err("the connection has ended".to_owned()),
            () = sleep(LOOK_EVERY) => {}
        }
        let hears = timeout(LOOK_MAX, connector.hears(&mut connection)).await;
        if !matches!(hears, Ok(Ok(true))) {
            return Err("the connection is dead, or its node is alone".to_owned());
        }
        if look.is_multiple_of(LOOKS_PER_QUESTION) {
            let stands = timeout(OPEN_MAX, connector.stands(leads_to.as_ref())).await;
            if stands == Ok(false) {
                return Err("sentinels know another master".to_owned());
            }
        }
    }
    Ok(())
}

fn pushed(
    heard: &Arc<Notify>,
    ended: &Arc<Notify>,
) -> impl Fn(PushInfo) -> Result<(), std::convert::Infallible> + Send + Sync + 'static {
    let (heard, ended) = (Arc::clone(heard), Arc::clone(ended));
    move |push| {
        match push.kind {
            PushKind::Message => heard.notify_one(),
            PushKind::Disconnection => ended.notify_one(),
            _ => {}
        }
        Ok(())
    }
}
