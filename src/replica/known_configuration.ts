/** Who belongs to the group, as a replica's store knows it: as of the entry applied last. */
import { CorruptionError } from '../base/errors.ts';
import { rarely } from '../base/rare.ts';
import type { StateMachine } from '../kv/state_machine.ts';
import type { Store } from '../lsm/store.ts';
import { type Configuration, decodeConfiguration, UNKNOWN_CONFIGURATION } from '../raft/configuration.ts';

/** @throws CorruptionError when what the store holds of it is damaged. */
export function configurationOf(
  { configuration }: Pick<StateMachine, 'configuration'>,
  founders: Configuration,
): Configuration {
  return configuration === null ? founders : decodeConfiguration(configuration);
}

/**
 * For the start: `UNKNOWN_CONFIGURATION` when it cannot be read.
 * @throws CorruptionError when there is nobody who could tell.
 */
export function configurationIfReadable(
  stateMachine: Pick<StateMachine, 'configuration'>,
  founders: Configuration,
  store: Pick<Store, 'noteDamage'>,
): Configuration {
  try {
    return configurationOf(stateMachine, founders);
  } catch (error) {
    const isAlone = founders.members.length === 1;
    if (!(error instanceof CorruptionError) || isAlone || !store.noteDamage(error)) throw error;
    rarely('a node starts without knowing its group');
    return UNKNOWN_CONFIGURATION;
  }
}
