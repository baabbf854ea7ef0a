//! For a comment in a review on GitHub: the dangerous things first, the rest folded, and never too long.
//!
//! What doesn't fit is left out in rising order of danger and counted where it stood. Replacements, removals, refused
//! transitions and broadened access are the last to go.

use super::About;
use super::escape::html;
use super::human::{fate, short, total};
use super::item::{Danger, Item, Topic, count, items, sign};
use crate::group::{Group, groups, regions};
use crate::model::{Class, Diff, code};
use crate::summary::ChangeClass;

/// How to write a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkdownOptions {
    /// Names the comment in its first line, so that it can be found and written anew. Letters, digits and `-`; other
    /// characters are left out.
    pub marker: String,
    /// What the diff is of, in words, for the heading: a review may have several comments that differ in nothing else.
    pub subject: Option<String>,
    /// What it is compared with, in words: `what is deployed`.
    pub against: Option<String>,
    /// The most bytes. GitHub takes 65,536 characters; 60,000 bytes leave room for a caller's own words.
    pub cap: usize,
    /// Where everything is, in words: ``the artifact `diff` of this run``. Nothing: no pointer.
    pub artifact: Option<String>,
    /// What the diff tells of.
    pub about: About,
}

impl Default for MarkdownOptions {
    fn default() -> Self {
        Self {
            marker: "synth-diff".to_owned(),
            subject: None,
            against: None,
            cap: 60_000,
            artifact: None,
            about: About::Change,
        }
    }
}

/// The diff as GitHub-flavoured Markdown, of no more than `options.cap` bytes.
pub fn markdown(diff: &Diff, options: &MarkdownOptions) -> String {
    let page = Page::of(diff, options);
    let mut kept = vec![true; page.entries.len()];
    let full = page.write(&kept, true);
    if full.len() <= options.cap {
        return full;
    }
    for danger in page.dangers() {
        let of_danger: Vec<usize> = (0..kept.len()).filter(|at| page.entries[*at].danger == danger).collect();
        of_danger.iter().for_each(|at| kept[*at] = false);
        if page.write(&kept, true).len() <= options.cap {
            return page.fill(&kept, &of_danger, options.cap, true);
        }
        // With everything folded left out, the stacks' own lines may be what doesn't fit.
        if danger < Danger::Grave && !page.entries.iter().zip(&kept).any(|(entry, kept)| *kept && entry.is_folded) {
            let short = page.write(&kept, false);
            if short.len() <= options.cap {
                return page.fill(&kept, &of_danger, options.cap, false);
            }
        }
        if danger == Danger::Grave && page.write(&kept, false).len() <= options.cap {
            return page.fill(&kept, &of_danger, options.cap, false);
        }
    }
    let short = page.shortest();
    let end = (0..=options.cap.min(short.len())).rev().find(|end| short.is_char_boundary(*end));
    short[..end.unwrap_or_default()].to_owned()
}

/// The parts of a comment.
struct Page {
    head: String,
    pointer: String,
    sections: Vec<Section>,
    entries: Vec<Entry>,
}

/// A heading with entries below it.
struct Section {
    title: String,
    noun: &'static str,
    /// A stack's part, which is folded.
    is_folded: bool,
}

/// A line that can be left out, or one that belongs to the line before it.
struct Entry {
    section: usize,
    danger: Danger,
    is_folded: bool,
    /// The entry that it belongs to; without that it isn't shown either.
    above: Option<usize>,
    text: String,
}

/// Sections of what is grave: title, what one of it is, topic.
const GRAVE: [(&str, &str, Topic); 3] = [
    ("Access that broadens", "broadened line", Topic::Access),
    ("Replaced or removed", "destructive line", Topic::Resource),
    ("Unsafe transitions", "unsafe transition", Topic::Transition),
];

