import { NodeNetwork } from '../../src/io/node/network.ts';
import { describeNetwork } from './network_compliance.ts';
import { settle } from './node_harness.ts';

describeNetwork('TCP', () => {
  const network = new NodeNetwork();
  return { server: network, client: network, host: '127.0.0.1', settle, cleanup: () => {} };
});
