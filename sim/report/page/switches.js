/** The switches that show and hide classes of events, replies and lanes. */
import { byId, element } from './dom.js';
import { CLASSES } from './items.js';

/**
 * @param {import('./filter.js').Filter} filter Is changed by the switches.
 * @param {readonly import('../record.ts').Lane[]} lanes
 * @param {() => void} onChange
 */
export function makeSwitches(filter, lanes, onChange) {
  const classes = byId('classes');
  for (const { name, title, isOn } of CLASSES) {
    classes.append(
      makeSwitch(title, isOn, `kind-${name}`, (isChecked) => {
        if (isChecked) filter.classes.add(name);
        else filter.classes.delete(name);
        onChange();
      }),
    );
  }
  classes.append(
    makeSwitch('replies', true, 'kind-reply', (isChecked) => {
      filter.replies = isChecked ? 'shown' : 'hidden';
      onChange();
    }),
  );
  lanes.forEach(({ name }, at) => {
    byId('lanes').append(
      makeSwitch(name, true, 'kind-lane', (isChecked) => {
        if (isChecked) filter.hiddenLanes.delete(at);
        else filter.hiddenLanes.add(at);
        onChange();
      }),
    );
  });
}

/**
 * @param {string} title
 * @param {boolean} isOn
 * @param {string} className
 * @param {(isChecked: boolean) => void} onChange
 */
function makeSwitch(title, isOn, className, onChange) {
  const box = /** @type {HTMLInputElement} */ (element('input', { type: 'checkbox' }));
  box.checked = isOn;
  box.addEventListener('change', () => onChange(box.checked));
  return element('label', { class: className }, [box, element('i'), title]);
}
