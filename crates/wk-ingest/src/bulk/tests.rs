use proptest::prelude::*;
use wk_types::Body;

use super::*;
use crate::testing::context;

fn read(body: &str) -> Result<(ParsedBulk, Vec<LogRecord>), BulkError> {
    let (context, _) = context("elasticsearch");
    let parsed = parse(&context, body.as_bytes(), Some("from-path"), None)?;
    let logs = parsed.records.iter().flat_map(|record| match &record.body {
        Body::Logs(logs) => logs.to_vec(),
        _ => Vec::new(),
    });
    let logs = logs.collect();
    Ok((parsed, logs))
}

/// As Filebeat's Elasticsearch output writes it.
#[test]
fn contract_a_bulk_body_of_filebeat_is_read() {
    let body = r#"{"create":{"_index":"filebeat-8.11.0"}}
{"@timestamp":"2026-06-01T11:59:58.123Z","message":"link down","host":{"name":"bridge-pc"},"service":{"name":"vsat"},"log":{"level":"error","file":{"path":"/var/log/vsat.log"}},"agent":{"type":"filebeat"}}
"#;
    let (parsed, logs) = read(body).unwrap();
    insta::assert_debug_snapshot!(logs[0], @r#"
    LogRecord {
        time: UtcMs(
            1780315198123,
        ),
        asset: AssetId(
            "bridge-pc",
        ),
        app: "vsat",
        severity: Major,
        message: "link down",
        attributes: {
            "agent.type": "filebeat",
            "index": "filebeat-8.11.0",
            "log.file.path": "/var/log/vsat.log",
            "log.level": "error",
        },
    }
    "#);
    let mut answer = parsed.answer(3);
    answer["items"][0]["create"]["_id"] = "…".into();
    insta::assert_json_snapshot!(answer, @r#"
    {
      "errors": false,
      "items": [
        {
          "create": {
            "_id": "…",
            "_index": "filebeat-8.11.0",
            "_primary_term": 1,
            "_seq_no": 0,
            "_shards": {
              "failed": 0,
              "successful": 1,
              "total": 1
            },
            "_version": 1,
            "result": "created",
            "status": 201
          }
        }
      ],
      "took": 3
    }
    "#);
}

/// As Fluent Bit's `es` output, Vector's `elasticsearch` sink and rsyslog's omelasticsearch write it.
#[test]
fn contract_bulk_bodies_of_fluent_bit_vector_and_rsyslog_are_read() {
    let fluent_bit = "{\"create\":{\"_index\":\"fluent-bit\",\"_type\":\"_doc\"}}\n{\"@timestamp\":\"2026-06-01T12:00:00.000Z\",\"log\":\"link up\"}\n";
    let vector = "{\"index\":{\"_index\":\"vector-2026.06.01\",\"_type\":\"_doc\"}}\n{\"message\":\"a\",\"host\":\"bridge-pc\",\"timestamp\":\"2026-06-01T12:00:00Z\"}\n";
    let rsyslog = "{\"index\":{\"_index\": \"system\",\"_type\":\"events\"}}\n{\"message\":\" up\",\"fromhost\":\"bridge-pc\",\"facility\":\"3\",\"priority\":\"6\",\"timereported\":\"2026-06-01T12:00:00+00:00\"}\n";
    for (body, index) in [(fluent_bit, "fluent-bit"), (vector, "vector-2026.06.01"), (rsyslog, "system")] {
        let (parsed, logs) = read(body).unwrap();
        assert_eq!((parsed.rejected(), logs.len(), &*logs[0].attributes["index"]), (0, 1, index));
    }
}

#[test]
fn each_document_has_a_status_of_its_own() {
    let body = "{\"index\":{\"_id\":\"1\"}}\n{\"message\":\"good\"}\n{\"create\":{}}\nnot json\n{\"delete\":{\"_id\":\"1\"}}\n{\"update\":{\"_id\":\"1\"}}\n{\"doc\":{}}\n{\"index\":null}\n{\"message\":\"also good\"}";
    let (parsed, logs) = read(body).unwrap();
    assert_eq!(logs.iter().map(|log| &*log.message).collect::<Vec<_>>(), ["good", "also good"]);
    let answer = parsed.answer(0);
    let statuses: Vec<_> = answer["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| {
            let (action, said) = item.as_object().unwrap().iter().next().unwrap();
            format!("{action} {} {}", said["status"], said["error"]["reason"].as_str().unwrap_or("-"))
        })
        .collect();
    insta::assert_debug_snapshot!(statuses, @r#"
    [
        "index 201 -",
        "create 400 not valid JSON",
        "delete 400 only index and create are taken: logs are neither changed nor deleted",
        "update 400 only index and create are taken: logs are neither changed nor deleted",
        "index 201 -",
    ]
    "#);
    assert_eq!((answer["errors"].clone(), &*logs[0].attributes["index"]), (true.into(), "from-path"));
}

#[test]
fn a_body_whose_lines_cannot_be_told_apart_is_refused() {
    insta::assert_snapshot!(read("{\"message\":\"x\"}\n").unwrap_err(), @r#"line 1 is not an action such as {"index":{}}: {"message":"x"}"#);
    insta::assert_snapshot!(read("{\"index\":{}}\n{}\n{\"index\":{}}\n").unwrap_err(), @"the body ends behind the action in line 3; a document has to follow");
    let many = "{\"index\":{}}\n{}\n".repeat(DOCUMENTS_MAX + 1);
    assert_eq!(read(&many).unwrap_err().status(), 413);
}

proptest! {
    #[test]
    fn no_body_makes_the_reader_panic(body: Vec<u8>, line in "[ -~]{0,60}") {
        let (context, _) = context("elasticsearch");
        let _ = parse(&context, &body, None, None);
        let _ = parse(&context, format!("{{\"index\":{{}}}}\n{line}\n").as_bytes(), None, None);
    }
}
