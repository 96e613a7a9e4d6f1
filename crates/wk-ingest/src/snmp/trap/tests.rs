use async_snmp::message::CommunityMessage;
use async_snmp::pdu::{GenericTrap, NotificationPdu};
use async_snmp::{
    Auth, AuthProtocol, Client, MasterKeys, Oid, PrivProtocol, Retry, UsmConfig, Value, VarBind, Version,
};
use proptest::prelude::*;
use wk_types::Severity;

use super::*;
use crate::testing::{RecordingIntake, context};

fn engine() -> (tempfile::TempDir, Engine) {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::load(&folder.path().join("snmp.engine")).unwrap();
    (folder, engine)
}

fn settings(credentials: Vec<Credential>) -> TrapSettings {
    TrapSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        allow_networks: Vec::new(),
        credentials,
        addresses: HashMap::from([("10.0.0.7".parse().unwrap(), "ups-1".into())]),
        engines: HashMap::new(),
    }
}

struct Running {
    address: SocketAddr,
    intake: Arc<RecordingIntake>,
    context: SourceContext,
    cancel: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

async fn start(credentials: Vec<Credential>) -> Running {
    let (folder, engine) = engine();
    let listener = TrapListener::bind(settings(credentials), engine, Names::shipped().unwrap()).await.unwrap();
    let address = listener.local_address().unwrap();
    let (context, intake) = context("snmp-traps");
    let cancel = CancellationToken::new();
    let task = tokio::spawn(listener.run(context.clone(), cancel.clone()));
    Running { address, intake, context, cancel, task, _folder: folder }
}

impl Running {
    async fn end(self) -> crate::SourceSnapshot {
        self.cancel.cancel();
        self.task.await.unwrap();
        self.context.stats.snapshot()
    }

