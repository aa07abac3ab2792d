/** Known bugs of the server: routing, sessions of clients, identities. */
import type { Mutant } from './mutant.ts';

export const SERVER_MUTANTS: readonly Mutant[] = [
  {
    name: 'request-ids-restart',
    what: 'a node numbers its requests anew in each life, and takes answers to those of the life before',
    file: 'src/server/router.ts',
    find: '    this.#nextId = options.random.below(2 ** 20) * 2 ** 32 + options.random.below(2 ** 32);\n',
    replace: '    this.#nextId = 1;\n',
  },
  {
    name: 'lost-write-repeated',
    what: 'a write whose outcome is open is sent again',
    file: 'src/server/router.ts',
    find: 'if (isUnread || !isWrite(job.request)) {',
    replace: 'if (isUnread || !isWrite(job.request) || lastRead === null) {',
  },
  {
    name: 'overtaking',
    what: 'a request that came back is handed on without regard to those asked after it',
    file: 'src/server/router.ts',
    find: "    for (const { state } of lane.jobs) if (state === 'sent') return;\n",
    replace: '',
  },
  {
    name: 'requests-to-two-leaders',
    what: 'a request is sent to a leader while one before it is on its way to another',
    file: 'src/server/router.ts',
    find: "earlier.state !== 'sent' || earlier.peer !== peer",
    replace: "earlier.state !== 'sent'",
  },
  {
    name: 'late-refusal-forgotten',
    what: 'a request that is refused after those behind it were executed is handed on again',
    file: 'src/server/router.ts',
    find: '    for (const each of earlier) each.isOvertaken = true;\n',
    replace: '',
  },
  {
    name: 'reads-overtake-writes',
    what: 'a read of a connection does not wait for the writes before it',
    file: 'src/server/session.ts',
    find: "return kind !== 'alone' && kind === this.#kind && this.#group.router.target === this.#target;",
    replace: "return kind !== 'alone' && this.#group.router.target === this.#target;",
  },
  {
    name: 'answers-out-of-order',
    what: 'answers leave in the order in which they are ready',
    file: 'src/server/session.ts',
    find: '    if (this.#slots[0] !== slot) return;\n',
    replace: '    this.#slots.splice(this.#slots.indexOf(slot), 1);\n    this.#slots.unshift(slot);\n',
  },
  {
    name: 'no-links-to-new-members',
    what: 'a node does not talk to those who join',
    file: 'src/server/node.ts',
    find: '    replica.onMembersChange = () => this.#onMembersChange();\n',
    replace: '',
  },
  {
    name: 'damage-stops-a-node',
    what: 'a node stops when it meets a damaged table, although others hold what is in it',
    file: 'src/server/node_opening.ts',
    find: "{ damagedTables: 'quarantine', ",
    replace: "{ damagedTables: 'refuse', ",
  },
  {
    name: 'lost-disk-not-noticed',
    what: 'a founding node that comes back with an empty disk is taken for what it was',
    file: 'src/server/peers.ts',
    find: '    if (known !== null && known !== identity) {\n',
    replace: '    if (known !== null && known !== identity && known < 0) {\n',
  },
  {
    name: 'identities-in-memory',
    what: 'which directories the members have is forgotten with a restart',
    file: 'src/server/identity_registry.ts',
    find: 'for (const name of disk.list(directory)) {',
    replace: 'for (const name of disk.list(directory).slice(0, 0)) {',
  },
];
