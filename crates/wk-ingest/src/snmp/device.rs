//! One device from poll to poll.

use std::collections::HashMap;
use std::sync::Arc;

use async_snmp::{Oid, Value};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use wk_types::labels::METRIC_NAME;
use wk_types::{AssetId, Body, Labels, Neighbour, Sample, Series, SeriesSamples, UtcMs};

use super::counter::Unfolded;
use super::neighbour;
use super::profile::{NeighbourTable, Profile, Profiles, Scalar};
use super::session::{AskError, Session};
use super::table::{self, TableState};
use super::{Device, value};
use crate::contract::{Sender, SourceContext};
use crate::delivery::{Delivered, deliver};
use crate::records;
use crate::series::Present;

/// sysObjectID, sysUpTime, sysName, snmpEngineID: asked for first in each poll.
const IDENTITY: [&str; 4] = ["1.3.6.1.2.1.1.2.0", "1.3.6.1.2.1.1.3.0", "1.3.6.1.2.1.1.5.0", "1.3.6.1.6.3.10.2.1.1.0"];
/// After how many polls single objects that the device did not have, and texts, are read again.
const RARELY_EVERY: u64 = 10;
/// How many series one device may have.
pub const SERIES_MAX: usize = 50_000;

/// How the series of one poll are named, and when it was.
pub struct Naming<'a> {
    /// Counters of the source.
    pub context: &'a SourceContext,
    /// When the poll began.
    pub now: UtcMs,
    labels: &'a [(Arc<str>, Arc<str>)],
    asset: &'a AssetId,
}

impl Naming<'_> {
    /// Makes a series of the device; its own labels go before those of the same name.
    pub fn series(&self, metric: &str, further: &[(Arc<str>, Arc<str>)]) -> Arc<Series> {
        let name = [(Arc::from(METRIC_NAME), Arc::from(metric))];
        let pairs = further.iter().chain(self.labels).cloned().chain(name);
        Arc::new(Series::new(Labels::new(pairs), self.asset.clone()))
    }

    fn sample(&self, metric: &str, further: &[(&str, &str)], value: f64) -> SeriesSamples {
        let further: Vec<(Arc<str>, Arc<str>)> =
            further.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        SeriesSamples { series: self.series(metric, &further), samples: vec![Sample::new(self.now, value)] }
    }
}

/// What a device said of itself.
#[derive(Debug, Clone, PartialEq, Default)]
struct Identity {
    object_id: Option<Oid>,
    up_time: Option<u32>,
    name: Option<String>,
    engine_id: Option<String>,
}

/// A single object of the device.
struct Single {
    profile: Arc<Profile>,
    position: usize,
    counter: Unfolded,
    series: Option<Arc<Series>>,
    /// The poll in which it is read again, where the device did not have it.
    absent_until: u64,
}

impl Single {
    fn scalar(&self) -> &Scalar {
        &self.profile.scalars[self.position]
    }
}

/// What is read from the device.
#[derive(Default)]
struct Plan {
    profiles: Vec<Arc<Profile>>,
    singles: Vec<Single>,
    tables: Vec<TableState>,
    neighbours: Vec<NeighbourTable>,
}

/// What is remembered of a device.
pub struct DeviceState {
    device: Device,
    session: Session,
    profiles: Arc<Profiles>,
    round: u64,
    identity: Identity,
    asset: AssetId,
    labels: Vec<(Arc<str>, Arc<str>)>,
    plan: Option<Plan>,
    /// Series of texts, read rarely.
    infos: Vec<Arc<Series>>,
    neighbours: Vec<Neighbour>,
    present: Present,
}

impl DeviceState {
    /// Begins with nothing known.
    pub fn new(device: Device, session: Session, profiles: Arc<Profiles>) -> Self {
        let own = device.labels.iter().filter(|(name, _)| *name != "job" && *name != "instance");
        let mut labels: Vec<(Arc<str>, Arc<str>)> =
            own.map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect();
        labels.push(("job".into(), "snmp".into()));
        labels.push(("instance".into(), device.instance().into()));
        Self {
            device,
            session,
            profiles,
            round: 0,
            identity: Identity::default(),
            asset: AssetId::unknown(),
            labels,
            plan: None,
            infos: Vec::new(),
            neighbours: Vec::new(),
            present: Present::default(),
        }
    }

