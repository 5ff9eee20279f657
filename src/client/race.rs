//! Which door to take: they are tried side by side, the preferred one with a head start.

use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::{sleep, timeout};

use super::{Error, Target, Wire};
use crate::hub::Door;

/// How much later the next door is tried while the one before has not opened.
const HEAD_START: Duration = Duration::from_millis(500);
/// A door that is not open by then is given up, and so is a hello that is not answered.
pub(super) const OPEN_DEADLINE: Duration = Duration::from_secs(5);

/// Opens these doors side by side, each a little after the one before; the first that is open wins.
pub(super) async fn race(target: Target, doors: Vec<Door>, wait: Duration) -> Result<(Wire, Door), Error> {
    sleep(wait).await;
    let open = |door: Door| {
        let target = &target;
        async move {
            let opened = timeout(OPEN_DEADLINE, Wire::open(target, door)).await;
            opened.map_err(|_| Error::Timeout(OPEN_DEADLINE))?.map(|wire| (wire, door))
        }
    };
    let mut rest = doors.into_iter();
    let mut lanes = FuturesUnordered::new();
    let mut failure = Error::Connect("no door may be used".to_owned());
    loop {
        if lanes.is_empty() {
            match rest.next() {
                Some(door) => lanes.push(open(door)),
                None => return Err(failure),
            }
        }
        tokio::select! {
            biased; // a door that is open wins over one more that could be tried
            Some(opened) = lanes.next() => match opened {
                Ok(won) => return Ok(won),
                Err(error) => {
                    failure = error;
                    lanes.extend(rest.next().map(&open));
                }
            },
            () = sleep(HEAD_START), if rest.len() > 0 => lanes.extend(rest.next().map(&open)),
        }
    }
}
