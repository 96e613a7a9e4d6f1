//! Moving what the node has kept itself.

use std::path::Path;
use std::sync::Arc;

use wk_connect::clickhouse::{ClickHouse, Migration};
use wk_lake::{Lake, LakeOptions, LogQuery, SearchLimits};
use wk_store::io::SystemIo;
use wk_types::Body;

use super::engine::{Engine, Fault, Proxy};
use super::{all, options, record, runtime};

fn lake(dir: &Path) -> Lake {
    Lake::open(Arc::new(SystemIo), &dir.join("logs"), LakeOptions::default()).unwrap().0
}

#[test]
#[ignore = "needs ClickHouse's engine, 900 MB: ./x peers"]
fn a_migration_goes_on_where_it_stopped_and_can_be_repeated() {
    let Some(engine) = Engine::shared("clickhouse: a_migration_goes_on") else { return };
    let (runtime, dir) = (runtime(), tempfile::tempdir().unwrap());
    let proxy = Proxy::before(engine.port);
    let store = ClickHouse::new(options(proxy.port, "migrated"), runtime.handle().clone()).unwrap();
    store.prepare().unwrap();
    {
        let lake = lake(dir.path());
        for seq in 1..=90 {
            let record = record(seq);
            let Body::Logs(logs) = &record.body else { continue };
            lake.append(record.seq, record.received, logs).unwrap();
            if seq % 30 == 0 {
                lake.flush().unwrap();
            }
        }
    }
    let migrate = |told: &mut dyn FnMut()| {
        let migration = Migration::open(Arc::new(SystemIo), dir.path(), lake(dir.path()), store.clone());
        migration.unwrap().run(&mut |_| told())
    };
    // The answer to the second file's rows is lost.
    let mut parts = 0;
    let failed = migrate(&mut || {
        parts += 1;
        if parts == 2 {
            proxy.set(Fault::AnswerLost);
        }
    });
    assert!(failed.is_err());
    proxy.set(Fault::None);
    let done = migrate(&mut || {}).unwrap();
    assert_eq!((done.files, done.files_done, done.rows_sent), (3, 3, 60));
    let again = migrate(&mut || {}).unwrap();
    assert_eq!((again.files, again.files_done, again.rows_sent), (3, 3, 0));

    let query = LogQuery { newest_first: false, limit: 10_000, ..LogQuery::default() };
    let ours = lake(dir.path()).search(&query, &SearchLimits::default()).unwrap().rows;
    assert_eq!(ours.len(), 90);
    assert_eq!(all(&store), ours);
}