    /// Polls once and delivers what came, for at most one interval.
    pub async fn round(&mut self, context: &SourceContext, cancel: &CancellationToken) {
        let (now, begun) = (context.now(), Instant::now());
        let mut samples = Vec::new();
        let identified = self.identify(context).await;
        let up = identified.is_ok();
        let complete = match identified {
            Ok(()) => self.read_all(context, now, &mut samples).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &complete {
            context.stats.flagged(error.reason(), 1, &format!("{}: {error}", self.device.instance()));
        }
        context.stats.received(samples.len() as u64, 0, now);
        if samples.len() > SERIES_MAX {
            context.stats.rejected("series beyond 50000 of one device", (samples.len() - SERIES_MAX) as u64, "");
            samples.truncate(SERIES_MAX);
        }
        let report = [
            ("up", f64::from(u8::from(up))),
            ("snmp_poll_complete", f64::from(u8::from(complete.is_ok()))),
            ("snmp_poll_duration_seconds", begun.elapsed().as_secs_f64()),
            ("snmp_poll_answers", self.session.take_exchanged() as f64),
        ];
        let naming = Naming { context, now, labels: &self.labels, asset: &self.asset };
        samples.extend(report.map(|(metric, value)| naming.sample(metric, &[], value)));
        self.round += 1;
        self.deliver(samples, context, cancel, now).await;
    }

    /// Asks who the device is, and starts anew where it is another one or began anew.
    async fn identify(&mut self, context: &SourceContext) -> Result<(), AskError> {
        let oids: Vec<Oid> = IDENTITY.iter().filter_map(|text| Oid::parse(text).ok()).collect();
        let answer = self.session.get(&oids).await;
        if answer.is_err() && self.round == 0 {
            self.attribute(context);
        }
        let found = answer?;
        let text = |at: usize| found.get(&oids[at]).and_then(value::label).filter(|text| !text.is_empty());
        let identity = Identity {
            object_id: found.get(&oids[0]).and_then(Value::as_oid).cloned(),
            up_time: found.get(&oids[1]).and_then(Value::as_u32),
            name: text(2),
            engine_id: text(3),
        };
        let before = std::mem::replace(&mut self.identity, identity);
        // sysUpTime wraps after 497 days, which looks the same; counters that then begin anew do no harm.
        let began_anew = before.up_time.zip(self.identity.up_time).is_some_and(|(then, now)| now < then);
        let is_other = before.object_id != self.identity.object_id || before.engine_id != self.identity.engine_id;
        self.attribute(context);
        if self.plan.is_none() || is_other {
            self.plan = Some(self.make_plan());
        } else if began_anew && let Some(plan) = &mut self.plan {
            plan.tables.iter_mut().for_each(TableState::restart);
            plan.singles.iter_mut().for_each(|single| single.counter.restart());
        }
        Ok(())
    }

    /// Says whose the device's series are: the declared asset, else whom its address, else whom its name stands for.
    fn attribute(&mut self, context: &SourceContext) {
        let declared = self.device.asset.as_ref();
        let peer = Some(self.device.address.ip());
        let mut found = context.identity.resolve(&context.name, &Sender { claimed: None, peer, declared });
        for claimed in [self.identity.name.as_deref(), self.identity.engine_id.as_deref()] {
            if found.unknown.is_some() && claimed.is_some() {
                found = context.identity.resolve(&context.name, &Sender { claimed, peer: None, declared: None });
            }
        }
        if found.asset != self.asset {
            self.asset = found.asset;
            if let Some(plan) = &mut self.plan {
                plan.tables.iter_mut().for_each(TableState::rename);
                plan.singles.iter_mut().for_each(|single| single.series = None);
            }
        }
    }

    fn make_plan(&self) -> Plan {
        let profiles = match &self.device.profiles {
            Some(profiles) => profiles.clone(),
            None => self.profiles.fitting(self.identity.object_id.as_ref()),
        };
        let mut plan = Plan::default();
        for profile in &profiles {
            plan.tables.extend((0..profile.tables.len()).map(|position| TableState::new(profile, position)));
            plan.singles.extend((0..profile.scalars.len()).map(|position| Single {
                profile: Arc::clone(profile),
                position,
                counter: Unfolded::default(),
                series: None,
                absent_until: 0,
            }));
            plan.neighbours.extend(&profile.neighbours);
        }
        plan.profiles = profiles;
        plan
    }

    async fn read_all(
        &mut self,
        context: &SourceContext,
        now: UtcMs,
        into: &mut Vec<SeriesSamples>,
    ) -> Result<(), AskError> {
        let Some(plan) = &mut self.plan else { return Ok(()) };
        let naming = Naming { context, now, labels: &self.labels, asset: &self.asset };
        read_singles(&mut self.session, plan, &naming, self.round, into).await?;
        for table in &mut plan.tables {
            table.poll(&mut self.session, &naming, self.round, into).await?;
        }
        if self.round.is_multiple_of(RARELY_EVERY) || self.infos.is_empty() {
            self.infos = read_infos(&mut self.session, plan, &naming).await?;
            self.neighbours.clear();
            for table in &plan.neighbours {
                self.neighbours.extend(neighbour::read(&mut self.session, *table).await?);
            }
            self.neighbours.sort();
            self.neighbours.dedup();
        }
        let info =
            |series: &Arc<Series>| SeriesSamples { series: Arc::clone(series), samples: vec![Sample::new(now, 1.0)] };
        into.extend(self.infos.iter().map(info));
        for one in &self.neighbours {
            let labels = one.labels();
            let pairs: Vec<(&str, &str)> = labels.iter().map(|(name, value)| (*name, value.as_str())).collect();
            into.push(naming.sample("snmp_neighbour_info", &pairs, 1.0));
        }
        into.push(naming.sample("snmp_neighbours", &[], self.neighbours.len() as f64));
        Ok(())
    }

    async fn deliver(
        &mut self,
        samples: Vec<SeriesSamples>,
        context: &SourceContext,
        cancel: &CancellationToken,
        now: UtcMs,
    ) {
        let gone = self.present.gone(&samples, now);
        for record in records::of_series(context, now, samples.into_iter().chain(gone)) {
            let items = record.body.items() as u64;
            let Body::Samples(series) = &record.body else { continue };
            let series = Arc::clone(series);
            match tokio::time::timeout(self.device.interval, deliver(context, record, cancel)).await {
                Ok(Delivered::Stored) => self.present.stored(&series),
                Ok(Delivered::Rejected) => {}
                Ok(Delivered::Ended) | Err(_) => context.stats.lost("intake busy", items),
            }
        }
    }
}

async fn read_singles(
    session: &mut Session,
    plan: &mut Plan,
    naming: &Naming<'_>,
    round: u64,
    into: &mut Vec<SeriesSamples>,
) -> Result<(), AskError> {
    let due = |single: &&mut Single| round >= single.absent_until;
    let oids: Vec<Oid> = plan.singles.iter_mut().filter(due).map(|single| single.scalar().oid.clone()).collect();
    let found: HashMap<Oid, Value> = session.get(&oids).await?;
    for single in plan.singles.iter_mut().filter(due) {
        let profile = Arc::clone(&single.profile);
        let scalar = &profile.scalars[single.position];
        let Some(value) = found.get(&scalar.oid) else {
            single.absent_until = round + RARELY_EVERY;
            continue;
        };
        let Some(number) = table::read(value, &scalar.metric, &mut single.counter, naming.context) else { continue };
        let series = single.series.get_or_insert_with(|| naming.series(&scalar.metric.metric, &[]));
        let samples = vec![Sample::new(naming.now, number * scalar.metric.scale)];
        into.push(SeriesSamples { series: Arc::clone(series), samples });
    }
    Ok(())
}

async fn read_infos(session: &mut Session, plan: &Plan, naming: &Naming<'_>) -> Result<Vec<Arc<Series>>, AskError> {
    let mut series = Vec::new();
    for info in plan.profiles.iter().flat_map(|profile| &profile.infos) {
        let oids: Vec<Oid> = info.labels.values().cloned().collect();
        let found = session.get(&oids).await?;
        let named = info.labels.iter().filter_map(|(name, oid)| Some((name, found.get(oid).and_then(value::label)?)));
        let labels: Vec<(Arc<str>, Arc<str>)> = named.map(|(name, text)| (Arc::clone(name), text.into())).collect();
        if !labels.is_empty() {
            series.push(naming.series(&info.metric, &labels));
        }
    }
    Ok(series)
}
