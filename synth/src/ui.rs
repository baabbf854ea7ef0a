//! All writing of the tool goes through one [`Ui`]: stdout is the answer, stderr is everything else.
//!
//! The `Ui` knows format, quietness, colour, width and whether a person watches; tests replace both streams by
//! buffers. It holds no wording of its own besides headings, and never decides what a command says.
//!
//! A closed stdout (`synth list | head -1`) is no error: what follows is dropped, see [`Ui::is_closed`].

mod live;
mod style;
#[cfg(test)]
mod tests;

use std::fmt;
use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

pub use live::Live;
pub use style::{ColorChoice, Style};

use live::LiveArea;

/// Width that is assumed when nobody can be asked: columns.
const DEFAULT_WIDTH: usize = 100;

/// Height that is assumed when nobody can be asked: lines.
const DEFAULT_HEIGHT: usize = 24;

/// The form of the answer on stdout.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Text for people.
    #[default]
    Human,
    /// One JSON document for programs.
    Json,
    /// Markdown for a comment in a review; only where [`crate::commands::Command::writes_markdown`] says so.
    Markdown,
}

/// How a [`Ui`] behaves, as said on the command line and in the environment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// The form of the answer.
    pub format: Format,
    /// Leave out status and progress; warnings and errors stay.
    pub quiet: bool,
    /// When to colour.
    pub color: ColorChoice,
}

/// Where the tool writes to.
///
/// Shared by reference between tasks and threads: each call writes whole lines.
pub struct Ui {
    streams: Mutex<Streams>,
    format: Format,
    quiet: bool,
    color_out: bool,
    color_err: bool,
    /// Someone watches stderr, so that lines may be redrawn.
    terminal: bool,
    /// Someone can be asked.
    interactive: bool,
    width: usize,
    height: usize,
    started: Instant,
}

struct Streams {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
    /// The reader of stdout has gone.
    closed: bool,
    live: LiveArea,
}

impl Default for Ui {
    fn default() -> Self {
        Self::new(Options::default())
    }
}

impl Ui {
    /// A `Ui` on the process's own stdout and stderr.
    pub fn new(options: Options) -> Self {
        let terminal = io::stderr().is_terminal();
        Self {
            streams: Mutex::new(Streams::new(Box::new(io::stdout()), Box::new(io::stderr()))),
            format: options.format,
            quiet: options.quiet,
            color_out: options.color.applies_to(io::stdout().is_terminal()),
            color_err: options.color.applies_to(terminal),
            terminal,
            interactive: terminal && io::stdin().is_terminal(),
            width: terminal_width(),
            height: terminal_height(),
            started: Instant::now(),
        }
    }

    /// A `Ui` that writes into buffers, for tests: no terminal, no colour, nobody to ask.
    pub fn buffered(format: Format) -> (Self, Buffers) {
        let buffers = Buffers::default();
        let ui = Self {
            streams: Mutex::new(Streams::new(Box::new(buffers.out.clone()), Box::new(buffers.err.clone()))),
            format,
            quiet: false,
            color_out: false,
            color_err: false,
            terminal: false,
            interactive: false,
            width: DEFAULT_WIDTH,
            height: DEFAULT_HEIGHT,
            started: Instant::now(),
        };
        (ui, buffers)
    }

    /// Writes a line (or several, with line breaks inside) of the answer to stdout.
    pub fn answer(&self, line: &str) {
        self.streams().write_answer(line);
    }

    /// Writes the answer as one JSON document to stdout.
    pub fn json(&self, document: &impl Serialize) {
        match serde_json::to_string_pretty(document) {
            Ok(text) => self.answer(&text),
            Err(error) => self.warning(&format!("the answer has no JSON form: {error}")),
        }
    }

    /// Writes one line of progress or status to stderr; nothing when quiet.
    pub fn status(&self, line: &str) {
        if !self.quiet {
            self.streams().write_message(line);
        }
    }

    /// Writes one line to stderr, also when quiet: what someone must have seen before they answer a question.
    pub fn notice(&self, line: &str) {
        self.streams().write_message(line);
    }

    /// Writes one line that belongs to `prefix` (a stack, a process) to stderr; nothing when quiet.
    pub fn prefixed(&self, prefix: &str, line: &str) {
        self.status(&format!("{} {line}", self.paint(Style::Dim, &format!("[{prefix}]"))));
    }

    /// Writes one line that belongs to `prefix` to stderr, also when quiet: something failed.
    pub fn alarm(&self, prefix: &str, line: &str) {
        self.notice(&format!("{} {line}", self.paint(Style::Dim, &format!("[{prefix}]"))));
    }

    /// Writes a warning to stderr.
    pub fn warning(&self, line: &str) {
        let heading = self.paint(Style::Changed, "warning:");
        self.streams().write_message(&format!("{heading} {line}"));
    }

    /// Writes the text of an error to stderr; its first word group up to `:` is the heading.
    pub fn error(&self, text: &str) {
        let painted = match text.split_once(':') {
            Some((heading, rest)) => format!("{}{rest}", self.paint(Style::Bad, &format!("{heading}:"))),
            None => text.to_owned(),
        };
        self.streams().write_message(&painted);
    }

