"""The service's own figures in Prometheus text."""

from collections.abc import Collection, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, ProcessCollector, generate_latest


class Metrics:
    """One registry per service, so that several can live in one test."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        self.bad_states = Counter(
            "suyuan_bad_state_messages", "State messages that are none", registry=self._registry
        )
        self.garbage_pause = Gauge(
            "suyuan_garbage_collection_pause_seconds",
            "Length of the last full collection",
            registry=self._registry,
        )
        self.refusals = Counter(
            "suyuan_broker_refusals",
            "What the broker refused since this process started, by kind",
            ["kind"],
            registry=self._registry,
        )
        self._field = Counter(
            "suyuan_field_scans",
            "Scans, and codes left out, since this process started, by what became of them",
            ["outcome"],
            registry=self._registry,
        )
        self._fills = Counter(
            "suyuan_cylinder_fill_records",
            "Records of filling places since this process started, by what they told",
            ["outcome"],
            registry=self._registry,
        )
        self._cylinder_events = Counter(
            "suyuan_cylinder_events",
            "Entries of the registry of cylinders since this process started, by what they became",
            ["outcome"],
            registry=self._registry,
        )
        self._reports = Counter(
            "suyuan_cylinder_reports",
            "Messages to the regulator since this process started, by what became of them",
            ["outcome"],
            registry=self._registry,
        )
        self._retention_rows = Counter(
            "suyuan_retention_rows",
            "Rows that the rules of data ended since this process started",
            ["rule", "action"],
            registry=self._registry,
        )
        self.retention_ended = self._gauge(
            "suyuan_retention_ended_timestamp_seconds",
            "When the last run of the retention job ended here, 0 when there was none",
        )
        self._ingest = self._gauge(
            "suyuan_ingest_total", "What the ingester met since its start, by outcome", "outcome"
        )
        self._heads = self._gauge(
            "suyuan_log_position", "Newest position of the log, by partition", "partition"
        )
        self._lags = self._gauge(
            "suyuan_consumer_lag_seconds", "Age of the oldest group not yet passed", "consumer"
        )
        self._feed = self._gauge("suyuan_feed_offset", "Newest offset of the feed")
        self._ready = self._gauge("suyuan_ready", "1 when subscribed on every owned shard")
        self._owned = self._gauge(
            "suyuan_shards_owned", "1 for each shard group that is settled here", "shards"
        )
        self._data_taken = self._gauge("suyuan_data_taken", "0 when stream data is refused")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self._registry)

    def count_field(self, outcome: str) -> None:
        """Count a scan that became an event or did not, or a code that was left out."""
        self._field.labels(outcome).inc()

    def count_fill(self, outcome: str) -> None:
        """Count a record of a filling place by its step, or a cylinder that nobody registered."""
        self._fills.labels(outcome).inc()

    def count_cylinder_event(self, outcome: str) -> None:
        """Count an entry of the registry that became an event or did not."""
        self._cylinder_events.labels(outcome).inc()

    def count_report(self, outcome: str) -> None:
        """Count a message that was made, sent, refused or put off."""
        self._reports.labels(outcome).inc()

    def count_retention(self, rule: str, action: str, rows: int) -> None:
        """Count rows that were deleted, pseudonymised or emptied by a rule of data."""
        self._retention_rows.labels(rule, action).inc(rows)

    def render(
        self,
        *,
        ingest: Mapping[str, int],
        heads: Mapping[str, int],
        lags_ms: Mapping[str, int],
        feed_offset: int,
        ready: bool,
        data_taken: bool,
        owned: Collection[str],
    ) -> bytes:
        """Write all figures as Prometheus text."""
        for outcome, count in ingest.items():
            self._ingest.labels(outcome).set(count)
        for partition, position in heads.items():
            self._heads.labels(partition).set(position)
        for consumer, lag_ms in lags_ms.items():
            self._lags.labels(consumer).set(lag_ms / 1000)
        self._feed.set(feed_offset)
        self._ready.set(ready)
        self._data_taken.set(data_taken)
        self._owned.clear()
        for group in owned:
            self._owned.labels(group).set(1)
        return generate_latest(self._registry)
