/** The head of the page: which run this is, how it ended, and how to have it again. */
import { byId, element } from './dom.js';

/** @typedef {import('../record.ts').Header} Header */

/** Of the window, in pixels, for the finding to be open at first. */
const FINDING_HEIGHT_MIN = 850;

/** @param {Header} header */
export function fillHeader(header) {
  const { seed, commit, check, message, replay, hash, figures, endUs } = header;
  byId('seed').textContent = seed;
  const verdict = byId('verdict');
  verdict.textContent = check === null ? 'every check held' : `failed: ${check}`;
  verdict.className = check === null ? 'held' : 'failed';
  const facts = [
    `${(endUs / 1e6).toFixed(1)} s simulated`,
    ...Object.entries(figures).map(([name, value]) => `${value.toLocaleString('en')} ${name}`),
  ];
  byId('figures').textContent = facts.join(' · ');
  const identity = [`commit ${commit === null ? 'unknown' : shortCommit(commit)}`, `hash ${hash}`];
  byId('identity').textContent = identity.join(' · ');
  byId('identity').title = commit ?? '';
  byId('replay').textContent = replay;
  byId('copy').addEventListener('click', () => copy(replay));
  if (message !== null) {
    byId('message').textContent = message;
    byId('finding').hidden = false;
    // On a low screen the picture needs the room.
    byId('finding').toggleAttribute('open', innerHeight >= FINDING_HEIGHT_MIN);
  }
  byId('options').replaceChildren(...optionRows(header.options));
}

/** @param {string} commit */
function shortCommit(commit) {
  return commit.endsWith('+') ? `${commit.slice(0, 10)} with changes` : commit.slice(0, 10);
}

/**
 * Nested options as rows of a path and a value. Faults that are off are left out.
 * @param {object} options
 * @param {string} [prefix]
 * @returns {HTMLElement[]}
 */
function optionRows(options, prefix = '') {
  return Object.entries(options).flatMap(([name, value]) => {
    if (typeof value === 'object' && value !== null) return optionRows(value, `${prefix}${name}.`);
    if (prefix === 'faults.' && value === 0) return [];
    return [element('div', {}, [element('dt', {}, [prefix + name]), element('dd', {}, [String(value)])])];
  });
}

/** @param {string} text */
function copy(text) {
  const button = byId('copy');
  navigator.clipboard.writeText(text).then(
    () => {
      button.textContent = 'copied';
    },
    () => {
      // Not every browser lets a file's script write there: it is selected instead, to be copied by hand.
      getSelection()?.selectAllChildren(byId('replay'));
    },
  );
}
