//! What this machine's metrics are.

use crate::metadata::Metadata;

/// Every metric of this machine with what it measures.
const HELP: [(&str, &str); 45] = [
    ("node_boot_time_seconds", "When the machine was started, in seconds since 1970."),
    ("node_cpu_seconds_total", "Time each processor core spent in each mode."),
    ("node_disk_io_time_seconds_total", "Time during which requests were in progress."),
    ("node_disk_read_bytes_total", "Bytes read."),
    ("node_disk_reads_completed_total", "Reads completed."),
    ("node_disk_writes_completed_total", "Writes completed."),
    ("node_disk_written_bytes_total", "Bytes written."),
    ("node_filesystem_avail_bytes", "Bytes free to users without privileges."),
    ("node_filesystem_files", "File nodes there are."),
    ("node_filesystem_files_free", "File nodes that are free."),
    ("node_filesystem_free_bytes", "Bytes that are free."),
    ("node_filesystem_readonly", "1 where the file system is read-only."),
    ("node_filesystem_size_bytes", "Size of the file system."),
    ("node_hwmon_temp_celsius", "Temperature of a sensor."),
    ("node_load1", "Load averaged over 1 minute."),
    ("node_load15", "Load averaged over 15 minutes."),
    ("node_load5", "Load averaged over 5 minutes."),
    ("node_memory_Buffers_bytes", "Memory in buffers."),
    ("node_memory_Cached_bytes", "Memory in the page cache."),
    ("node_memory_MemAvailable_bytes", "Memory that programs can get without swapping."),
    ("node_memory_MemFree_bytes", "Memory that is not used at all."),
    ("node_memory_MemTotal_bytes", "Memory there is."),
    ("node_memory_SwapFree_bytes", "Swap space that is free."),
    ("node_memory_SwapTotal_bytes", "Swap space there is."),
    ("node_network_receive_bytes_total", "Bytes received."),
    ("node_network_receive_drop_total", "Packets dropped on receipt."),
    ("node_network_receive_errs_total", "Errors on receipt."),
    ("node_network_receive_packets_total", "Packets received."),
    ("node_network_transmit_bytes_total", "Bytes sent."),
    ("node_network_transmit_drop_total", "Packets dropped on sending."),
    ("node_network_transmit_errs_total", "Errors on sending."),
    ("node_network_transmit_packets_total", "Packets sent."),
    ("node_network_up", "1 where the interface is up."),
    ("node_pressure_cpu_waiting_seconds_total", "Time in which something waited for a processor."),
    ("node_pressure_io_stalled_seconds_total", "Time in which nothing went on because of input and output."),
    ("node_pressure_io_waiting_seconds_total", "Time in which something waited for input and output."),
    ("node_pressure_memory_stalled_seconds_total", "Time in which nothing went on for want of memory."),
    ("node_pressure_memory_waiting_seconds_total", "Time in which something waited for memory."),
    ("node_systemd_unit_state", "1 for the state that a unit is in."),
    ("node_time_seconds", "The machine's clock, in seconds since 1970."),
    ("node_uname_info", "Names and version of the system, as labels."),
    ("namedprocess_namegroup_cpu_seconds_total", "Processor time of a service."),
    ("namedprocess_namegroup_memory_bytes", "Memory of a service."),
    ("namedprocess_namegroup_num_procs", "Processes of a service."),
    ("up", "1 where the source could be read."),
];

/// Every metric of this machine with what it is: names in `_total` are counters, all others gauges.
pub fn metadata() -> impl Iterator<Item = (&'static str, Metadata)> {
    HELP.into_iter().map(|(name, help)| {
        let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
        (name, Metadata::new(kind, help, ""))
    })
}
