//! The nodes of one service, joined by Redis.

use std::sync::Arc;

use super::{Cluster, Error};
use crate::config;
use crate::protocol::NodeId;

/// Joins.
pub(super) async fn connect(_: &config::Cluster, _: NodeId) -> Result<Arc<dyn Cluster>, Error> {
    Err(Error::Settings("cluster.redis: this build has no Redis yet".to_owned()))
}
