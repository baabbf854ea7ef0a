//! Runs work along a dependency graph: what is independent runs at the same time, a failure stops only what
//! depends on it, and everything else finishes.

use futures::stream::{FuturesUnordered, StreamExt as _};

/// How the work of one node ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended<T, E> {
    /// It succeeded.
    Done(T),
    /// It failed.
    Failed(E),
    /// It was never started, because this node (by index) did not succeed.
    Skipped {
        /// The node that failed or was itself skipped.
        because_of: usize,
    },
}

/// Runs `work` for each node, in an order that respects `dependencies`, at most `limit` at a time of each lane.
///
/// `dependencies[node]` holds the indices of the nodes that must succeed before `node` starts, `lanes[node]` what it takes a
/// place in, such as its region. The answer holds one entry per node.
///
/// # Panics
/// The dependencies hold a cycle or an unknown index: callers build them from a checked system.
pub(crate) async fn run<L, T, E, W, F>(
    dependencies: &[Vec<usize>],
    lanes: &[L],
    limit: usize,
    work: W,
) -> Vec<Ended<T, E>>
where
    L: PartialEq,
    W: Fn(usize) -> F,
    F: Future<Output = Result<T, E>>,
{
    let mut ended: Vec<Option<Ended<T, E>>> = dependencies.iter().map(|_| None).collect();
    let mut started = vec![false; dependencies.len()];
    let mut running = FuturesUnordered::new();
    loop {
        while skip_one(dependencies, &started, &mut ended) {}
        for node in 0..dependencies.len() {
            let ready = dependencies[node].iter().all(|&needed| matches!(ended[needed], Some(Ended::Done(_))));
            let is_running = |other: &usize| started[*other] && ended[*other].is_none() && lanes[*other] == lanes[node];
            if ready && !started[node] && (0..started.len()).filter(is_running).count() < limit {
                started[node] = true;
                let outcome = work(node);
                running.push(async move { (node, outcome.await) });
            }
        }
        let Some((node, outcome)) = running.next().await else { break };
        ended[node] = Some(match outcome {
            Ok(value) => Ended::Done(value),
            Err(error) => Ended::Failed(error),
        });
    }
    ended.into_iter().map(|ended| ended.expect("the dependencies of a checked system hold no cycle")).collect()
}

/// Marks one node whose dependency did not succeed; says whether there was one.
fn skip_one<T, E>(dependencies: &[Vec<usize>], started: &[bool], ended: &mut [Option<Ended<T, E>>]) -> bool {
    let lost = |node: usize| {
        let failed = |&needed: &usize| matches!(ended[needed], Some(Ended::Failed(_) | Ended::Skipped { .. }));
        dependencies[node].iter().copied().find(|needed| failed(needed))
    };
    let next = (0..dependencies.len())
        .filter(|&node| !started[node] && ended[node].is_none())
        .find_map(|node| Some((node, lost(node)?)));
    match next {
        Some((node, because_of)) => {
            ended[node] = Some(Ended::Skipped { because_of });
            true
        }
        None => false,
    }
}

/// The graph with every edge turned round, for taking things down.
pub(crate) fn reversed(dependencies: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut reversed = vec![Vec::new(); dependencies.len()];
    for (node, needed) in dependencies.iter().enumerate() {
        for &needed in needed {
            reversed[needed].push(node);
        }
    }
    reversed
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};

    use super::*;

    /// delivery(0, 1) ← keys(2) ← data(3) ← events(4, 5): as in the real system.
    fn diamond() -> Vec<Vec<usize>> {
        vec![vec![], vec![], vec![0], vec![2], vec![0, 3], vec![1, 3]]
    }

    async fn check(failing: Option<usize>) -> (Vec<Ended<(), usize>>, Vec<usize>) {
        let order = RefCell::new(Vec::new());
        let ended = run(&diamond(), &[(); 6], 8, |node| {
            let order = &order;
            async move {
                tokio::task::yield_now().await;
                order.borrow_mut().push(node);
                if Some(node) == failing { Err(node) } else { Ok(()) }
            }
        })
        .await;
        (ended, order.into_inner())
    }

    #[tokio::test]
    async fn every_node_runs_after_what_it_depends_on() {
        let (ended, order) = check(None).await;
        assert!(ended.iter().all(|ended| *ended == Ended::Done(())));
        let position = |node| order.iter().position(|&ran| ran == node);
        for (node, needed) in diamond().into_iter().enumerate() {
            assert!(needed.into_iter().all(|needed| position(needed) < position(node)), "{node} in {order:?}");
        }
    }

    #[tokio::test]
    async fn a_failure_stops_only_what_depends_on_it() {
        for failing in 0..6 {
            let (ended, mut ran) = check(Some(failing)).await;
            let expected: Vec<usize> = match failing {
                0 => vec![0, 1],
                1 => vec![0, 1, 2, 3, 4],
                2 => vec![0, 1, 2],
                3 => vec![0, 1, 2, 3],
                _ => vec![0, 1, 2, 3, 4, 5],
            };
            ran.sort_unstable();
            assert_eq!(ran, expected, "{failing} fails");
            assert_eq!(ended[failing], Ended::Failed(failing));
            for (node, ended) in ended.iter().enumerate() {
                assert_eq!(matches!(ended, Ended::Skipped { .. }), !expected.contains(&node), "{node}");
            }
        }
    }

    #[tokio::test]
    async fn independent_nodes_run_together_up_to_the_limit_of_each_lane() {
        let (one, two) = (["west"; 4], ["west", "east", "west", "west"]);
        for (lanes, limit, expected) in [(one, 1, 1), (one, 2, 2), (one, 9, 4), (two, 1, 2), (two, 2, 3), (two, 9, 4)] {
            let (now, most) = (Cell::new(0), Cell::new(0));
            run::<_, (), (), _, _>(&vec![Vec::new(); 4], &lanes, limit, |_| {
                let (now, most) = (&now, &most);
                async move {
                    now.set(now.get() + 1);
                    most.set(most.get().max(now.get()));
                    for _ in 0..8 {
                        tokio::task::yield_now().await;
                    }
                    now.set(now.get() - 1);
                    Ok(())
                }
            })
            .await;
            assert_eq!(most.get(), expected, "{lanes:?}, {limit}");
        }
    }

    #[test]
    fn reversing_turns_every_edge() {
        assert_eq!(reversed(&diamond()), vec![vec![2, 4], vec![5], vec![3], vec![4, 5], vec![], vec![]]);
    }
}
