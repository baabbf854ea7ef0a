// Looks at pages in a browser: pages.mjs <playwright-core> <github-markdown-css> <folder>
//
// The folder has timelines of deployments (`timeline-*.html`, each with its record as JSON beside it) and comments for
// reviews (`comment-*.md`), which `cmark-gfm`, GitHub's own converter, turns into HTML. Each is shown wide and narrow,
// light and dark. With TANDEM_SCREENSHOTS=<folder> pictures are kept there, for people to look at.
import { execFileSync } from "node:child_process";
import fs from "node:fs";
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [playwright, markdownCss, folder] = process.argv.slice(2);
const { chromium } = createRequire(import.meta.url)(path.resolve(playwright));
const css = fs.readFileSync(path.join(markdownCss, "github-markdown.css"), "utf8");
const pictures = process.env.TANDEM_SCREENSHOTS;
const [WIDE, NARROW] = [1400, 420];

const findings = [];
const found = (name, what) => findings.push(`${name}: ${what}`);
const same = (name, what, expected, actual) => {
  if (expected !== actual) found(name, `${what}: expected ${expected}, found ${actual}`);
};

// As wide as a comment is on GitHub.
function commentPage(markdown) {
  const extensions = ["table", "strikethrough", "autolink", "tagfilter", "tasklist"].flatMap((name) => ["-e", name]);
  const body = execFileSync("cmark-gfm", ["--unsafe", ...extensions], { input: markdown, encoding: "utf8", maxBuffer: 1e8 });
  const frame = "body { box-sizing: border-box; max-width: 860px; margin: 0 auto; padding: 16px; }";
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>comment</title>
<meta name="viewport" content="width=device-width"><style>${css} ${frame}</style></head>
<body class="markdown-body">${body}</body></html>`;
}

// What is in the page, as a browser understands it. Runs there.
function look() {
  const text = (selector) => document.querySelectorAll(selector).length;
  const plain = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode;
    if (!node.parentElement.closest("code, pre, script, style")) plain.push(node.data);
  }
  const wide = [...document.querySelectorAll("body *")].filter((element) => {
    if (element.closest(".wide, svg") && !element.matches(".wide")) return false;
    const box = element.getBoundingClientRect();
    return box.width > 0 && box.right > window.innerWidth + 0.5;
  });
  const outside = [...document.querySelectorAll("svg.track > rect")].filter((bar) => {
    const [inner, outer] = [bar.getBoundingClientRect(), bar.parentElement.getBoundingClientRect()];
    return inner.left < outer.left - 1 || inner.right > outer.right + 1;
  });
  return {
    width: document.documentElement.scrollWidth,
    room: window.innerWidth,
    wide: wide.slice(0, 3).map((element) => element.outerHTML.slice(0, 120)),
    outside: outside.length,
    rows: text("table tbody tr"),
    details: text("details"),
    detailsInDetails: text("details details"),
    // What stands in no list where only lists are expected.
    items: text("li"),
    nested: text("li li"),
    headings: { h1: text("h1"), h2: text("h2"), h3: text("h3"), h4: text("h4") },
    foreign: text("script, img, iframe, object, form, input, link"),
    links: [...document.querySelectorAll("a")].map((link) => link.getAttribute("href")),
    lost: [...document.querySelectorAll('a[href^="#"]')].filter((link) => !document.querySelector(link.getAttribute("href"))).length,
    nameless: text("section:not([aria-labelledby]), table th:not([scope])"),
    plain: plain.join("\n"),
  };
}

// Text that is hard to read by WCAG's measure: below 4.5 to 1. Runs in the page.
function faint() {
  const parse = (color) => color.match(/[\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const [r, g, b] = [red, green, blue].map((value) => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const color = parse(getComputedStyle(at).backgroundColor);
      if (color.length < 4 || color[3] > 0) return color;
    }
    return [255, 255, 255];
  };
  const bad = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest("title, style, .diamond")) continue;
    const style = getComputedStyle(element);
    const [one, other] = [light(parse(element.closest("svg") ? style.fill : style.color)), light(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) bad.add(`${element.tagName.toLowerCase()}.${element.getAttribute("class") ?? ""} ${ratio.toFixed(2)}`);
  }
  return [...bad];
}

function checkDetails(name, source, seen) {
  const count = (text) => source.split(text).length - 1;
  same(name, "details", count("<details"), seen.details);
  same(name, "ends of details", count("<details"), count("</details>"));
}

function checkTimeline(name, seen, source, record) {
  const parts = record.lanes.map((lane) => 1 + lane.phases.length + lane.operations.length);
  same(name, "rows of the table", record.steps.length + parts.reduce((sum, number) => sum + number, 0), seen.rows);
  checkDetails(name, source, seen);
  same(name, "headings of the first order", 1, seen.headings.h1);
  same(name, "bars outside of their track", 0, seen.outside);
  same(name, "links to nowhere", 0, seen.lost);
  same(name, "sections and headings of columns without a name", 0, seen.nameless);
  if (seen.links.some((link) => !link.startsWith("#"))) found(name, "a link leads out of the page");
  if (record.error && !/What failed|Broken off/.test(seen.plain)) found(name, "the failure isn't shown");
}

function checkComment(name, seen, markdown) {
  const lines = markdown.split("\n");
  const count = (pattern) => lines.filter((line) => pattern.test(line)).length;
  same(name, "items", count(/^( {2})?- /), seen.items);
  same(name, "items within items", count(/^ {2}- /), seen.nested);
  checkDetails(name, markdown, seen);
  // A browser puts what follows one without an end into it.
  same(name, "details within details", 0, seen.detailsInDetails);
  same(name, "headings", count(/^### /) + count(/^#### /), seen.headings.h3 + seen.headings.h4);
  same(name, "links", 0, seen.links.length);
  const raw = /\*\*|~~|```|\|\s*-{3}|<\/?(details|summary|code|li)\b|^#{1,6} |&#\d+;/m.exec(seen.plain);
  if (raw) found(name, `markup is left as text: ${JSON.stringify(seen.plain.slice(Math.max(0, raw.index - 40), raw.index + 40))}`);
}

