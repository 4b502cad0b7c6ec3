//! Draws the ratios of a bench as an SVG picture: per view a panel, per program a group of bars, one for each engine,
//! on a logarithmic scale around the baseline. Left of the line is faster, or smaller.

use crate::bench::Results;
use crate::report::{VIEWS, View};
use crate::stats::Ratio;
use std::fmt::Write as _;

/// Colours that people with any colour vision can tell apart (Okabe and Ito's), then shades.
const COLOURS: [&str; 12] = [
    "#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7", "#8c8c8c", "#b8a500",
    "#404040", "#7f3c8d", "#11a579", "#a5672e",
];

const WIDTH: f64 = 900.0;
const LABELS: f64 = 140.0;
const RIGHT: f64 = 60.0;
const BAR: f64 = 9.0;
const GAP: f64 = 8.0;

/// The chart.
pub(crate) fn draw(results: &Results) -> String {
    let mut body = String::new();
    let mut y = 24.0;
    let baseline = &results.engines[results.baseline].name;
    let _ = writeln!(
        body,
        "<text x=\"16\" y=\"{y}\" class=\"title\">Ratios to {} (medians, 95 % intervals): left of 1 is faster or smaller</text>",
        escape(baseline)
    );
    y += 14.0;
    let compared: Vec<usize> = (0..results.engines.len())
        .filter(|&engine| engine != results.baseline)
        .collect();
    let mut x = 16.0;
    for &engine in &compared {
        let text = &results.engines[engine].name;
        let width = 30.0 + 7.0 * text.chars().count() as f64;
        if x + width > WIDTH {
            x = 16.0;
            y += 16.0;
        }
        let _ = writeln!(
            body,
            "<rect x=\"{x}\" y=\"{y}\" width=\"10\" height=\"10\" fill=\"{}\"/><text x=\"{}\" y=\"{}\">{}</text>",
            colour(engine),
            x + 14.0,
            y + 9.0,
            escape(text)
        );
        x += width;
    }
    y += 38.0;
    for view in VIEWS {
        panel(&mut body, &mut y, view, results);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" viewBox=\"0 0 {WIDTH} {y}\">\n\
         <style>text{{font:11px sans-serif;fill:#222}}.title{{font:bold 14px sans-serif}}.small{{font-size:9px}}\
         .end{{text-anchor:end}}.middle{{text-anchor:middle}}.grid{{stroke:#ddd}}.one{{stroke:#222}}\
         .whisker{{stroke:#222;stroke-width:1}}</style>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n{body}</svg>\n"
    )
}

fn colour(engine: usize) -> &'static str {
    COLOURS[engine % COLOURS.len()]
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
}

fn panel(body: &mut String, y: &mut f64, view: &View, results: &Results) {
    let engines: Vec<usize> = view
        .engines(results)
        .into_iter()
        .filter(|&e| e != results.baseline)
        .collect();
    let subjects = view.subjects(results);
    let mut rows: Vec<(String, Vec<(usize, Ratio)>)> = Vec::new();
    let mut row = |name: String, subjects: &[String]| {
        let bars: Vec<_> = engines
            .iter()
            .filter_map(|&e| Some((e, view.ratio(results, subjects, e).0?)))
            .collect();
        if !bars.is_empty() {
            rows.push((name, bars));
        }
    };
    for subject in subjects {
        row(subject.clone(), std::slice::from_ref(subject));
    }
    if subjects.len() > 1 {
        row("geometric mean".to_owned(), subjects);
    }
    let all = || {
        rows.iter()
            .flat_map(|(_, bars)| bars.iter().map(|(_, ratio)| ratio))
    };
    if rows.is_empty() {
        return;
    }
    // Whole powers of two that hold every bar, and the line of the baseline.
    let low = all()
        .map(|ratio| ratio.low)
        .fold(0.5, f64::min)
        .log2()
        .floor();
    let high = all()
        .map(|ratio| ratio.high)
        .fold(2.0, f64::max)
        .log2()
        .ceil();
    let scale =
        |value: f64| LABELS + (value.log2() - low) / (high - low) * (WIDTH - LABELS - RIGHT);

    let _ = writeln!(
        body,
        "<text x=\"16\" y=\"{}\" class=\"title\">{}</text>",
        *y,
        escape(view.title)
    );
    *y += 20.0;
    let height: f64 = rows
        .iter()
        .map(|(_, bars)| bars.len() as f64 * BAR + GAP)
        .sum();
    for power in low as i32..=high as i32 {
        let value = f64::from(power).exp2();
        let x = scale(value);
        let class = if power == 0 { "one" } else { "grid" };
        let tick = if power < 0 {
            format!("1/{}", 1.0 / value)
        } else {
            value.to_string()
        };
        let _ = writeln!(
            body,
            "<line x1=\"{x:.1}\" y1=\"{}\" x2=\"{x:.1}\" y2=\"{}\" class=\"{class}\"/>\
             <text x=\"{x:.1}\" y=\"{}\" class=\"small middle\">{tick}</text>",
            *y,
            *y + height,
            *y - 4.0
        );
    }
    for (name, bars) in &rows {
        let middle = *y + bars.len() as f64 * BAR / 2.0 + 4.0 + GAP / 2.0;
        let _ = writeln!(
            body,
            "<text x=\"{}\" y=\"{middle:.1}\" class=\"end\">{}</text>",
            LABELS - 8.0,
            escape(name)
        );
        *y += GAP / 2.0;
        for (engine, ratio) in bars {
            let (one, end) = (scale(1.0), scale(ratio.value));
            let centre = *y + BAR / 2.0;
            let _ = writeln!(
                body,
                "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{}\" fill=\"{}\"><title>{} {}: {:.3}</title></rect>\
                 <line x1=\"{:.1}\" y1=\"{centre:.1}\" x2=\"{:.1}\" y2=\"{centre:.1}\" class=\"whisker\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" class=\"small\">{:.2}</text>",
                one.min(end),
                *y,
                (one - end).abs().max(0.5),
                BAR - 1.0,
                colour(*engine),
                escape(name),
                escape(&results.engines[*engine].name),
                ratio.value,
                scale(ratio.low),
                scale(ratio.high),
                scale(ratio.high).max(one) + 4.0,
                *y + BAR - 1.5,
                ratio.value
            );
            *y += BAR;
        }
        *y += GAP / 2.0;
    }
    *y += 30.0;
}
