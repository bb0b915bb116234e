//! Plots for the documentation, as SVG.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "indexes and pixels of small charts"
)]

use plotters::coord::Shift;
use plotters::prelude::*;

use super::page::docs;

const SIZE: (u32, u32) = (800, 400);
const COLOURS: [RGBColor; 4] =
    [RGBColor(120, 120, 120), RGBColor(31, 119, 180), RGBColor(214, 96, 39), RGBColor(60, 150, 70)];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

fn area(file: &str, draw: impl FnOnce(&Area<'_>)) {
    let path = docs("performance").join(file).with_extension("svg");
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    area.fill(&WHITE).unwrap();
    draw(&area);
    area.present().unwrap();
}

fn chart<'a, 'b>(area: &'a Area<'b>, title: &str) -> ChartBuilder<'a, 'a, SVGBackend<'b>> {
    let mut chart = ChartBuilder::on(area);
    chart.caption(title, ("sans-serif", 18)).margin(10).x_label_area_size(40).y_label_area_size(60);
    chart
}

/// Lines over two logarithmic axes.
pub fn lines(file: &str, title: &str, (x, y): (&str, &str), lines: &[(&str, Vec<(f64, f64)>)]) {
    let points = || lines.iter().flat_map(|(_, points)| points);
    let range = |of: fn(&(f64, f64)) -> f64| {
        let least = points().map(of).fold(f64::INFINITY, f64::min);
        least * 0.8..points().map(of).fold(0.0, f64::max) * 1.25
    };
    area(file, |area| {
        let mut chart = chart(area, title)
            .build_cartesian_2d(range(|point| point.0).log_scale(), range(|point| point.1).log_scale())
            .unwrap();
        chart.configure_mesh().x_desc(x).y_desc(y).draw().unwrap();
        for ((name, points), colour) in lines.iter().zip(COLOURS) {
            chart
                .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))
                .unwrap()
                .label(*name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 20, y)], colour.stroke_width(2)));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK).draw().unwrap();
    });
}

/// One line over two axes that begin at zero.
pub fn over_time(file: &str, title: &str, (x, y): (&str, &str), points: &[(f64, f64)]) {
    let most = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).fold(0.0, f64::max);
    area(file, |area| {
        let mut chart = chart(area, title)
            .build_cartesian_2d(0.0..most(|point| point.0), 0.0..most(|point| point.1) * 1.25)
            .unwrap();
        chart.configure_mesh().x_desc(x).y_desc(y).draw().unwrap();
        chart.draw_series(LineSeries::new(points.iter().copied(), COLOURS[1].stroke_width(2))).unwrap();
    });
}

/// Groups of bars, one bar of each name in each group.
pub fn bars(file: &str, title: &str, y: &str, names: &[&str], groups: &[(String, Vec<f64>)]) {
    let most = groups.iter().flat_map(|(_, values)| values).copied().fold(0.0, f64::max);
    let width = 1.0 / (names.len() as f64 + 1.0);
    area(file, |area| {
        let mut chart = chart(area, title).build_cartesian_2d(0.0..groups.len() as f64, 0.0..most * 1.25).unwrap();
        let label = |x: &f64| groups.get(*x as usize).map(|group| group.0.clone()).unwrap_or_default();
        chart
            .configure_mesh()
            .disable_x_mesh()
            .y_desc(y)
            .x_labels(groups.len())
            .x_label_formatter(&label)
            .x_label_offset(SIZE.0.cast_signed() / groups.len() as i32 / 2 - 10)
            .draw()
            .unwrap();
        for (index, (name, colour)) in names.iter().zip(COLOURS).enumerate() {
            let bars = groups.iter().enumerate().map(|(group, (_, values))| {
                let left = group as f64 + width * (index as f64 + 0.5);
                Rectangle::new([(left, 0.0), (left + width * 0.9, values[index])], colour.filled())
            });
            chart
                .draw_series(bars)
                .unwrap()
                .label(*name)
                .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 15, y + 5)], colour.filled()));
        }
        chart.configure_series_labels().position(SeriesLabelPosition::UpperLeft).border_style(BLACK).draw().unwrap();
    });
}