const files = fs.readdirSync(folder).sort();
const timelines = files.filter((file) => /^timeline-.*\.html$/.test(file));
const comments = files.filter((file) => /^comment-.*\.md$/.test(file));
const executablePath = ["/usr/bin/chromium", "/usr/bin/google-chrome"].find((program) => fs.existsSync(program));
if (!executablePath) {
  console.log("there is no browser; install chromium");
  process.exit(1);
}
// Everything shown is made here, and a container has neither the rights nor the shared memory that a sandbox needs.
const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
for (const colorScheme of ["light", "dark"]) {
  for (const width of [WIDE, NARROW]) {
    const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme });
    const page = await context.newPage();
    let name = "";
    page.on("console", (message) => found(name, `the console says: ${message.text()}`));
    page.on("pageerror", (error) => found(name, `an error in the page: ${error}`));
    page.on("request", (request) => {
      if (!request.url().startsWith("file:") && !request.url().startsWith("data:")) found(name, `it asks for ${request.url()}`);
    });
    for (const file of [...timelines, ...comments]) {
      name = `${file}, ${colorScheme}, ${width}`;
      const source = fs.readFileSync(path.join(folder, file), "utf8");
      const isTimeline = file.endsWith(".html");
      // A comment's colours and layout are GitHub's: what fits where little room is fits elsewhere.
      if (!isTimeline && (colorScheme === "dark" || width === WIDE) && !pictures) continue;
      if (isTimeline) await page.goto(pathToFileURL(path.join(path.resolve(folder), file)).href);
      else await page.setContent(commentPage(source));
      const picture = async (how) => {
        const to = path.join(pictures, `${file.replace(/\W/g, "-")}-${colorScheme}-${width}-${how}.png`);
        await page.screenshot({ path: to, fullPage: true });
      };
      if (pictures) await picture("folded");
      // What is folded must fit as well.
      await page.evaluate(() => document.querySelectorAll("details").forEach((details) => (details.open = true)));
      const seen = await page.evaluate(look);
      if (seen.width > seen.room || seen.wide.length) {
        found(name, `it is ${seen.width} wide where ${seen.room} is: ${seen.wide.join(" ")}`);
      }
      same(name, "scripts, pictures, frames and forms", 0, seen.foreign);
      if (isTimeline) {
        checkTimeline(name, seen, source, JSON.parse(fs.readFileSync(path.join(folder, file.replace(/html$/, "json")), "utf8")));
        for (const text of await page.evaluate(faint)) found(name, `hard to read: ${text}`);
      } else {
        checkComment(name, seen, source);
      }
      if (pictures) await picture("open");
    }
    await context.close();
  }
}
await browser.close();
findings.forEach((finding) => console.log(finding));
console.log(`${timelines.length} timelines and ${comments.length} comments, ${findings.length} findings`);
// Pages that got another name would pass as none.
process.exit(findings.length === 0 && timelines.length >= 7 && comments.length >= 60 ? 0 : 1);
