//! Starting MQTT and links as the configuration says.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, LinkConfig, MqttConfig, MqttTopicConfig};
use wk_ingest::link::profile::Profile;
use wk_ingest::link::{Link, LinkSettings};
use wk_ingest::mqtt::{self, LogMapping, Mapping, MetricMapping, MqttSettings, Target};

use super::context;
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;

/// Everything that is read before the start, so that a mistake stops it.
pub struct Devices {
    brokers: Vec<MqttSettings>,
    links: Vec<Link>,
}

/// Reads mappings and profiles.
///
/// # Errors
/// An address, mapping or profile that cannot be used.
pub fn prepare(config: &Config, base: &Path) -> Result<Devices, NodeError> {
    let brokers = config.mqtt.iter().map(|one| broker(one, base)).collect::<Result<_, _>>()?;
    let own = config.link_profiles.iter().map(|file| profile(&base.join(file))).collect::<Result<Vec<_>, _>>()?;
    let links = config.link.iter().map(|one| link(one, &own, base)).collect::<Result<_, _>>()?;
    Ok(Devices { brokers, links })
}

/// Starts the sources; they end after `stop`.
pub fn start(node: &Arc<Node>, prepared: Devices, tasks: &TaskTracker, stop: &CancellationToken) {
    for settings in prepared.brokers {
        let context = context(node, &format!("mqtt-{}", settings.name), false);
        tasks.spawn(mqtt::run(settings, context, stop.clone()));
    }
    for link in prepared.links {
        let context = context(node, &format!("link-{}", link.name()), true);
        tasks.spawn(link.run(context, stop.clone()));
    }
}

fn broker(one: &MqttConfig, base: &Path) -> Result<MqttSettings, NodeError> {
    let failed = |what: String| NodeError::Source { key: "mqtt", what };
    let (host, port) = mqtt::read_url(&one.url).map_err(|error| failed(chain(&error)))?;
    let mapping = |topic: &MqttTopicConfig| {
        Mapping::new(&topic.filter, target(topic))
            .map_err(|error| failed(format!("filter {:?}: {error}", topic.filter)))
    };
    Ok(MqttSettings {
        name: one.name.clone(),
        host,
        port,
        client_id: one.client_id.clone().unwrap_or_else(|| format!("watchkeeper-{}", one.name)),
        user: one.user.clone(),
        password_file: one.password_file.as_ref().map(|file| base.join(file)),
        asset: one.asset.as_deref().unwrap_or(&one.name).into(),
        mappings: one.topic.iter().map(mapping).collect::<Result<_, _>>()?,
    })
}

fn target(topic: &MqttTopicConfig) -> Target {
    match &topic.metric {
        Some(name) => Target::Metric(MetricMapping {
            name: name.clone(),
            labels: topic.labels.clone(),
            pointer: topic.value.clone(),
            factor: topic.factor,
            offset: topic.offset,
        }),
        None => Target::Log(LogMapping {
            app: topic.app.clone().unwrap_or_default(),
            message_pointer: topic.message.clone(),
            severity_pointer: topic.severity.clone(),
        }),
    }
}

fn profile(file: &Path) -> Result<Profile, NodeError> {
    let failed = |what: String| NodeError::Source { key: "link", what };
    let text = std::fs::read_to_string(file).map_err(|error| failed(format!("{}: {error}", file.display())))?;
    Profile::parse(&file.display().to_string(), &text).map_err(|error| failed(chain(&error)))
}

fn link(one: &LinkConfig, own: &[Profile], base: &Path) -> Result<Link, NodeError> {
    let failed = |what: String| NodeError::Source { key: "link", what };
    let settings = LinkSettings {
        name: one.name.clone(),
        profile: Profile::find(&one.profile, own).map_err(|error| failed(chain(&error)))?,
        address: one.address.clone(),
        interval: Duration::from_secs(one.interval_s.into()),
        user: one.user.clone(),
        password_file: one.password_file.as_ref().map(|file| base.join(file)),
        insecure_tls: one.insecure_tls,
        asset: one.asset.as_deref().unwrap_or(&one.name).into(),
        labels: one.labels.clone(),
    };
    Link::new(settings).map_err(|error| failed(chain(&error)))
}
