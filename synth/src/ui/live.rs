//! Rows at the bottom of the terminal that are redrawn in place while work goes on.
//!
//! Nothing is drawn in the first moments, so quick commands stay quiet. Without a terminal each change of a row
//! becomes one plain line with the row's name before it, so that logs can be read and searched.

use std::time::{Duration, Instant};

use super::Ui;

/// Work shorter than this shows no progress on a terminal.
const QUIET_MOMENT: Duration = Duration::from_millis(250);

/// A block of named rows; it disappears from the terminal when dropped.
///
/// What should stay readable is to be said with [`Ui::status`] afterwards.
#[derive(Debug)]
pub struct Live<'ui> {
    ui: &'ui Ui,
}

impl<'ui> Live<'ui> {
    pub(super) fn new(ui: &'ui Ui) -> Self {
        let mut streams = ui.streams();
        let erased = streams.live.erase();
        streams.write_err(&erased);
        let width = ui.terminal.then_some(ui.width);
        streams.live = LiveArea { started: Some(Instant::now()), width, ..LiveArea::default() };
        drop(streams);
        Self { ui }
    }

    /// Sets the text of the row `name`; rows stand in the order in which they first appeared.
    ///
    /// An unchanged text writes nothing.
    pub fn row(&self, name: &str, text: &str) {
        if self.ui.quiet {
            return;
        }
        let mut streams = self.ui.streams();
        if !streams.live.set(name, text) {
            return;
        }
        if self.ui.terminal {
            let block = format!("{}{}", streams.live.erase(), streams.live.draw());
            streams.write_err(&block);
        } else {
            drop(streams);
            self.ui.prefixed(name, text);
        }
    }
}

impl Drop for Live<'_> {
    fn drop(&mut self) {
        let mut streams = self.ui.streams();
        let erased = streams.live.erase();
        streams.write_err(&erased);
        streams.live = LiveArea::default();
    }
}

/// The rows and how many of them are on the screen now.
#[derive(Debug, Default)]
pub(super) struct LiveArea {
    started: Option<Instant>,
    /// Columns to draw in; none without a terminal, where rows are written as lines instead.
    width: Option<usize>,
    rows: Vec<(String, String)>,
    drawn: usize,
}

impl LiveArea {
    /// Whether the row is new or its text changed.
    fn set(&mut self, name: &str, text: &str) -> bool {
        match self.rows.iter_mut().find(|(known, _)| known == name) {
            Some((_, known)) if known == text => false,
            Some((_, known)) => {
                text.clone_into(known);
                true
            }
            None => {
                self.rows.push((name.to_owned(), text.to_owned()));
                true
            }
        }
    }

    /// What to write so that the rows disappear and the cursor stands where they began.
    pub(super) fn erase(&mut self) -> String {
        let drawn = std::mem::take(&mut self.drawn);
        if drawn == 0 { String::new() } else { format!("\x1b[{drawn}A\x1b[J") }
    }

    /// What to write so that the rows stand below everything else; nothing in the first moments.
    pub(super) fn draw(&mut self) -> String {
        let (Some(started), Some(width)) = (self.started, self.width) else {
            return String::new();
        };
        if started.elapsed() < QUIET_MOMENT || self.rows.is_empty() {
            return String::new();
        }
        let names = self.rows.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        let mut block = String::new();
        for (name, text) in &self.rows {
            block.push_str(&clipped(&format!("{name:<names$}  {text}"), width));
            block.push('\n');
        }
        block.push_str(&clipped(&format!("elapsed {}", super::elapsed_text(started.elapsed())), width));
        block.push('\n');
        self.drawn = self.rows.len() + 1;
        block
    }
}

/// `line` cut to `width` columns, so that one row never takes two; escape sequences don't count.
fn clipped(line: &str, width: usize) -> String {
    let mut clipped = String::with_capacity(line.len());
    let mut columns = 0;
    let mut escape = false;
    for character in line.chars() {
        escape |= character == '\x1b';
        if !escape {
            columns += 1;
        }
        if columns < width || escape {
            clipped.push(character);
        }
        escape &= character != 'm';
    }
    clipped
}