impl Page {
    fn of(diff: &Diff, options: &MarkdownOptions) -> Self {
        let marker: String =
            options.marker.chars().filter(|char| char.is_ascii_alphanumeric() || *char == '-').collect();
        // Two dashes would end the comment.
        let marker = marker.split('-').filter(|part| !part.is_empty()).collect::<Vec<_>>().join("-");
        let classes = diff.summary().classes;
        let (nothing, something) = match options.about {
            About::Change => ("no infrastructure change", "infrastructure changes"),
            About::Drift => ("no drift", "what is live is not what was deployed"),
        };
        let title = match classes.last() {
            None => nothing.to_owned(),
            Some(ChangeClass::Changes) => something.to_owned(),
            Some(ChangeClass::Destructive) => format!("{something}, something is replaced or removed"),
            Some(ChangeClass::Broadened) if classes.contains(&ChangeClass::Destructive) => {
                format!("{something}, access broadens and something is replaced or removed")
            }
            Some(ChangeClass::Broadened) => format!("{something}, access broadens"),
        };
        let title = match &options.subject {
            Some(subject) => format!("{}: {title}", html(subject)),
            None => format!("{}{}", title[..1].to_uppercase(), &title[1..]),
        };
        let against = options.against.as_ref().map(|against| format!("Compared with {against}: ")).unwrap_or_default();
        let total = html(&format!("{against}{}", total(diff, options.about)));
        let head = format!("<!-- {marker} -->\n### {title}\n\n{total}\n");
        let pointer = options.artifact.as_deref().map(|place| format!(": see {}", html(place))).unwrap_or_default();
        let mut page = Self { head, pointer, sections: Vec::new(), entries: Vec::new() };
        let all_regions = regions(diff);
        let groups: Vec<(Group, Vec<Item>)> = groups(diff)
            .into_iter()
            .map(|group| {
                let items = items(&group);
                (group, items)
            })
            .collect();
        for (title, noun, topic) in GRAVE {
            page.grave(title, noun, topic, &groups, all_regions);
        }
        for (group, items) in &groups {
            page.stack(group, items, all_regions);
        }
        page
    }

    fn grave(
        &mut self,
        title: &str,
        noun: &'static str,
        topic: Topic,
        groups: &[(Group, Vec<Item>)],
        all_regions: usize,
    ) {
        let section = self.sections.len();
        let mut number = 0;
        for (group, items) in groups {
            let place = place(group, all_regions);
            for item in items.iter().filter(|item| item.topic == topic && item.danger == Danger::Grave) {
                number += 1;
                self.push(section, item, &place, false);
            }
        }
        if number > 0 {
            let title = format!("#### {title} ({number})\n\n");
            self.sections.push(Section { title, noun, is_folded: false });
        }
    }

    fn stack(&mut self, group: &Group, items: &[Item], all_regions: usize) {
        let rest: Vec<&Item> = items.iter().filter(|item| item.danger != Danger::Grave).collect();
        if rest.is_empty() {
            return;
        }
        let section = self.sections.len();
        for item in &rest {
            self.push(section, item, "", true);
        }
        let mut counts: Vec<String> = Vec::new();
        let mut classes: Vec<Class> = rest.iter().filter_map(|item| item.class).collect();
        classes.sort_unstable_by(|left, right| right.cmp(left));
        for class in classes.chunk_by(|left, right| left == right) {
            counts.push(format!("{} {}", class.len(), short(class[0])));
        }
        let others = rest.iter().filter(|item| item.topic != Topic::Resource).count();
        if others > 0 {
            counts.push(count(others, "other line"));
        }
        let (place, fate) = (place(group, all_regions), fate(group.stack.fate));
        let summary = html(&format!("{place}{fate}: {}", counts.join(", ")));
        let title = format!("<details><summary>{summary}</summary>\n\n");
        self.sections.push(Section { title, noun: "line", is_folded: true });
    }

