//! What is deployed names only what there is: metrics of docs/telemetry.md, settings of src/settings/key.rs. Reads text.

use std::collections::BTreeSet;

use serde_json::Value;

use super::read;

const RULES: &str = "helm/doorward/files/rules.yaml";
const DASHBOARD: &str = "helm/doorward/files/dashboard.json";
const SCHEMA: &str = "helm/doorward/values.schema.json";
/// Where variables of the environment are named.
const DEPLOYED: [&str; 5] = ["helm", "compose.yaml", "Dockerfile", "docs/deploy.md", "README.md"];
/// Settings that the chart gives values of its own to; those that are secrets are variables in its templates.
const OF_THE_CHART: [&str; 8] = [
    "server.listen",
    "admin.listen",
    "tls.cert_file",
    "tls.key_file",
    "tls.client_ca_file",
    "tls.client_auth",
    "auth.services_file",
    "catalogue.file",
];
/// Words of PromQL that are followed by labels, where there are brackets.
const GROUPING: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];
const OPERATORS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];

#[test]
fn alerts_and_dashboard_name_metrics_that_there_are() {
    let known = series(&text("docs/telemetry.md"));
    let dashboard: Value = serde_json::from_str(&text(DASHBOARD)).unwrap();
    let mut found = expressions(&text(RULES));
    queries(&dashboard, &mut found);
    assert!(known.len() > 20 && found.len() > 40, "{} series, {} expressions", known.len(), found.len());
    let unknown: Vec<_> = found.iter().flat_map(|expression| unknown(expression, &known)).collect();
    assert!(unknown.is_empty(), "not in the table of docs/telemetry.md:\n{}", unknown.join("\n"));
}

#[test]
fn what_is_deployed_sets_settings_that_there_are() {
    let mut known: BTreeSet<_> = settings().iter().map(|key| variable(key)).collect();
    known.extend(between(&text("src/cli/client.rs"), "env = \"", '"'));
    for file in read(&DEPLOYED) {
        let unknown: Vec<_> =
            variables(&file.text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{}: there are no {unknown:?} in src/settings/key.rs", file.path);
    }
}

#[test]
fn the_chart_takes_every_setting() {
    let there: BTreeSet<_> = settings().into_iter().collect();
    let templates = read(&["helm/doorward/templates"]);
    let secrets: BTreeSet<_> = templates.iter().flat_map(|file| variables(&file.text)).collect();
    let mut taken: BTreeSet<_> =
        there.iter().filter(|key| secrets.contains(&variable(key))).cloned().collect();
    taken.extend(OF_THE_CHART.map(str::to_owned));
    taken.extend(config(&serde_json::from_str(&text(SCHEMA)).unwrap()));
    let (more, less) = (taken.difference(&there), there.difference(&taken));
    let (more, less): (Vec<_>, Vec<_>) = (more.collect(), less.collect());
    assert!(more.is_empty(), "{more:?} are not in src/settings/key.rs");
    assert!(less.is_empty(), "{SCHEMA}: add {less:?} to the properties of `config`, or to the chart's own");
}

#[test]
fn the_chart_is_of_this_version() {
    let version = between(&text("Cargo.toml"), "[workspace.package]\nversion = \"", '"');
    assert_eq!(between(&text("helm/doorward/Chart.yaml"), "appVersion: \"", '"'), version);
}

fn text(path: &str) -> String {
    read(&[path]).pop().map(|file| file.text).unwrap_or_default()
}

/// What stands between a text and the next of a character, each time.
fn between(text: &str, start: &str, end: char) -> Vec<String> {
    text.split(start).skip(1).filter_map(|rest| rest.split(end).next()).map(str::to_owned).collect()
}

fn settings() -> Vec<String> {
    let rows = text("src/settings/key.rs");
    let rows = rows.split("Key::new(").flat_map(|part| part.split("Key::secret(")).skip(1);
    let names = rows.filter_map(|row| row.trim_start().strip_prefix('"')?.split('"').next());
    names.map(str::to_owned).collect()
}

/// `server.grace_ms` is `DOORWARD_SERVER__GRACE_MS`.
fn variable(key: &str) -> String {
    format!("DOORWARD_{}", key.replacen('.', "__", 1).to_uppercase())
}

fn variables(text: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let ends =
        text.split("DOORWARD_").skip(1).map(|rest| rest.split(|c| !is_part(c)).next().unwrap_or_default());
    // Nothing follows where the form is meant: `DOORWARD_…`.
    let names = ends.filter(|end| !end.is_empty() && *end != "SECTION__KEY");
    names.map(|end| format!("DOORWARD_{end}")).collect()
}

/// The settings that the schema of the chart's values has.
fn config(schema: &Value) -> Vec<String> {
    let properties =
        |value: &Value, of: &str| value.pointer(of).and_then(Value::as_object).cloned().unwrap_or_default();
    let sections = properties(schema, "/properties/config/properties");
    let keys = sections.iter().flat_map(|(section, of)| {
        properties(of, "/properties").into_iter().map(move |(key, _)| format!("{section}.{key}"))
    });
    keys.collect()
}

/// The names under which Prometheus knows the metrics of the table.
fn series(page: &str) -> BTreeSet<String> {
    let mut series = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1);
        let (names, kind) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        for name in names.split('`').skip(1).step_by(2) {
            if kind.trim() == "histogram" {
                series.extend(["_bucket", "_sum", "_count"].map(|suffix| format!("{name}{suffix}")));
            } else {
                series.insert(name.to_owned());
            }
        }
    }
    series
}

