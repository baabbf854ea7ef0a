//! How long a deployment still takes, from how long its stacks took before.
//!
//! What runs beside each other doesn't add up: what counts is the longest chain of stacks that wait for each other.

use std::time::Duration;

/// A stack, as far as time is concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// The stacks before it, by index; each stands before it.
    pub(crate) needs: Vec<usize>,
    /// How long it takes as a rule; nothing when nobody knows.
    pub(crate) expected: Option<Duration>,
    pub(crate) state: NodeState,
}

/// How far a stack is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NodeState {
    /// It has not begun.
    Waiting,
    /// It has run for so long.
    Running(Duration),
    /// It is as it should be.
    Done,
    /// It failed; what needs it isn't tried.
    Failed,
}

/// How long it still takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Left {
    pub(crate) time: Duration,
    /// Whether it takes longer, because of something that nobody knows the duration of.
    pub(crate) is_least: bool,
    /// Whether what still runs should have ended by now.
    pub(crate) is_overdue: bool,
}

/// How long the stacks still take, and what comes `after` them; nothing when too little is known to say anything.
pub(crate) fn left(nodes: &[Node], after: Option<Duration>) -> Option<Left> {
    let mut is_lost = vec![false; nodes.len()];
    // Until when each has ended, from now on.
    let mut ends = vec![Duration::ZERO; nodes.len()];
    let (mut is_least, mut is_overdue, mut knows, mut goes_on) = (false, false, false, false);
    for (at, node) in nodes.iter().enumerate() {
        let needs = || node.needs.iter().copied().filter(|needed| *needed < at);
        is_lost[at] = node.state == NodeState::Failed || needs().any(|needed| is_lost[needed]);
        if is_lost[at] || node.state == NodeState::Done {
            continue;
        }
        goes_on = true;
        let starts = needs().map(|needed| ends[needed]).max().unwrap_or_default();
        let takes = match (node.expected, node.state) {
            (None, _) => {
                is_least = true;
                Duration::ZERO
            }
            (Some(expected), NodeState::Running(ran)) => {
                knows = true;
                is_overdue |= ran > expected;
                expected.saturating_sub(ran)
            }
            (Some(expected), _) => {
                knows = true;
                expected
            }
        };
        ends[at] = starts + takes;
    }
    if !knows || !goes_on {
        return None;
    }
    let stacks = ends.into_iter().max().unwrap_or_default();
    Some(Left { time: stacks + after.unwrap_or_default(), is_least, is_overdue })
}

impl Left {
    /// For people: `about 3 min left`.
    pub(crate) fn says(&self) -> String {
        if self.time.is_zero() {
            // What runs takes longer than it did before, and nothing else is left.
            return if self.is_overdue { "longer than usual".to_owned() } else { "nearly done".to_owned() };
        }
        let about = if self.is_least { "more than" } else { "about" };
        format!("{about} {} left", rounded(self.time))
    }
}

/// An estimate isn't exact to the second, so it doesn't look so: `20 s`, `4 min`, `1 h 10 min`.
fn rounded(time: Duration) -> String {
    let secs = time.as_secs();
    match secs {
        0..10 => format!("{} s", secs.max(1)),
        10..90 => format!("{} s", secs.div_ceil(5) * 5),
        90..5_400 => format!("{} min", secs.div_ceil(60)),
        _ => {
            let tens = secs.div_ceil(600);
            format!("{} h {:02} min", tens / 6, tens % 6 * 10)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secs(secs: u64) -> Duration {
        Duration::from_secs(secs)
    }

    /// A row a stack: its needs, how long it takes, how far it is.
    fn check(rows: &[(&[usize], Option<u64>, NodeState)], after: u64, expected: &str) {
        let nodes: Vec<Node> = rows
            .iter()
            .map(|(needs, expected, state)| Node { needs: needs.to_vec(), expected: expected.map(secs), state: *state })
            .collect();
        let said = left(&nodes, Some(secs(after))).map(|left| left.says());
        assert_eq!(said.as_deref().unwrap_or("nothing"), expected, "{rows:?}");
    }

    #[test]
    fn the_longest_chain_counts_and_not_the_sum() {
        use NodeState::{Done, Failed, Running, Waiting};
        // Two chains beside each other: 10 + 50, and 40.
        check(&[(&[], Some(10), Waiting), (&[0], Some(50), Waiting), (&[], Some(40), Waiting)], 0, "about 60 s left");
        // What comes after all of them.
        check(&[(&[], Some(10), Waiting), (&[], Some(40), Waiting)], 20, "about 60 s left");
        // What is done takes no more, what runs takes the rest.
        check(&[(&[], Some(10), Done), (&[0], Some(50), Running(secs(20)))], 0, "about 30 s left");
        // A diamond: the slower side decides.
        check(
            &[
                (&[], Some(5), Running(secs(2))),
                (&[0], Some(300), Waiting),
                (&[0], Some(100), Waiting),
                (&[1, 2], Some(60), Waiting),
            ],
            0,
            "about 7 min left",
        );
        // What can't be tried any more takes no time.
        check(&[(&[], Some(10), Failed), (&[0], Some(500), Waiting), (&[], Some(40), Waiting)], 0, "about 40 s left");
        check(&[(&[], Some(10), Failed), (&[0], Some(500), Waiting)], 30, "nothing");
    }

    #[test]
    fn what_nobody_knows_makes_it_a_least_or_nothing() {
        use NodeState::{Done, Running, Waiting};
        check(&[(&[], None, Waiting), (&[], None, Running(secs(5)))], 10, "nothing");
        check(&[(&[], None, Waiting), (&[], Some(40), Waiting)], 0, "more than 40 s left");
        check(&[(&[], None, Done), (&[], Some(40), Waiting)], 0, "about 40 s left");
        check(&[(&[], Some(3), Done)], 10, "nothing");
    }

    #[test]
    fn what_takes_longer_than_usual_is_said() {
        use NodeState::{Running, Waiting};
        check(&[(&[], Some(10), Running(secs(11)))], 0, "longer than usual");
        check(&[(&[], Some(10), Running(secs(10)))], 0, "nearly done");
        check(&[(&[], Some(10), Running(secs(99))), (&[0], Some(30), Waiting)], 0, "about 30 s left");
    }

    #[test]
    fn estimates_look_like_estimates() {
        for (time, expected) in [
            (1, "1 s"),
            (9, "9 s"),
            (11, "15 s"),
            (89, "90 s"),
            (90, "2 min"),
            (185, "4 min"),
            (5_399, "90 min"),
            (5_400, "1 h 30 min"),
            (7_201, "2 h 10 min"),
        ] {
            assert_eq!(rounded(secs(time)), expected);
        }
    }
}
