//! Least privilege, proven by running: each statement of each role that something runs as is taken away in turn, and
//! then something must be refused because of it. So is each of its actions and resources, where it has several.
//! What nobody misses is one right too many.
//!
//! For each there is a stimulus that makes the program use it. With the statement back, the same stimulus must have its
//! full effect and meet no refusal, so that a refusal is known to come from what was taken away.
//! Only the home region's roles are tried: the other region's come from the same template.

mod effect;
mod roles;
mod stimulus;

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value as Json;

use crate::checkout::Checkout;
use crate::{eventually, say};
use effect::Scene;
use roles::{Part, Role, Statement};
use stimulus::Stimulus;

/// The longest wait for a refusal, and for the effect afterwards.
const DEADLINE_SECS: u64 = 20;

/// What IAM refused.
struct Refusal {
    action: String,
    resource: String,
    time: f64,
}

pub(crate) fn every_statement_is_missed(checkout: &Checkout) {
    let mut scene = Scene::of(checkout);
    let mut findings = Vec::new();
    let (mut statements, mut parts) = (0, 0);
    for role in roles::that_run(checkout) {
        for statement in &role.statements {
            statements += 1;
            for part in statement.parts() {
                parts += 1;
                if let Err(problem) = try_without(&mut scene, &role, statement, &part) {
                    let finding = format!("{} `{}`, {part} ({}): {problem}", role.name, statement.sid, statement.why);
                    say(&format!("  FINDING {finding}"));
                    findings.push(finding);
                }
            }
        }
    }
    scene.end();
    assert!(findings.is_empty(), "of {parts} parts of {statements} statements:\n{}", findings.join("\n"));
    say(&format!("  {statements} statements with {parts} parts, and each is missed"));
}

/// Takes a part of the statement away and gives it back.
fn try_without(scene: &mut Scene<'_>, role: &Role, statement: &Statement, part: &Part) -> Result<(), String> {
    let stimulus = Stimulus::of(&role.program, &statement.sid, part.action())
        .ok_or("there is no stimulus for it: add one to the table of the test, or remove who asks for it")?;
    let policy = role.policy(scene.home());
    let background = policy.without(stimulus.also_without());
    let prepared = stimulus.prepare(scene);

    background.cut(&statement.sid, part).put(scene.home());
    let (started, since) = (Instant::now(), now());
    let mut effect = stimulus.apply(scene);
    let mut refusal = None;
    eventually(DEADLINE_SECS, || {
        refusal = refusals(scene, role, statement, part, since).into_iter().next();
        refusal.is_some()
    });
    let noticed = started.elapsed();

    background.put(scene.home());
    let since = now();
    if !stimulus.lasts() {
        effect = stimulus.apply(scene);
    }
    let complete = eventually(effect.patience(), || scene.has(&mut effect));
    let logged = statement.sid != "Log" || eventually(DEADLINE_SECS, || scene.has_logged(&role.program, since));
    let refused = refusals(scene, role, statement, &Part::Whole, since);
    policy.put(scene.home());
    prepared.undo(scene);

    let Refusal { action, resource, .. } =
        refusal.ok_or_else(|| format!("nobody missed it within {DEADLINE_SECS} s of {stimulus:?}"))?;
    if let Some(Refusal { action, resource, .. }) = refused.first() {
        return Err(format!("{action} on {resource} is refused with it, too"));
    }
    if !complete {
        return Err(format!("{stimulus:?} has no effect even with it"));
    }
    if !logged {
        return Err("there is no log even with it".to_owned());
    }
    say(&format!(
        "  {} without {} ({part}): {action} on {resource} refused after {:.1} s, well again {:.1} s later",
        role.program,
        statement.sid,
        noticed.as_secs_f64(),
        (started.elapsed() - noticed).as_secs_f64()
    ));
    Ok(())
}

/// What the role was refused since then, of what the part allows.
fn refusals(scene: &Scene<'_>, role: &Role, statement: &Statement, part: &Part, since: f64) -> Vec<Refusal> {
    let denied = scene.home().local("/_local/denied");
    let text = |entry: &Json, field: &str| entry[field].as_str().expect("text").to_owned();
    denied
        .as_array()
        .expect("a list")
        .iter()
        .filter(|entry| entry["principal"] == role.arn.as_str())
        .map(|entry| Refusal {
            action: text(entry, "action"),
            resource: text(entry, "resource"),
            time: entry["time"].as_f64().expect("a time"),
        })
        .filter(|refusal| refusal.time >= since && statement.allows(part, &refusal.action, &refusal.resource))
        .collect()
}

/// Seconds since 1970, as the emulator counts them.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs_f64()
}