/// The `expr` of each rule; of a block, the lines that are further in.
fn expressions(rules: &str) -> Vec<String> {
    let depth = |line: &str| line.len() - line.trim_start().len();
    let lines: Vec<_> = rules.lines().collect();
    let found = lines.iter().enumerate().filter_map(|(at, line)| {
        let first = line.trim_start().strip_prefix("expr:")?.trim();
        let rest = lines.iter().skip(at + 1).take_while(|next| depth(next) > depth(line));
        let block = rest.copied().collect::<Vec<_>>().join("\n");
        Some(if first == "|" { block } else { first.to_owned() })
    });
    found.collect()
}

/// Each expression of panels and variables.
fn queries(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match (name.as_str(), value.as_str()) {
                    ("expr", Some(expression)) => found.push(expression.to_owned()),
                    ("query" | "definition", Some(query)) if query.starts_with("label_values(") => {
                        // What follows the last comma is a label.
                        let inside = query.trim_start_matches("label_values(");
                        found.push(inside.rsplit_once(',').unwrap_or((inside, "")).0.to_owned());
                    }
                    _ => queries(value, found),
                }
            }
        }
        Value::Array(values) => values.iter().for_each(|value| queries(value, found)),
        _ => {}
    }
}

fn unknown(expression: &str, known: &BTreeSet<String>) -> Vec<String> {
    let names = metrics(expression).into_iter().filter(|name| !known.contains(name));
    names.map(|name| format!("`{name}` in {}", expression.trim())).collect()
}

/// Every word of PromQL that is neither label, function, operator nor number.
fn metrics(expression: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(first) = rest.chars().next() {
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
        let (word, after) = rest.split_at(rest.find(|c| !is_word(c)).unwrap_or(rest.len()));
        let next = after.trim_start();
        rest = match first {
            '"' => past(rest, '"'),
            '{' => past(rest, '}'),
            '[' => past(rest, ']'),
            _ if word.is_empty() => &rest[first.len_utf8()..],
            _ if GROUPING.contains(&word) && next.starts_with('(') => past(next, ')'),
            _ if GROUPING.contains(&word) || OPERATORS.contains(&word) => after,
            _ if first.is_ascii_digit()
                || ["(", "by", "without"].iter().any(|start| next.starts_with(start)) =>
            {
                after
            }
            _ => {
                found.push(word.to_owned());
                after
            }
        };
    }
    found
}

/// What follows the next of a character after the first one. Values of labels have no brackets here.
fn past(text: &str, end: char) -> &str {
    text.get(1..).and_then(|inside| inside.split_once(end)).map_or("", |(_, after)| after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_told_from_labels_and_functions() {
        let expression = r#"histogram_quantile(0.99, sum by (le, job) (rate(a_bucket{x="b", y=~"c|d"}[5m]))) > 1.5e3
            and on (job) up_info or sum(x:y) / ignoring (t) group_left sum by(z) (q offset 1h) or vector(0)"#;
        assert_eq!(metrics(expression), ["a_bucket", "up_info", "x:y", "q"]);
    }

    #[test]
    fn a_metric_that_there_is_not_is_found() {
        let known = series(
            "| `a_seconds` | histogram | | |\n| `b_total`, `c` | counter | `kind` | |\n| `/livez` | 200 |",
        );
        for fine in ["rate(a_seconds_bucket[1m])", "a_seconds_sum / a_seconds_count", "b_total + c"] {
            assert!(unknown(fine, &known).is_empty(), "{fine}");
        }
        for wrong in ["a_seconds", "rate(b_totl{kind=\"x\"}[1m])", "b_total_bucket", "kind"] {
            assert_eq!(unknown(wrong, &known).len(), 1, "{wrong}");
        }
    }

    #[test]
    fn expressions_are_found_in_rules_and_dashboards() {
        let rules = "- alert: A\n  expr: |\n    a\n      > 1\n  for: 1m\n- alert: B\n  expr: b > 1\n";
        assert_eq!(expressions(rules), ["    a\n      > 1", "b > 1"]);
        let mut found = Vec::new();
        let dashboard =
            r#"{"panels":[{"targets":[{"expr":"c"}]}],"query":"label_values(d{x=\"1\"}, job)","x":"e"}"#;
        queries(&serde_json::from_str(dashboard).unwrap(), &mut found);
        assert_eq!(found, ["c", "d{x=\"1\"}"]);
    }

    #[test]
    fn variables_are_found_and_their_form_is_none() {
        let text = "DOORWARD_LOG__LEVEL=info ${DOORWARD_TOKEN}, (`DOORWARD_SECTION__KEY`), `DOORWARD_…`";
        assert_eq!(variables(text), ["DOORWARD_LOG__LEVEL", "DOORWARD_TOKEN"]);
        assert_eq!(variable("log.level"), "DOORWARD_LOG__LEVEL");
    }
}
