/**
 * A recorded run as one HTML file that needs nothing else: style, script and data are in it, and its content security
 * policy lets it fetch nothing.
 *
 * The script's parts, in `page/`, are plain JavaScript modules. There is no bundler: they share no names but those that
 * they export to each other, so that it is enough to write them one behind the other, each after what it imports, and to
 * leave out the words `import` and `export`.
 */
import { readFileSync } from 'node:fs';
import { assert } from '../../src/base/assert.ts';
import type { RunRecord } from './record.ts';

const ENTRY = 'main.js';
/** A whole import statement of the forms that the page uses. */
const IMPORT = /^import \{[^}]*\} from '\.\/([\w.]+)';\n/gm;
const EXPORT = /^export (?=(?:async )?(?:function|class|const|let) )/gm;

export function renderReport(record: RunRecord): string {
  const { seed, check } = record.header;
  const title = escapeText(`EnvelopeDB simulation, seed ${seed}: ${check === null ? 'held' : 'failed'}`);
  const data = escapeJson(JSON.stringify(record));
  let page = readPart('page.html');
  page = fill(page, '<title>', 'EnvelopeDB simulation', title);
  page = fill(page, '<style>', '', `\n${readPart('style.css')}`);
  page = fill(page, '<script id="record" type="application/json">', 'null', data);
  return fill(page, '<script type="module">', '', `\n${bundlePage()}`);
}

/** Puts a text behind a tag, in place of what stands there. */
function fill(page: string, tag: string, before: string, text: string): string {
  const at = page.indexOf(`${tag}${before}</`);
  assert(at !== -1, 'the page has a place for each part', { tag });
  const start = at + tag.length;
  return page.slice(0, start) + text + page.slice(start + before.length);
}

/** The page's script. */
export function bundlePage(): string {
  const done = new Set<string>();
  const texts: string[] = [];
  const add = (name: string): void => {
    if (done.has(name)) return;
    done.add(name);
    const text = readPart(name);
    for (const [, imported] of text.matchAll(IMPORT)) add(imported);
    texts.push(text.replaceAll(IMPORT, '').replaceAll(EXPORT, ''));
  };
  add(ENTRY);
  const script = texts.join('\n');
  assert(
    !/^(?:import|export) /m.test(script),
    'every import and export of the page has a form that is known',
  );
  assert(!/<\/script|<!--/i.test(script), 'the script does not end the element that it stands in');
  return script;
}

/** JSON that may stand in a script element: nothing in it can end the element, or begin a comment. */
export function escapeJson(json: string): string {
  return json.replaceAll('<', '\\u003c').replaceAll('\u2028', '\\u2028').replaceAll('\u2029', '\\u2029');
}

function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

function readPart(name: string): string {
  return readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8');
}
