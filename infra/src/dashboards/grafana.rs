//! Grafana's dashboard model, as much of it as is used: rows of graphs with queries.
//!
//! The form is that of schema version 39 (Grafana 10.4 and later read it and upgrade it).

use serde_json::{Value as Json, json};

/// Columns of a dashboard.
const COLUMNS: usize = 24;

/// Graphs side by side.
const PER_ROW: usize = 2;

/// Height of a graph.
const HEIGHT: usize = 8;

/// A dashboard.
pub(super) struct Dashboard {
    /// What Grafana knows it by; stays the same over imports, so that an import replaces the dashboard.
    pub(super) uid: String,
    pub(super) title: String,
    pub(super) graphs: Vec<Graph>,
}

/// A graph with its lines.
pub(super) struct Graph {
    title: &'static str,
    unit: Unit,
    about: &'static str,
    lines: Vec<Line>,
}

/// What an axis counts.
#[derive(Clone, Copy)]
pub(super) enum Unit {
    Count,
    PerSecond,
    Seconds,
    Milliseconds,
    Bytes,
}

impl Unit {
    /// Grafana's name.
    fn id(self) -> &'static str {
        match self {
            Self::Count => "short",
            Self::PerSecond => "ops",
            Self::Seconds => "s",
            Self::Milliseconds => "ms",
            Self::Bytes => "bytes",
        }
    }
}

/// A query and how its results are named.
pub(super) enum Line {
    /// PromQL.
    Prometheus { query: String, legend: &'static str },
    /// A metric of CloudWatch; a dimension's value `*` stands for each that there is.
    CloudWatch {
        region: String,
        namespace: &'static str,
        metric: &'static str,
        dimensions: Vec<(&'static str, String)>,
        statistic: &'static str,
        legend: String,
    },
}

impl Graph {
    /// A graph; `about` says what to look for in it.
    pub(super) fn new(
        title: &'static str,
        unit: Unit,
        about: &'static str,
        lines: impl IntoIterator<Item = Line>,
    ) -> Self {
        Self { title, unit, about, lines: lines.into_iter().collect() }
    }
}

/// A line from Prometheus.
pub(super) fn prometheus(query: impl Into<String>, legend: &'static str) -> Line {
    Line::Prometheus { query: query.into(), legend }
}

impl Dashboard {
    /// The dashboard as Grafana imports it.
    pub(super) fn into_json(self) -> Json {
        let uses = |wanted: fn(&Line) -> bool| self.graphs.iter().flat_map(|graph| &graph.lines).any(wanted);
        let sources = [
            ("prometheus", "Prometheus", uses(|line| matches!(line, Line::Prometheus { .. }))),
            ("cloudwatch", "CloudWatch", uses(|line| matches!(line, Line::CloudWatch { .. }))),
        ];
        let variables: Vec<Json> = sources
            .into_iter()
            .filter(|(_, _, used)| *used)
            .map(|(kind, label, _)| json!({"name": kind, "label": label, "type": "datasource", "query": kind}))
            .collect();
        let panels = self.graphs.into_iter().enumerate().map(|(index, graph)| graph.into_json(index)).collect();
        let mut dashboard = json!({
            "uid": self.uid,
            "title": self.title,
            "tags": ["tandem"],
            "schemaVersion": 39,
            "editable": false,
            "refresh": "1m",
            "time": {"from": "now-3h", "to": "now"},
            "timezone": "utc",
            "templating": {"list": variables},
        });
        // `json!` would copy it.
        dashboard["panels"] = Json::Array(panels);
        dashboard
    }
}

impl Graph {
    fn into_json(self, index: usize) -> Json {
        let width = COLUMNS / PER_ROW;
        let targets: Vec<Json> =
            self.lines.into_iter().enumerate().map(|(index, line)| line.into_json(&reference(index))).collect();
        let source = targets.first().map_or(Json::Null, |target| target["datasource"].clone());
        let mut graph = json!({
            "id": index + 1,
            "type": "timeseries",
            "title": self.title,
            "description": self.about,
            "datasource": source,
            "gridPos": {
                "x": (index % PER_ROW) * width,
                "y": (index / PER_ROW) * HEIGHT,
                "w": width,
                "h": HEIGHT,
            },
            "fieldConfig": {"defaults": {"unit": self.unit.id(), "min": 0}, "overrides": []},
            "options": {
                "legend": {"displayMode": "list", "placement": "bottom", "showLegend": true},
                "tooltip": {"mode": "multi", "sort": "desc"},
            },
        });
        // `json!` would copy them.
        graph["targets"] = Json::Array(targets);
        graph
    }
}

impl Line {
    fn into_json(self, reference: &str) -> Json {
        match self {
            Self::Prometheus { query, legend } => json!({
                "refId": reference,
                "datasource": {"type": "prometheus", "uid": "${prometheus}"},
                "expr": query,
                "legendFormat": legend,
                "editorMode": "code",
                "range": true,
            }),
            Self::CloudWatch { region, namespace, metric, dimensions, statistic, legend } => {
                let dimensions: serde_json::Map<String, Json> =
                    dimensions.into_iter().map(|(name, value)| (name.to_owned(), json!([value]))).collect();
                json!({
                    "refId": reference,
                    "datasource": {"type": "cloudwatch", "uid": "${cloudwatch}"},
                    "queryMode": "Metrics",
                    "metricQueryType": 0,
                    "metricEditorMode": 0,
                    "region": region,
                    "namespace": namespace,
                    "metricName": metric,
                    "dimensions": dimensions,
                    "matchExact": true,
                    "statistic": statistic,
                    "period": "60",
                    "label": legend,
                    "id": "",
                    "expression": "",
                })
            }
        }
    }
}

/// `A` to `Z`, then `A1` and so on.
fn reference(index: usize) -> String {
    let letter = char::from(b'A' + u8::try_from(index % 26).expect("the rest of a division by 26 is a byte"));
    match index / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}
