use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::sleep;

use super::*;

fn on_terminal() -> (Ui, Buffers) {
    let (mut ui, buffers) = Ui::buffered(Format::Human);
    ui.terminal = true;
    ui.width = 40;
    (ui, buffers)
}

#[test]
fn answer_goes_to_stdout_and_everything_else_to_stderr() {
    let (ui, buffers) = Ui::buffered(Format::Human);
    ui.answer("one\ntwo");
    ui.status("working");
    ui.prefixed("data@us-west-2", "CREATE_COMPLETE");
    ui.warning("odd");
    ui.error("usage error: wrong");
    assert_eq!(buffers.out(), "one\ntwo\n");
    assert_eq!(buffers.err(), "working\n[data@us-west-2] CREATE_COMPLETE\nwarning: odd\nusage error: wrong\n");
}

#[test]
fn quiet_leaves_out_status_but_no_warning_and_nothing_that_is_asked_about() {
    let (mut ui, buffers) = Ui::buffered(Format::Human);
    ui.quiet = true;
    ui.status("working");
    ui.live().row("stack", "working");
    ui.warning("odd");
    ui.notice("removes `Table`");
    ui.alarm("data", "Table CREATE_FAILED");
    assert_eq!(buffers.err(), "warning: odd\nremoves `Table`\n[data] Table CREATE_FAILED\n");
}

#[test]
fn json_is_one_document() {
    let (ui, buffers) = Ui::buffered(Format::Json);
    ui.json(&serde_json::json!({"stacks": [1]}));
    let document: serde_json::Value = serde_json::from_str(&buffers.out()).expect("one document");
    assert_eq!(document["stacks"][0], 1);
}

#[test]
fn rows_without_a_terminal_are_lines_and_said_once() {
    let (ui, buffers) = Ui::buffered(Format::Human);
    let live = ui.live();
    live.row("data", "CREATE_IN_PROGRESS");
    live.row("data", "CREATE_IN_PROGRESS");
    live.row("data", "CREATE_COMPLETE");
    sleep(Duration::from_millis(260));
    ui.status("between");
    drop(live);
    assert_eq!(buffers.err(), "[data] CREATE_IN_PROGRESS\n[data] CREATE_COMPLETE\nbetween\n");
}

#[test]
fn a_quick_command_draws_nothing_on_a_terminal() {
    let (ui, buffers) = on_terminal();
    ui.live().row("data", "working");
    assert_eq!(buffers.err(), "");
}

#[test]
fn rows_stay_below_other_lines_and_disappear_at_the_end() {
    let (ui, buffers) = on_terminal();
    let live = ui.live();
    live.row("data", "waiting");
    sleep(Duration::from_millis(260));
    live.row("data", "working");
    ui.status("an event");
    drop(live);
    let text = buffers.err();
    let parts: Vec<&str> = text.split("\x1b[2A\x1b[J").collect();
    assert_eq!(parts.len(), 3, "{text:?}");
    assert!(parts[0].starts_with("data  working\nelapsed "), "{text:?}");
    assert!(parts[1].starts_with("an event\ndata  working\nelapsed "), "{text:?}");
    assert_eq!(parts[2], "");
}

#[test]
fn what_does_not_fit_on_the_screen_is_counted_and_the_time_goes_on() {
    let (mut ui, buffers) = on_terminal();
    ui.height = 6;
    let live = ui.live();
    for row in ["a", "b", "c", "d", "e", "f"] {
        live.row(row, "waiting");
    }
    live.row("b", "working");
    sleep(Duration::from_millis(260));
    live.footer("2 of 6 stacks");
    live.redraw();
    live.footer("3 of 6 stacks");
    live.redraw();
    let text = buffers.err();
    let (first, second) = text.split_once("\x1b[5A\x1b[J").expect("it is drawn anew");
    for (table, count) in [(first, 2), (second, 3)] {
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines[..4], ["b  working", "e  waiting", "f  waiting", "and 3 more"], "{text:?}");
        assert!(lines[4].starts_with("elapsed ") && lines[4].ends_with(&format!(", {count} of 6 stacks")), "{text:?}");
        assert_eq!(lines.len(), 5);
    }
}

#[test]
fn a_log_has_no_footer() {
    let (ui, buffers) = Ui::buffered(Format::Human);
    let live = ui.live();
    live.footer("2 of 6 stacks");
    live.redraw();
    assert_eq!(buffers.err(), "");
}

#[test]
fn a_long_row_is_clipped_to_one_line() {
    let (ui, buffers) = on_terminal();
    let live = ui.live();
    live.row("data", "waiting");
    sleep(Duration::from_millis(260));
    live.row("data", &"x".repeat(200));
    let text = buffers.err();
    assert_eq!(text.lines().next().map(|line| line.chars().count()), Some(39), "{text:?}");
}

#[test]
fn a_closed_stdout_is_remembered_and_not_written_to_again() {
    struct Closed(Arc<AtomicUsize>);
    impl Write for Closed {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            self.0.fetch_add(1, Ordering::Relaxed);
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let attempts = Arc::new(AtomicUsize::new(0));
    let (ui, _) = Ui::buffered(Format::Human);
    ui.streams().out = Box::new(Closed(Arc::clone(&attempts)));
    ui.answer("one");
    ui.answer("two");
    assert!(ui.is_closed());
    assert_eq!(attempts.load(Ordering::Relaxed), 1);
}

#[test]
fn colour_is_per_stream_and_never_in_json() {
    let (mut ui, _) = Ui::buffered(Format::Json);
    ui.color_out = true;
    ui.color_err = true;
    assert_eq!(ui.paint_answer(Style::Good, "ok"), "ok");
    assert_eq!(ui.paint(Style::Good, "ok"), "\x1b[32mok\x1b[0m");
    ui.format = Format::Human;
    assert_eq!(ui.paint_answer(Style::Good, "ok"), "\x1b[32mok\x1b[0m");
}

#[tokio::test]
async fn nobody_is_asked_without_a_terminal() {
    let (ui, _) = Ui::buffered(Format::Human);
    assert_eq!(ui.confirm("go on?").await, None);
}

#[test]
fn spans_of_time_read_well() {
    let cases = [(0, "0 ms"), (999, "999 ms"), (1_000, "1.0 s"), (59_999, "59.9 s"), (185_000, "3 min 05 s")];
    for (millis, expected) in cases {
        assert_eq!(elapsed_text(Duration::from_millis(millis)), expected);
    }
}

#[test]
fn columns_are_as_wide_as_their_widest_cell() {
    let rows = [["stack", "resources"], ["events", "7"]].map(|row| row.map(str::to_owned).to_vec());
    assert_eq!(table(&rows), ["stack   resources", "events  7"]);
}