    async fn client(&self, auth: impl Into<Auth>) -> Client {
        Client::builder(self.address, auth)
            .request_timeout(std::time::Duration::from_secs(2))
            .retry(Retry::none())
            .connect()
            .await
            .unwrap()
    }
}

fn user(privacy: Option<PrivProtocol>) -> Credential {
    let keys = MasterKeys::new(AuthProtocol::Sha256, b"authentication").unwrap();
    let authenticated = UsmConfig::new("watch").with_master_keys(keys.clone()).unwrap();
    let user = match privacy {
        Some(privacy) => {
            UsmConfig::new("watch").with_master_keys(keys.with_privacy(privacy, b"encryption").unwrap()).unwrap()
        }
        None => authenticated.clone(),
    };
    Credential::User { user, authenticated }
}

fn link_down() -> (Oid, Vec<VarBind>) {
    let index = VarBind::new(Oid::parse("1.3.6.1.2.1.2.2.1.1.3").unwrap(), Value::Integer(3));
    (Oid::parse("1.3.6.1.6.3.1.1.5.3").unwrap(), vec![index])
}

fn community_trap(community: &str) -> Vec<u8> {
    let (name, values) = link_down();
    let trap = NotificationPdu::trap_v2(Version::V2c, 7, 4_200, &name, values).unwrap();
    CommunityMessage::v2c(community, trap.into_raw()).unwrap().encode().unwrap().to_vec()
}

#[tokio::test]
async fn an_inform_is_acknowledged_once_it_is_stored() {
    let running = start(Vec::new()).await;
    running.intake.hold();
    let client = running.client(Auth::v2c("public")).await;
    let (name, values) = link_down();
    let sent = tokio::spawn(async move { client.send_inform(&name, 4_200, values).await });
    running.intake.until(|intake| intake.offered() == 1).await;
    assert!(!sent.is_finished());
    running.intake.release();
    sent.await.unwrap().unwrap();
    let logs = running.intake.logs();
    assert_eq!((&*logs[0].message, logs[0].severity), ("linkDown ifIndex=3", Severity::Minor));
    let attribute = |name: &str| logs[0].attributes[name].to_string();
    assert_eq!(attribute("trap_oid"), "1.3.6.1.6.3.1.1.5.3");
    assert_eq!((attribute("value.ifIndex"), attribute("uptime_seconds")), ("3".to_owned(), "42.00".to_owned()));
    assert_eq!(running.end().await.accepted, 1);
}

#[tokio::test]
async fn an_inform_that_the_log_refuses_is_not_acknowledged_and_taken_when_it_comes_again() {
    let running = start(Vec::new()).await;
    running.intake.set_busy(true);
    let (name, values) = link_down();
    let client = Client::builder(running.address, Auth::v2c("public"))
        .request_timeout(std::time::Duration::from_millis(300))
        .retry(Retry::fixed(20, std::time::Duration::ZERO).unwrap())
        .connect()
        .await
        .unwrap();
    let sent = tokio::spawn(async move { client.send_inform(&name, 1, values).await });
    running.intake.until(|intake| intake.offered() >= 2).await;
    running.intake.set_busy(false);
    sent.await.unwrap().unwrap();
    assert_eq!(running.intake.logs().len(), 1);
    let counts = running.end().await;
    assert!(counts.flagged["inform not acknowledged: the intake log did not take it"].count >= 2);
    assert!(counts.lost.is_empty(), "{counts:?}");
}

#[tokio::test]
async fn an_encrypted_inform_finds_the_engine_and_is_acknowledged() {
    for privacy in [None, Some(PrivProtocol::Aes128), Some(PrivProtocol::Aes256Blumenthal)] {
        let credential = user(privacy);
        let running = start(vec![credential.clone()]).await;
        let client = running.client(credential.auth()).await;
        let (name, values) = link_down();
        client.send_inform(&name, 4_200, values).await.unwrap_or_else(|error| panic!("{privacy:?}: {error}"));
        let logs = running.intake.logs();
        assert_eq!((logs.len(), &*logs[0].attributes["user"]), (1, "watch"));
        assert!(logs[0].attributes["engine_id"].starts_with("0x80"));
        assert!(running.end().await.rejected.is_empty());
    }
}

#[tokio::test]
async fn a_user_with_a_wrong_password_is_rejected() {
    let running = start(vec![user(None)]).await;
    let wrong = UsmConfig::new("watch").auth(AuthProtocol::Sha256, b"something else").unwrap();
    let client = running.client(wrong).await;
    let (name, values) = link_down();
    assert!(client.send_inform(&name, 1, values).await.is_err());
    let counts = running.end().await;
    assert_eq!(counts.rejected["authentication failed"].count, 1, "{counts:?}");
}

#[tokio::test]
async fn communities_that_are_not_configured_are_rejected() {
    let running = start(vec![Credential::Community { is_v1: false, community: "ours".into() }]).await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in [community_trap("theirs"), community_trap("ours"), b"nonsense".to_vec()] {
        socket.send_to(&datagram, running.address).await.unwrap();
    }
    running.intake.until(|intake| intake.logs().len() == 1).await;
    let counts = loop {
        let counts = running.context.stats.snapshot();
        if counts.rejected.len() == 2 {
            break counts;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(counts.rejected["community is not configured"].count, 1);
    assert_eq!(counts.rejected["no SNMP message"].count, 1);
    running.end().await;
}

#[test]
fn an_snmpv1_trap_gets_its_v2_name_and_its_origin() {
    let (_folder, engine) = engine();
    let mut reader = Reader::new(&[], engine);
    let enterprise = Oid::parse("1.3.6.1.4.1.318").unwrap();
    let trap = async_snmp::pdu::TrapV1Pdu::from_raw_parts(
        enterprise,
        [10, 0, 0, 7],
        GenericTrap::EnterpriseSpecific,
        5,
        100,
        Vec::new(),
    );
    let datagram = CommunityMessage::v1_trap("public", trap).unwrap().encode().unwrap();
    let Ok(Received::Notice { notice, answer: None }) = reader.read(datagram) else { panic!("no trap") };
    let (context, _) = context("snmp-traps");
    let mut maker = record::Maker::new(&context, Names::shipped().unwrap());
    let log = maker.make(&notice, "10.0.0.254".parse().unwrap(), &settings(Vec::new()), context.now());
    assert_eq!((&*log.message, log.severity, log.asset.as_str()), ("upsOnBattery", Severity::Critical, "ups-1"));
}

#[test]
fn notifications_without_an_entry_take_the_nearest_or_the_default() {
    let names = Names::shipped().unwrap();
    let named = |oid: &str| names.notification(&Oid::parse(oid).unwrap());
    assert_eq!(named("1.3.6.1.6.3.1.1.5.4").name, "linkUp");
    assert_eq!(named("1.3.6.1.4.1.99.0.1").severity, Severity::Minor);
    assert_eq!(named("1.3.6.1.4.1.99.0.1").name, "1.3.6.1.4.1.99.0.1");
    assert_eq!(names.object(&Oid::parse("1.3.6.1.2.1.2.2.1.2.17").unwrap()), ("ifDescr".to_owned(), "17".to_owned()));
}

#[test]
fn the_engine_keeps_its_id_and_counts_its_starts() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("snmp.engine");
    let read = || std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect::<Vec<_>>();
    Engine::load(&path).unwrap();
    let first = read();
    Engine::load(&path).unwrap();
    let second = read();
    assert_eq!((&first[1], &*first[2], &*second[2]), (&second[1], "1", "2"));
    std::fs::write(&path, "rubbish").unwrap();
    let refused = Engine::load(&path).err().unwrap().to_string();
    assert!(refused.contains("move it away"), "{refused}");
}

proptest! {
    #[test]
    fn no_bytes_make_the_reader_fail(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let (_folder, engine) = engine();
        let _ = Reader::new(&[user(Some(PrivProtocol::Aes128))], engine).read(bytes.into());
    }

    #[test]
    fn no_changed_or_cut_trap_makes_the_reader_fail(at in any::<usize>(), byte in any::<u8>(), end in 0_usize..200) {
        let mut bytes = community_trap("public");
        let at = at % bytes.len();
        bytes[at] = byte;
        bytes.truncate(end);
        let (_folder, engine) = engine();
        let _ = Reader::new(&[], engine).read(bytes.into());
    }
}
