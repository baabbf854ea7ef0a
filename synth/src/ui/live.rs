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
        let screen = ui.terminal.then_some((ui.width, ui.height));
        streams.live = LiveArea { started: Some(Instant::now()), screen, ..LiveArea::default() };
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
        drop(streams);
        if self.ui.terminal {
            self.redraw();
        } else {
            self.ui.prefixed(name, text);
        }
    }

    /// Sets what stands behind the elapsed time, below the rows; it shows when they are drawn the next time.
    ///
    /// Only on a terminal.
    pub fn footer(&self, text: &str) {
        text.clone_into(&mut self.ui.streams().live.footer);
    }

    /// Draws anew, which lets the time go on.
    ///
    /// Only on a terminal.
    pub fn redraw(&self) {
        if self.ui.quiet || !self.ui.terminal {
            return;
        }
        let mut streams = self.ui.streams();
        let block = format!("{}{}", streams.live.erase(), streams.live.draw());
        streams.write_err(&block);
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
    /// Columns and lines to draw in; none without a terminal, where rows are written as lines instead.
    screen: Option<(usize, usize)>,
    rows: Vec<Row>,
    footer: String,
    drawn: usize,
    changes: usize,
}

#[derive(Debug)]
struct Row {
    name: String,
    text: String,
    /// Which change of the area was the row's last.
    changed: usize,
}

impl LiveArea {
    /// Whether the row is new or its text changed.
    fn set(&mut self, name: &str, text: &str) -> bool {
        self.changes += 1;
        let changed = self.changes;
        match self.rows.iter_mut().find(|row| row.name == name) {
            Some(row) if row.text == text => false,
            Some(row) => {
                text.clone_into(&mut row.text);
                row.changed = changed;
                true
            }
            None => {
                self.rows.push(Row { name: name.to_owned(), text: text.to_owned(), changed });
                true
            }
        }
    }

    /// The rows that fit on the screen with a line for the others: those that changed last.
    fn fitting(&self, lines: usize) -> Vec<&Row> {
        // The elapsed time, and the line on which the cursor stands.
        let room = lines.saturating_sub(2);
        if self.rows.len() <= room {
            return self.rows.iter().collect();
        }
        let mut changes: Vec<usize> = self.rows.iter().map(|row| row.changed).collect();
        changes.sort_unstable_by(|left, right| right.cmp(left));
        let oldest = changes.get(room.saturating_sub(2)).copied().unwrap_or_default();
        self.rows.iter().filter(|row| row.changed >= oldest).collect()
    }

    /// What to write so that the rows disappear and the cursor stands where they began.
    pub(super) fn erase(&mut self) -> String {
        let drawn = std::mem::take(&mut self.drawn);
        if drawn == 0 { String::new() } else { format!("\x1b[{drawn}A\x1b[J") }
    }

    /// What to write so that the rows stand below everything else; nothing in the first moments.
    pub(super) fn draw(&mut self) -> String {
        let (Some(started), Some((width, height))) = (self.started, self.screen) else {
            return String::new();
        };
        if started.elapsed() < QUIET_MOMENT || self.rows.is_empty() {
            return String::new();
        }
        let names = self.rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
        let rows = self.fitting(height);
        let mut lines: Vec<String> =
            rows.iter().map(|Row { name, text, .. }| format!("{name:<names$}  {text}")).collect();
        let hidden = self.rows.len() - rows.len();
        lines.extend((hidden > 0).then(|| format!("and {hidden} more")));
        let footer = if self.footer.is_empty() { String::new() } else { format!(", {}", self.footer) };
        lines.push(format!("elapsed {}{footer}", super::elapsed_text(started.elapsed())));
        self.drawn = lines.len();
        lines.iter().map(|line| format!("{}\n", clipped(line, width))).collect()
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
