"""Sends a few log records or metrics with real clients: senders.py KIND ADDRESS [TOKEN]."""

import logging
import sys


def otlp(kind, address, token):
    from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
    from opentelemetry.sdk._logs.export import SimpleLogRecordProcessor
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource

    headers = {"authorization": f"Bearer {token}"} if token else {}
    if kind == "grpc":
        from grpc import Compression
        from opentelemetry.exporter.otlp.proto.grpc._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.grpc.metric_exporter import OTLPMetricExporter

        options = {"endpoint": f"http://{address}", "insecure": True, "compression": Compression.Gzip}
        logs, metrics = OTLPLogExporter(headers=headers, **options), OTLPMetricExporter(headers=headers, **options)
    else:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter

        url = f"http://{address}/v1"
        logs = OTLPLogExporter(f"{url}/logs", headers=headers, compression=Compression.Gzip)
        metrics = OTLPMetricExporter(f"{url}/metrics", headers=headers, compression=Compression.Gzip)
    resource = Resource({"service.name": f"vsat-{kind}", "service.instance.id": "1", "host.name": "localhost"})
    loggers = LoggerProvider(resource=resource, shutdown_on_exit=False)
    loggers.add_log_record_processor(SimpleLogRecordProcessor(logs))
    logger = logging.getLogger("modem")
    logger.addHandler(LoggingHandler(logger_provider=loggers))
    logger.warning("rain fade", extra={"margin_db": 2.5})
    meters = MeterProvider([PeriodicExportingMetricReader(metrics)], resource=resource, shutdown_on_exit=False)
    meter = meters.get_meter("modem")
    meter.create_counter("link.bytes", unit="By").add(1200, {"direction": "up"})
    wait = meter.create_histogram("link.wait", unit="s", explicit_bucket_boundaries_advisory=[0.5, 1.0])
    for seconds in (0.25, 0.75, 7.0):
        wait.record(seconds)
    sent = meters.force_flush()
    meters.shutdown()
    loggers.shutdown()
    return sent


def forward(address):
    from fluent import sender

    host, port = address.split(":")
    fluent = sender.FluentSender("vsat", host=host, port=int(port), nanosecond_precision=True)
    sent = all(fluent.emit("modem", {"message": f"line {number}", "level": "error"}) for number in range(100))
    fluent.close()
    return sent


def main():
    kind, address, *token = sys.argv[1:]
    sent = forward(address) if kind == "forward" else otlp(kind, address, token[0] if token else None)
    sys.exit(0 if sent else "not everything was sent")


main()