    /// A block of rows that is redrawn in place on a terminal, and plain prefixed lines elsewhere.
    ///
    /// One block at a time: a second one takes over the rows of the first.
    pub fn live(&self) -> Live<'_> {
        Live::new(self)
    }

    /// Asks a yes-or-no question on the terminal; anything but `y` and `yes` is a no.
    ///
    /// `None` when nobody can be asked: stdin or stderr is no terminal.
    pub async fn confirm(&self, question: &str) -> Option<bool> {
        if !self.interactive {
            return None;
        }
        self.streams().write_prompt(&format!("{question} [y/N] "));
        // Beside the threads that wait for signals: whoever is asked may also press Ctrl-C.
        let read = tokio::task::spawn_blocking(|| {
            let mut reply = String::new();
            io::stdin().lock().read_line(&mut reply).map(|_| reply)
        });
        let reply = read.await.ok()?.ok()?;
        Some(matches!(reply.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
    }

    /// `text` in `style` for stderr, plain when stderr shows no colour.
    pub fn paint(&self, style: Style, text: &str) -> String {
        style.apply(text, self.color_err)
    }

    /// `text` in `style` for the answer, plain when stdout shows no colour or the answer is JSON.
    pub fn paint_answer(&self, style: Style, text: &str) -> String {
        style.apply(text, self.color_out && self.format == Format::Human)
    }

    /// The form of the answer.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the answer is one document for programs.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// Whether someone watches stderr on a terminal.
    pub fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Whether nothing but warnings and errors is asked for.
    pub fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// Whether the reader of stdout has gone; a command that only streams an answer should end then.
    pub fn is_closed(&self) -> bool {
        self.streams().closed
    }

    /// Columns of the terminal, or a fixed width when there is none.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Time since the tool was started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    fn streams(&self) -> MutexGuard<'_, Streams> {
        // A panic between two writes leaves nothing half-done that the next line could break on.
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Ui {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ui").field("format", &self.format).field("quiet", &self.quiet).finish_non_exhaustive()
    }
}

impl Streams {
    fn new(out: Box<dyn Write + Send>, err: Box<dyn Write + Send>) -> Self {
        Self { out, err, closed: false, live: LiveArea::default() }
    }

    fn write_answer(&mut self, text: &str) {
        if self.closed {
            return;
        }
        let erased = self.live.erase();
        self.write_err(&erased);
        let written = self.out.write_all(format!("{text}\n").as_bytes()).and_then(|()| self.out.flush());
        // Whatever the reason, nobody reads any more, and saying so on stderr helps nobody either.
        self.closed = written.is_err();
        let drawn = self.live.draw();
        self.write_err(&drawn);
    }

    fn write_message(&mut self, text: &str) {
        let block = format!("{}{text}\n{}", self.live.erase(), self.live.draw());
        self.write_err(&block);
    }

    fn write_prompt(&mut self, text: &str) {
        let block = format!("{}{text}", self.live.erase());
        self.write_err(&block);
    }

    /// Status that can't be written is dropped: the work itself goes on.
    fn write_err(&mut self, text: &str) {
        if !text.is_empty() {
            let _ = self.err.write_all(text.as_bytes()).and_then(|()| self.err.flush());
        }
    }
}

/// What a [`Ui::buffered`] has written.
#[derive(Clone, Debug, Default)]
pub struct Buffers {
    out: Buffer,
    err: Buffer,
}

impl Buffers {
    /// Everything written to stdout.
    pub fn out(&self) -> String {
        self.out.text()
    }

    /// Everything written to stderr.
    pub fn err(&self) -> String {
        self.err.text()
    }
}

#[derive(Clone, Debug, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Buffer {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A span of time for people: `340 ms`, `4.2 s`, `3 min 05 s`.
pub fn elapsed_text(elapsed: Duration) -> String {
    let millis = elapsed.as_millis();
    match millis {
        0..1_000 => format!("{millis} ms"),
        1_000..60_000 => format!("{}.{} s", millis / 1_000, millis % 1_000 / 100),
        _ => format!("{} min {:02} s", millis / 60_000, millis % 60_000 / 1_000),
    }
}

/// Rows of cells as lines, each column as wide as its widest cell; the first row is the heading.
///
/// Cells must be plain: escape sequences would count as width.
pub fn table(rows: &[Vec<String>]) -> Vec<String> {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    rows.iter()
        .map(|row| {
            let cells = row.iter().zip(&widths).map(|(cell, &width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        })
        .collect()
}

fn terminal_width() -> usize {
    let from_variable = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let from_terminal = || terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    from_variable.or_else(from_terminal).filter(|&width| width >= 20).unwrap_or(DEFAULT_WIDTH)
}

fn terminal_height() -> usize {
    let from_variable = std::env::var("LINES").ok().and_then(|lines| lines.parse().ok());
    let from_terminal = || terminal_size::terminal_size().map(|(_, height)| usize::from(height.0));
    from_variable.or_else(from_terminal).filter(|&height| height >= 5).unwrap_or(DEFAULT_HEIGHT)
}
