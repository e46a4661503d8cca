//! Plots, as SVG: bars and lines. It knows numbers and names.

use std::fmt::Write as _;

const WIDTH: f64 = 760.0;
/// Of a bar, with the space under it.
const STEP: f64 = 30.0;
const TOP: f64 = 44.0;
/// Where bars begin, and the left end of lines.
const LEFT: f64 = 190.0;
const EDGE: f64 = 60.0;
const HEIGHT: f64 = 320.0;
const COLOURS: [&str; 3] = ["#2060a0", "#d88020", "#707070"];
/// From which ratio of the highest to the lowest value on the scale is a logarithm.
const WIDE: f64 = 20.0;

/// A bar.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
}

/// A line; its first point stands over the first label.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) values: Vec<f64>,
}

/// Bars below each other.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.value).fold(f64::MIN_POSITIVE, f64::max);
    let mut svg = begun(title, TOP + STEP * bars.len() as f64 + 10.0);
    for (at, bar) in bars.iter().enumerate() {
        let (y, length) = (TOP + STEP * at as f64, bar.value / most * (WIDTH - LEFT - EDGE));
        text(&mut svg, (LEFT - 8.0, y + 15.0), "end", &bar.name);
        let colour = COLOURS[0];
        let _ = writeln!(
            svg,
            r#"<rect x="{LEFT}" y="{y}" width="{length:.1}" height="20" rx="2" fill="{colour}"/>"#
        );
        text(&mut svg, (LEFT + length + 6.0, y + 15.0), "start", &format!("{:.2}", bar.value));
    }
    svg + "</svg>\n"
}

/// Lines over labels.
pub(super) fn lines(title: &str, labels: &[String], lines: &[Line]) -> String {
    let values = || lines.iter().flat_map(|line| line.values.iter().copied()).filter(|value| *value > 0.0);
    let scale = Scale::of(values());
    let mut svg = begun(title, HEIGHT);
    let x =
        |at: usize| EDGE + at as f64 * (WIDTH - 2.0 * EDGE) / (labels.len().saturating_sub(1)).max(1) as f64;
    for mark in scale.marks() {
        let y = scale.y(mark);
        let _ = writeln!(
            svg,
            r##"<line x1="{EDGE}" x2="{}" y1="{y:.1}" y2="{y:.1}" stroke="#dddddd"/>"##,
            WIDTH - EDGE
        );
        text(&mut svg, (EDGE - 6.0, y + 4.0), "end", &format!("{mark}"));
    }
    for (at, label) in labels.iter().enumerate() {
        text(&mut svg, (x(at), HEIGHT - 36.0), "middle", label);
    }
    for (number, line) in lines.iter().enumerate() {
        let colour = COLOURS.get(number % COLOURS.len()).copied().unwrap_or("black");
        let points = line.values.iter().enumerate();
        let points: Vec<_> =
            points.map(|(at, value)| format!("{:.1},{:.1}", x(at), scale.y(*value))).collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
        let (across, down) = (EDGE + 220.0 * number as f64, HEIGHT - 18.0);
        let _ = writeln!(svg, r#"<rect x="{across}" y="{down}" width="12" height="12" fill="{colour}"/>"#);
        text(&mut svg, (across + 18.0, down + 11.0), "start", &line.name);
    }
    svg + "</svg>\n"
}

/// From values to places, upwards.
#[derive(Clone, Copy)]
struct Scale {
    from: f64,
    until: f64,
    is_log: bool,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let (least, most) = values
            .fold((f64::MAX, f64::MIN_POSITIVE), |(least, most), value| (least.min(value), most.max(value)));
        if most / least > WIDE {
            Self { from: floored(least), until: floored(most) * 10.0, is_log: true }
        } else {
            let step = floored(most);
            Self { from: 0.0, until: (most / step).ceil() * step, is_log: false }
        }
    }

    fn marks(self) -> Vec<f64> {
        if self.is_log {
            let marks = std::iter::successors(Some(self.from), |mark| Some(mark * 10.0));
            return marks.take_while(|mark| *mark <= self.until * 1.001).take(12).collect();
        }
        (0..=4).map(|at| self.until * f64::from(at) / 4.0).collect()
    }

    fn y(self, value: f64) -> f64 {
        let part = if self.is_log {
            (value / self.from).log10() / (self.until / self.from).log10()
        } else {
            (value - self.from) / (self.until - self.from)
        };
        HEIGHT - 56.0 - part.clamp(0.0, 1.0) * (HEIGHT - 56.0 - TOP)
    }
}

/// The power of ten below.
fn floored(value: f64) -> f64 {
    10_f64.powf(value.log10().floor())
}

fn begun(title: &str, height: f64) -> String {
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>\n"
    );
    let _ =
        writeln!(svg, r#"<text x="16" y="26" font-size="15" font-weight="bold">{}</text>"#, escaped(title));
    svg
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, text: &str) {
    let _ = writeln!(svg, r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{}</text>"#, escaped(text));
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_bar_fills_the_plot_and_the_others_their_part() {
        let two = [("a<b", 2.0), ("c", 1.0)].map(|(name, value)| Bar { name: name.to_owned(), value });
        let svg = bars("title", &two);
        assert!(svg.contains("width=\"510.0\"") && svg.contains("width=\"255.0\""), "{svg}");
        assert!(svg.contains("a&lt;b") && !svg.contains("a<b"), "{svg}");
    }

    #[test]
    fn a_scale_ends_above_the_values_and_is_a_logarithm_where_they_lie_far_apart() {
        let near = Scale::of([3.0, 12.0].into_iter());
        assert_eq!((near.until, near.is_log), (20.0, false));
        assert_eq!(near.marks(), [0.0, 5.0, 10.0, 15.0, 20.0]);
        let far = Scale::of([66.0, 2_500.0].into_iter());
        assert_eq!((far.from, far.until, far.is_log), (10.0, 10_000.0, true));
        assert_eq!(far.marks().len(), 4);
        assert!(far.y(66.0) > far.y(2_500.0), "upwards");
    }

    #[test]
    fn every_line_has_its_points_and_its_name() {
        let one = Line { name: "check".to_owned(), values: vec![1.0, 2.0] };
        let svg = lines("title", &["p50".to_owned(), "p99".to_owned()], &[one]);
        assert!(
            svg.contains("polyline") && svg.contains(">check</text>") && svg.contains(">p99</text>"),
            "{svg}"
        );
    }
}
