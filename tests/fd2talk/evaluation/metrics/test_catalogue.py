"""The catalogue of metrics."""

from fd2talk.evaluation.metrics.catalogue import CATALOGUE
from fd2talk.evaluation.metrics.metric import FAMILIES, NEEDS
from shared.metrics.metric_networks import METRIC_NETWORKS


def test_every_metric_is_described():
    for key, metric in CATALOGUE.items():
        assert metric.direction in ("higher", "lower", "zero", "one", "real"), key
        assert metric.definition.endswith(".") and metric.source and metric.label, key
        assert metric.family in FAMILIES and set(metric.needs) <= NEEDS.keys(), key
        assert set(metric.networks) <= METRIC_NETWORKS.keys(), key