    fn push(&mut self, section: usize, item: &Item, place: &str, is_folded: bool) {
        let sign = item.class.map(|class| format!("{} ", code(sign(class)))).unwrap_or_default();
        let place = if place.is_empty() { String::new() } else { format!("{place}: ") };
        let text = format!("- {}\n", html(&format!("{place}{sign}{}", item.text)));
        let above = self.entries.len();
        self.entries.push(Entry { section, danger: item.danger, is_folded, above: None, text });
        let danger = if item.danger == Danger::Grave { Danger::GraveDetail } else { Danger::Detail };
        for detail in &item.details {
            let text = format!("  - {}\n", html(detail));
            self.entries.push(Entry { section, danger, is_folded, above: Some(above), text });
        }
    }

    /// The dangers that there are, the least first.
    fn dangers(&self) -> Vec<Danger> {
        let mut dangers: Vec<Danger> = self.entries.iter().map(|entry| entry.danger).collect();
        dangers.sort_unstable();
        dangers.dedup();
        dangers
    }

    /// As many of the candidates as fit, in their order.
    fn fill(&self, kept: &[bool], candidates: &[usize], cap: usize, with_stacks: bool) -> String {
        let with = |number: usize| {
            let mut kept = kept.to_vec();
            candidates[..number].iter().for_each(|at| kept[*at] = true);
            self.write(&kept, with_stacks)
        };
        let (mut fits, mut too_many) = (0, candidates.len() + 1);
        while too_many - fits > 1 {
            let middle = usize::midpoint(fits, too_many);
            if with(middle).len() <= cap {
                fits = middle;
            } else {
                too_many = middle;
            }
        }
        with(fits)
    }

    fn write(&self, kept: &[bool], with_stacks: bool) -> String {
        let mut text = self.head.clone();
        // Lines of their own, and details of lines.
        let mut left_out = vec![(0_usize, 0_usize); self.sections.len()];
        let mut bodies = vec![String::new(); self.sections.len()];
        for (at, entry) in self.entries.iter().enumerate() {
            if kept[at] && entry.above.is_none_or(|above| kept[above]) {
                bodies[entry.section].push_str(&entry.text);
            } else {
                let (lines, details) = &mut left_out[entry.section];
                *(if entry.above.is_none() { lines } else { details }) += 1;
            }
        }
        let mut hidden_stacks = 0;
        for ((section, body), left_out) in self.sections.iter().zip(bodies).zip(left_out) {
            if section.is_folded && !with_stacks {
                hidden_stacks += 1;
                continue;
            }
            text.push('\n');
            text.push_str(&section.title);
            text.push_str(&body);
            let (lines, details) = left_out;
            let missing: Vec<String> = [(lines, section.noun), (details, "detail")]
                .into_iter()
                .filter(|(number, _)| *number > 0)
                .map(|(number, noun)| count(number, noun))
                .collect();
            if !missing.is_empty() {
                text.push_str(&format!("- {} left out{}\n", missing.join(" and "), self.pointer));
            }
            if section.is_folded {
                text.push_str("\n</details>\n");
            }
        }
        if hidden_stacks > 0 {
            text.push_str(&format!("\nDetails of {} left out{}\n", count(hidden_stacks, "stack"), self.pointer));
        }
        text
    }

    /// Only how many of what.
    fn shortest(&self) -> String {
        let mut text = self.head.clone();
        for (section, of) in self.sections.iter().enumerate().filter(|(_, of)| !of.is_folded) {
            let number = self.entries.iter().filter(|entry| entry.section == section && entry.above.is_none()).count();
            text.push_str(&format!("\n{} left out{}\n", count(number, of.noun), self.pointer));
        }
        text
    }
}

/// The name of a stack, or of alike stacks, with their regions. All of it is code, where GitHub sees no mention.
fn place(group: &Group, all_regions: usize) -> String {
    let place = group.place(all_regions);
    let is_listed = place == group.regions.join(", ");
    let regions: Vec<String> = group.regions.iter().map(|region| code(region)).collect();
    format!("{} ({})", code(&group.name), if is_listed { regions.join(", ") } else { place })
}
